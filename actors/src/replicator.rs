//! Replicator: streams committed batches to the members that follow this one. Fed by the keyspace and by
//! followers that have caught up; feeds their streams.
//!
//! The newest batches of the present leadership are kept in a ring, so that a follower whose connection
//! broke goes on where it was. Each follower's stream is bounded by bytes: one that does not keep up leaves
//! the live flow and catches up from the ring or from the log, like a slow watcher.

mod catching_up;
mod recent;
mod replicator_meter;

use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler};
use model::{Effect, Revision, Tally};

use crate::clock::LeaseClock;
use crate::cluster::{Epoch, Feeder, Followed, NotFed, PeerError, Progress};
use crate::keyspace::Keyspace;
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
use crate::shared_state::SharedState;
use catching_up::CatchUp;
use recent::Recent;

pub(crate) use replicator_meter::ReplicatorMeter;
pub use replicator_meter::ReplicatorReport;

/// This member leads from now on, or no more. Comes through the keyspace, before the first batch of the epoch
/// and after the last.
pub(crate) struct Office {
    pub(crate) epoch: Option<Epoch>,
    /// The newest revision at this moment.
    pub(crate) revision: Revision,
}

/// The next batch of the epoch is durable and applied.
pub(crate) struct Replicate {
    pub(crate) sequence: u64,
    /// The newest revision after it.
    pub(crate) revision: Revision,
    pub(crate) effects: Arc<Vec<Effect>>,
    /// What was asked since the batch before.
    pub(crate) tally: Tally,
}

/// A follower wants the batches behind its progress.
pub(crate) struct Follow {
    pub(crate) feeder: Feeder,
    pub(crate) progress: Progress,
}

/// The keyspace stands: followers may be served. Told once.
pub(crate) struct BeginReplication {
    pub(crate) keyspace: Mailbox<Keyspace>,
}

/// The actor.
pub(crate) struct Replicator {
    recent: Option<Recent>,
    live: Vec<Feeder>,
    shared: Arc<SharedState>,
    clock: LeaseClock,
    keyspace: Option<Mailbox<Keyspace>>,
    replication: Arc<ReplicatorMeter>,
    meter: Arc<Meter>,
}

impl Replicator {
    pub(crate) fn new(
        shared: Arc<SharedState>,
        clock: LeaseClock,
        replication: Arc<ReplicatorMeter>,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            recent: None,
            live: Vec::new(),
            shared,
            clock,
            keyspace: None,
            replication,
            meter,
        }
    }

    fn change_office(&mut self, office: &Office) {
        self.recent = office.epoch.map(|epoch| Recent::new(epoch, office.revision));
        for feeder in self.live.drain(..) {
            feeder.end(PeerError::NotReady("it leads no more".into()));
        }
        self.report();
    }

    fn replicate(&mut self, batch: Replicate, itself: &Mailbox<Self>) {
        let Some(recent) = &mut self.recent else { return };
        let before = recent.progress();
        let followed = recent.push(batch, self.clock.now_ms());
        for index in (0..self.live.len()).rev() {
            match self.live[index].try_send(followed.clone()) {
                Ok(()) => {}
                Err(NotFed::Gone) => drop(self.live.swap_remove(index)),
                Err(NotFed::Full(_)) => wait_for_room(self.live.swap_remove(index), before, itself),
            }
        }
        self.report();
    }

    /// A follower that misses only recent batches goes live at once, others catch up from the log.
    fn follow(&mut self, follow: Follow, itself: &Mailbox<Self>) {
        let Follow { feeder, progress } = follow;
        self.live.retain(|feeder| !feeder.is_closed());
        let Some(recent) = &self.recent else {
            return feeder.end(PeerError::NotReady("it does not lead".into()));
        };
        match recent.after(progress) {
            None => self.leave_to_log(feeder, progress, itself),
            Some(missed) => match feed_all(&feeder, progress, missed) {
                Fed::All => self.live.push(feeder),
                Fed::Gone => {}
                Fed::UpTo(reached) => wait_for_room(feeder, reached, itself),
            },
        }
        self.report();
    }

    fn leave_to_log(&self, feeder: Feeder, progress: Progress, itself: &Mailbox<Self>) {
        let Some(keyspace) = self.keyspace.clone() else {
            return feeder.end(PeerError::NotReady("it is starting".into()));
        };
        let catch_up = CatchUp {
            keyspace,
            replicator: itself.clone(),
            shared: Arc::clone(&self.shared),
        };
        actix_rt::spawn(catch_up.run(feeder, progress));
    }

    fn report(&self) {
        let progress = self.recent.as_ref().map(Recent::progress).unwrap_or_default();
        let behind = |feeder: &Feeder| progress.sequence.saturating_sub(feeder.acknowledged().sequence);
        let lag = self.live.iter().map(behind).max().unwrap_or(0);
        self.replication.show(progress, self.live.len(), lag);
    }

    fn itself(&self, context: &Context<Self>) -> Mailbox<Self> {
        Mailbox::new(context.address(), Arc::clone(&self.meter))
    }
}

/// What of something a follower was fed.
enum Fed {
    All,
    /// As far as it had room.
    UpTo(Progress),
    /// Nothing more: it is gone.
    Gone,
}

/// Feeds what was missed.
fn feed_all(feeder: &Feeder, from: Progress, missed: impl Iterator<Item = (Progress, Followed)>) -> Fed {
    let mut reached = from;
    for (progress, followed) in missed {
        match feeder.try_send(followed) {
            Ok(()) => reached = progress,
            Err(NotFed::Full(_)) => return Fed::UpTo(reached),
            Err(NotFed::Gone) => return Fed::Gone,
        }
    }
    Fed::All
}

/// A follower that does not keep up leaves the live flow until it has taken a good part of what it was fed.
fn wait_for_room(feeder: Feeder, progress: Progress, itself: &Mailbox<Replicator>) {
    tracing::debug!(?progress, "a follower does not keep up");
    let itself = itself.clone();
    actix_rt::spawn(async move {
        if feeder.drained().await {
            itself.tell(Follow { feeder, progress });
        }
    });
}

impl Actor for Replicator {
    type Context = Context<Self>;
}

impl Handler<Envelope<BeginReplication>> for Replicator {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<BeginReplication>, _: &mut Context<Self>) {
        envelope.open(|begin| self.keyspace = Some(begin.keyspace));
    }
}

impl Handler<Envelope<Office>> for Replicator {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Office>, _: &mut Context<Self>) {
        envelope.open(|office| self.change_office(&office));
    }
}

impl Handler<Envelope<Replicate>> for Replicator {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Replicate>, context: &mut Context<Self>) {
        let itself = self.itself(context);
        envelope.open(|batch| self.replicate(batch, &itself));
    }
}

impl Handler<Envelope<Follow>> for Replicator {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Follow>, context: &mut Context<Self>) {
        let itself = self.itself(context);
        envelope.open(|follow| self.follow(follow, &itself));
    }
}
