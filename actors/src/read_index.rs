//! ReadIndex: says from which revision on a read is linearizable. Fed by the store; asks the other members.
//!
//! What a read must see is everything that was acknowledged before it arrived. On the leader that is what is
//! applied, provided that it still leads: a majority of the voters confirms that, once for all reads that wait
//! at that moment. Another member asks its leader, again once for all. Reads that arrive while a
//! confirmation is under way wait for the next one: the one under way may be older than what they must see.
//! etcd calls this read index (Ongaro's thesis, section 6.4), confirmed here by promises instead of heartbeats.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use model::Revision;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::cluster::{
    Ask, Claim, Epoch, Members, NotGranted, Office, Promises, Role, Roles, Told, majority_grants,
};
use crate::errors::RequestError;
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
use crate::shared_state::SharedState;

/// How long a round that failed waits before it is tried again, unless the role changes first.
const RETRY: Duration = Duration::from_millis(20);

/// Asks for the revision that a read must have reached.
pub(crate) struct Confirm {
    /// Told when it is known.
    pub(crate) answer: Asker,
}

/// What a read must have reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// Everything acknowledged before the question is at or below it.
    pub(crate) revision: Revision,
    /// The leadership that was confirmed, if it is this member's.
    pub(crate) office: Option<Epoch>,
}

type Outcome = Result<Confirmation, RequestError>;
type Asker = oneshot::Sender<Outcome>;

/// A round is over.
struct Confirmed {
    askers: Vec<Asker>,
    outcome: Outcome,
}

/// What a round needs to know.
#[derive(Clone)]
pub(crate) struct Confirmer {
    pub(crate) shared: Arc<SharedState>,
    pub(crate) roles: Roles,
    pub(crate) members: Arc<dyn Members>,
    pub(crate) promises: Arc<Promises>,
}

/// The actor.
pub(crate) struct ReadIndex {
    confirmer: Confirmer,
    waiting: Vec<Asker>,
    asking: bool,
    meter: Arc<Meter>,
}

impl ReadIndex {
    pub(crate) fn new(confirmer: Confirmer, meter: Arc<Meter>) -> Self {
        Self {
            confirmer,
            waiting: Vec::new(),
            asking: false,
            meter,
        }
    }

    fn confirm(&mut self, asker: Asker, context: &Context<Self>) {
        self.waiting.push(asker);
        self.ask(context);
    }

    fn ask(&mut self, context: &Context<Self>) {
        if self.asking || self.waiting.is_empty() {
            return;
        }
        self.asking = true;
        let askers = mem::take(&mut self.waiting);
        let itself = Mailbox::new(context.address(), Arc::clone(&self.meter));
        let confirmer = self.confirmer.clone();
        actix_rt::spawn(async move {
            let outcome = confirmer.run().await;
            itself.tell(Confirmed { askers, outcome });
        });
    }

    fn confirmed(&mut self, confirmed: Confirmed, context: &Context<Self>) {
        self.asking = false;
        for asker in confirmed.askers {
            let _gone = asker.send(confirmed.outcome.clone());
        }
        self.ask(context);
    }
}

impl Confirmer {
    /// Asks until it is known, or patience is at its end. Asking twice does no harm.
    async fn run(&self) -> Outcome {
        let deadline = Instant::now() + self.roles.patience();
        loop {
            let failure = match self.attempt().await {
                Err(error) if is_passing(&error) && Instant::now() < deadline => error,
                outcome => return outcome,
            };
            tracing::debug!(error = %failure, "a read could not be confirmed yet");
            self.roles.changed_within(RETRY).await;
        }
    }

    async fn attempt(&self) -> Outcome {
        match self.roles.settled().await? {
            Role::Leading(office) => self.confirm_office(&office).await,
            Role::Following { peer, .. } => match peer.ask(Ask::ReadRevision).await? {
                Told::ReadRevision(revision) => Ok(Confirmation {
                    revision,
                    office: None,
                }),
                _ => Err(RequestError::NotLeader),
            },
            Role::Waiting => Err(RequestError::NoLeader),
        }
    }

    /// The revision is taken before anybody is asked: what is acknowledged later need not be seen.
    async fn confirm_office(&self, office: &Office) -> Outcome {
        let revision = self.shared.revision();
        let claim = Claim {
            epoch: office.epoch,
            leader: self.members.me(),
            confirm: true,
        };
        let own = self
            .promises
            .consider(claim)
            .map_err(|error| RequestError::Unreadable(error.to_string()))?;
        match majority_grants(self.members.as_ref(), own, claim).await {
            Ok(()) => Ok(Confirmation {
                revision,
                office: Some(office.epoch),
            }),
            Err(NotGranted::Overtaken) => Err(RequestError::NotLeader),
            Err(NotGranted::Unreachable) => Err(RequestError::TimedOut),
        }
    }
}

/// Whether the same question may be answered a moment later.
fn is_passing(error: &RequestError) -> bool {
    matches!(
        error,
        RequestError::NoLeader
            | RequestError::NotLeader
            | RequestError::LeaderChanged
            | RequestError::TimedOut
            | RequestError::TimedOutLeaderFailure
            | RequestError::TimedOutConnectionLost
    )
}

impl Actor for ReadIndex {
    type Context = Context<Self>;
}

impl Handler<Envelope<Confirm>> for ReadIndex {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Confirm>, context: &mut Context<Self>) {
        envelope.open(|confirm| self.confirm(confirm.answer, context));
    }
}

impl Handler<Envelope<Confirmed>> for ReadIndex {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Confirmed>, context: &mut Context<Self>) {
        envelope.open(|confirmed| self.confirmed(confirmed, context));
    }
}
