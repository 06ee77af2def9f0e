//! Taking over the lead, and leaving it.

use std::time::Duration;

use journal::{AppendError, Claim, SharedJournal};
use thiserror::Error;
use tokio::time::sleep;

use super::Leadership;
use super::catching_up::NotCaughtUp;
use crate::cluster::{self, Epoch, NotGranted, Office, Progress, Promised, Role, majority_grants};
use crate::compactor::ScrubRest;
use crate::keyspace::Count;
use crate::lease_actor::{RestLeases, RunLeases};
use crate::term::Term;

/// How long a leader waits before it asks for promises again, when too few members could be reached.
const PROMISES_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Why this member does not begin to lead.
#[derive(Debug, Error)]
pub(super) enum NotTakenOver {
    #[error("the log cannot be claimed: {0}")]
    Log(#[from] AppendError),
    #[error("the state was not brought to the log's end: {0}")]
    Behind(#[from] NotCaughtUp),
    #[error("members have promised themselves to a later leader")]
    Overtaken,
    #[error("the promise cannot be stored: {0}")]
    Unstored(#[from] std::io::Error),
    #[error("the server is stopping")]
    Stopped,
}

impl NotTakenOver {
    /// That another member was elected meanwhile happens in every busy election, and is told where it is seen.
    pub(super) fn tell(&self) {
        match self {
            Self::Log(AppendError::NotLeader(_)) | Self::Overtaken | Self::Stopped => {
                tracing::debug!(error = %self, "this member does not begin to lead");
            }
            _ => tracing::warn!(error = %self, "this member could not begin to lead"),
        }
    }
}

impl Leadership {
    /// Takes over: the log, then its content, then the members. Nothing is decided before all of it is done.
    pub(super) async fn take_over(&mut self) -> Result<Term, NotTakenOver> {
        let begun = tokio::time::Instant::now();
        let claim = self.claim().await?;
        let epoch = Epoch(claim.epoch);
        self.clock.lead_from(claim.lease_clock_ms);
        self.progress = Progress::default();
        self.all_applied().await;
        self.read_to_the_end(&claim).await?;
        self.collect_promises(epoch).await?;
        let writer = self.open_writer(claim).await?;
        let term = self.enter_office(epoch, writer);
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            epoch = epoch.0,
            revision = self.shared.revision().0,
            millis,
            "this member leads"
        );
        Ok(term)
    }

    async fn claim(&self) -> Result<Claim, NotTakenOver> {
        let log = self.log.clone();
        let claimed = tokio::task::spawn_blocking(move || log.claim()).await;
        Ok(claimed.map_err(|_| NotTakenOver::Stopped)??)
    }

    async fn open_writer(&self, claim: Claim) -> Result<Box<dyn SharedJournal>, NotTakenOver> {
        let log = self.log.clone();
        let opened = tokio::task::spawn_blocking(move || log.writer(&claim)).await;
        Ok(opened.map_err(|_| NotTakenOver::Stopped)??)
    }

    /// Asks until a majority has promised itself, however long that takes: without them nothing can be served.
    async fn collect_promises(&self, epoch: Epoch) -> Result<(), NotTakenOver> {
        let claim = cluster::Claim {
            epoch,
            leader: self.members.me(),
            confirm: false,
        };
        let own = self.promise(claim).await?;
        loop {
            match majority_grants(self.members.as_ref(), own, claim).await {
                Ok(()) => return Ok(()),
                Err(NotGranted::Overtaken) => return Err(NotTakenOver::Overtaken),
                Err(NotGranted::Unreachable) => sleep(PROMISES_AGAIN_AFTER).await,
            }
        }
    }

    async fn promise(&self, claim: cluster::Claim) -> Result<Promised, NotTakenOver> {
        let promises = self.promises.clone();
        let considered = tokio::task::spawn_blocking(move || promises.consider(claim)).await;
        Ok(considered.map_err(|_| NotTakenOver::Stopped)??)
    }

    fn enter_office(&self, epoch: Epoch, writer: Box<dyn SharedJournal>) -> Term {
        self.subordinates.keyspace.tell(Count { epoch: Some(epoch) });
        let term = (self.start_term)(writer, epoch);
        self.clock.leads();
        self.subordinates.lease_actor.tell(RunLeases);
        self.plays(Role::Leading(Office {
            epoch,
            allocator: term.allocator(),
        }));
        // Scrubs are refused while this member does not lead, and not tried again.
        self.subordinates.compactor.tell(ScrubRest);
        term
    }

    /// Leaves the lead in order: nobody is sent here any more, and what the log has of this leadership is
    /// known before another one begins. If nobody else leads yet, everything admitted is committed first.
    pub(super) async fn leave_office(&self, term: Term, in_order: bool) {
        if in_order {
            term.drained().await;
        }
        self.plays(Role::Waiting);
        self.subordinates.lease_actor.tell(RestLeases);
        let epoch = term.epoch();
        term.end().await;
        self.subordinates.keyspace.tell(Count { epoch: None });
        tracing::info!(
            epoch = epoch.0,
            revision = self.shared.revision().0,
            "this member leads no more"
        );
    }
}
