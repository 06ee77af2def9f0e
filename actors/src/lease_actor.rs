//! LeaseActor: runs the deadlines of leases. Fed by the store with keep-alives and questions and by the
//! keyspace with what became of leases; what it wants changed it submits to the store as any client does.
//!
//! Running time is the lease clock's, which no step of the wall clock moves. The stored deadline runs
//! ahead of the running one by a slack, so most keep-alives cost no write: only one that would pass the
//! stored deadline is answered after a new one is durable. A restart goes on from the stored deadline:
//! it may lengthen a lease by the slack, and never shortens it.
//!
//! Of several members, leases run on the one that leads. Whoever takes over goes on from the stored
//! deadlines, as after a restart.
//!
//! Leases that are due are revoked together, so that their revocations share batches. Whether a lease
//! was renewed in time is decided here, where keep-alives and expiry stand in one queue.

mod deadlines;
mod lease_meter;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use bytes::Bytes;
use model::{Command, Effect, LeaseId, Refusal, Revision, State};
use tokio::sync::oneshot;

use crate::clock::LeaseClock;
use crate::committed::CommittedBatch;
use crate::errors::RequestError;
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
use crate::shared_state::SharedState;
use crate::store::Store;
use deadlines::{Deadlines, Keeper, KeptAlive, Renewal};

pub(crate) use lease_meter::LeaseMeter;
pub use lease_meter::LeaseReport;

/// Leases are looked at this often, and a failed revocation is tried again.
const TICK_MAX: Duration = Duration::from_millis(500);
/// And not more often than this: what is due in between is revoked together.
const TICK_MIN: Duration = Duration::from_millis(50);
/// Revocations under way at once are so many that all that is due now goes in about as many commits as this. The fewer
/// there are in one, the less do clients notice whose writes share it: of 10,000 at once with 4,096 in a commit, the p99
/// of writes went from 11 to 200 ms. With this, and the pause, they take a second.
const COMMITS_FOR_ALL_DUE: usize = 400;
/// And not fewer: a commit has a price, whatever is in it.
const REVOCATIONS_MIN: usize = 16;
/// And not more.
const REVOCATIONS_MAX: usize = 128;
/// How long writes of clients have the log to themselves before the next are revoked.
const PAUSE: Duration = Duration::from_millis(1);

/// Renews a lease.
pub(crate) struct KeepAlive {
    /// The lease.
    pub(crate) id: LeaseId,
    /// Told when the renewal is safe.
    pub(crate) answer: oneshot::Sender<Result<KeepAliveReply, RequestError>>,
}

/// The answer to a keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAliveReply {
    /// The store's revision before the renewal.
    pub revision: Revision,
    /// The time to live from now on, seconds; zero if the lease is unknown or over.
    pub ttl: i64,
}

/// Asks how much time a lease has left.
pub(crate) struct TimeToLive {
    /// The lease.
    pub(crate) id: LeaseId,
    /// Whether its keys are wanted.
    pub(crate) keys: bool,
    /// Told at once.
    pub(crate) answer: oneshot::Sender<Result<TimeToLiveReply, RequestError>>,
}

/// What a lease has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeToLiveReply {
    /// The store's revision.
    pub revision: Revision,
    /// Whole seconds left; -1 if the lease is unknown.
    pub ttl: i64,
    /// The granted time to live, seconds; zero if the lease is unknown.
    pub granted_ttl: i64,
    /// The keys attached to it, in order, if they were asked for.
    pub keys: Vec<Bytes>,
}

/// Asks for every lease, the first to expire first.
pub(crate) struct ListLeases {
    /// Told at once.
    pub(crate) answer: oneshot::Sender<Result<Vec<LeaseId>, RequestError>>,
}

/// The pipeline stands. Told once, before any client.
pub(crate) struct BeginLeases {
    /// Where revocations and renewals are submitted.
    pub(crate) store: Store,
}

/// This member leads from now on: leases run here, and go on from their stored deadlines.
pub(crate) struct RunLeases;

/// This member leads no more: leases run on another one.
pub(crate) struct RestLeases;

/// Time has passed.
struct Tick;

/// What became of the revocation of an expired lease.
struct Revoked {
    id: LeaseId,
    outcome: Result<(), RequestError>,
}

/// What became of a renewal that had to be stored.
struct Stored {
    renewal: Renewal,
    outcome: Result<(), RequestError>,
}

/// The actor.
pub(crate) struct LeaseActor {
    shared: Arc<SharedState>,
    clock: LeaseClock,
    deadlines: Deadlines,
    /// Revocations under way.
    revoking: usize,
    /// How many of them there may be.
    at_once: usize,
    /// Whether the last revocation failed.
    failing: bool,
    leases: Arc<LeaseMeter>,
    meter: Arc<Meter>,
    /// Whether leases run here: only the leader's do.
    running: bool,
    /// None until the pipeline stands.
    client: Option<Client>,
}

/// Time as one more client: where its commands go, and where the answers come back to.
#[derive(Clone)]
struct Client {
    store: Store,
    itself: Mailbox<LeaseActor>,
}

impl Client {
    async fn submit(&self, command: Command) -> Result<(), RequestError> {
        self.store.submit_own(command).await.map(drop)
    }

    fn revoke(&self, id: LeaseId) {
        let client = self.clone();
        actix_rt::spawn(async move {
            let outcome = client.submit(Command::LeaseRevoke(id)).await;
            client.itself.tell(Revoked { id, outcome });
        });
    }

    fn renew(&self, renewal: Renewal) {
        let client = self.clone();
        let Renewal { id, deadline_ms } = renewal;
        actix_rt::spawn(async move {
            let outcome = client.submit(Command::LeaseRenew { id, deadline_ms }).await;
            client.itself.tell(Stored { renewal, outcome });
        });
    }
}

impl LeaseActor {
    /// An actor that runs the leases of the shared state.
    pub(crate) fn new(
        shared: Arc<SharedState>,
        clock: LeaseClock,
        leases: Arc<LeaseMeter>,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            shared,
            clock,
            deadlines: Deadlines::default(),
            revoking: 0,
            at_once: REVOCATIONS_MIN,
            failing: false,
            leases,
            meter,
            running: false,
            client: None,
        }
    }

    fn run(&mut self) {
        let stored = self.shared.read(|state| state.leases());
        self.deadlines = Deadlines::load(stored.into_values(), self.clock.now_ms());
        self.leases.active(self.deadlines.len());
        self.running = true;
        self.failing = false;
    }

    fn rest(&mut self) {
        self.running = false;
        std::mem::take(&mut self.deadlines).abandon(&RequestError::LeaderChanged);
    }

    fn begin(&mut self, store: Store, context: &Context<Self>) {
        let itself = Mailbox::new(context.address(), Arc::clone(&self.meter));
        itself.tell(Tick);
        self.client = Some(Client { store, itself });
        actix_rt::spawn(self.clock.clone().keep_anchored());
    }

    fn committed(&mut self, batch: &CommittedBatch) {
        self.count(batch);
        if !self.running {
            return;
        }
        let now_ms = self.clock.now_ms();
        for effect in &batch.others {
            match effect {
                Effect::LeaseGranted(lease) => self.deadlines.granted(*lease, now_ms),
                Effect::LeaseRenewed(lease) => self.deadlines.stored(*lease),
                Effect::LeaseRevoked(id) => drop(self.deadlines.revoked(*id)),
                _ => {}
            }
        }
    }

    /// On every member, as etcd does; only what time does to leases is counted where they run.
    fn count(&self, batch: &CommittedBatch) {
        for effect in &batch.others {
            match effect {
                Effect::LeaseGranted(_) => self.leases.granted(),
                Effect::LeaseRevoked(_) => self.leases.revoked(),
                _ => {}
            }
        }
        self.leases.active(self.shared.read(State::lease_count));
    }

    fn keep_alive(&mut self, keep_alive: KeepAlive) {
        if !self.running {
            return drop(keep_alive.answer.send(Err(RequestError::NotLeader)));
        }
        let keeper = Keeper {
            revision: self.shared.revision(),
            answer: keep_alive.answer,
        };
        match self
            .deadlines
            .keep_alive(keep_alive.id, self.clock.now_ms(), keeper)
        {
            KeptAlive::Gone | KeptAlive::Shares => {}
            KeptAlive::Renewed => self.leases.renewed(1),
            KeptAlive::Store(renewal) => self.store(renewal),
        }
    }

    /// The keepers of a renewal that nobody can store are told so.
    fn store(&mut self, renewal: Renewal) {
        match &self.client {
            Some(client) => client.renew(renewal),
            None => drop(
                self.deadlines
                    .settle(renewal, Err(RequestError::Stopped), self.clock.now_ms()),
            ),
        }
    }

    fn stored(&mut self, stored: Stored) {
        self.leases.stored();
        let (told, again) = self
            .deadlines
            .settle(stored.renewal, stored.outcome, self.clock.now_ms());
        self.leases.renewed(told);
        if let Some(again) = again {
            self.store(again);
        }
    }

    fn tick(&mut self, context: &mut Context<Self>) {
        let due = self
            .deadlines
            .count_due(self.over_ms(), COMMITS_FOR_ALL_DUE * REVOCATIONS_MAX);
        self.at_once = (due / COMMITS_FOR_ALL_DUE).clamp(REVOCATIONS_MIN, REVOCATIONS_MAX);
        self.expire();
        context.run_later(self.until_next_tick(), |actor, _| {
            if let Some(client) = &actor.client {
                client.itself.tell(Tick);
            }
        });
    }

    fn until_next_tick(&self) -> Duration {
        if self.failing {
            return TICK_MAX;
        }
        let next_ms = self
            .deadlines
            .next_due_ms()
            .map(|due_ms| due_ms.saturating_sub(self.over_ms()).max(0));
        next_ms
            .map_or(TICK_MAX, |left| Duration::from_millis(left.unsigned_abs()))
            .clamp(TICK_MIN, TICK_MAX)
    }

    /// The last millisecond that is over. A lease counts from within the one in which it was granted or kept alive, so what
    /// is due in the one that the clock shows may have a part of it left.
    fn over_ms(&self) -> i64 {
        self.clock.now_ms() - 1
    }

    /// Revokes everything that is due, as far as there is room.
    fn expire(&mut self) {
        let Some(client) = &self.client else { return };
        let room = self.at_once.saturating_sub(self.revoking);
        for id in self.deadlines.take_due(self.over_ms(), room) {
            self.revoking += 1;
            client.revoke(id);
        }
    }

    /// Goes on with what is due when what was under way is done, after writes of clients.
    fn expire_more(&self, context: &mut Context<Self>) {
        if self.revoking == 0 {
            context.run_later(PAUSE, |actor, _| actor.expire());
        }
    }

    /// A lease that is gone already is as good as one revoked now. Everything else is tried again.
    fn expired(&mut self, revoked: Revoked, context: &mut Context<Self>) {
        self.revoking -= 1;
        match revoked.outcome {
            Ok(()) => {
                self.failing = false;
                self.leases.expired();
                self.expire_more(context);
            }
            Err(RequestError::Refused(Refusal::LeaseNotFound)) => self.expire_more(context),
            Err(error) => self.not_revoked(revoked.id, &error),
        }
    }

    /// A log that cannot be written fails every revocation: that is said once.
    fn not_revoked(&mut self, id: LeaseId, error: &RequestError) {
        if !mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, lease = id.0, "an expired lease was not revoked and will be tried again");
        }
        self.leases.failed();
        self.deadlines.retry(id);
    }

    fn time_to_live(&self, id: LeaseId, keys: bool) -> TimeToLiveReply {
        let revision = self.shared.revision();
        let Some((ttl, granted_ttl)) = self.deadlines.time_to_live(id, self.clock.now_ms()) else {
            return TimeToLiveReply {
                revision,
                ttl: -1,
                granted_ttl: 0,
                keys: Vec::new(),
            };
        };
        let attached = || self.shared.read(|state| state.lease_keys(id).cloned().collect());
        TimeToLiveReply {
            revision,
            ttl,
            granted_ttl,
            keys: if keys { attached() } else { Vec::new() },
        }
    }
}

impl Actor for LeaseActor {
    type Context = Context<Self>;
}

impl Handler<Envelope<BeginLeases>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<BeginLeases>, context: &mut Context<Self>) {
        envelope.open(|begin| self.begin(begin.store, context));
    }
}

impl Handler<Envelope<Arc<CommittedBatch>>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Arc<CommittedBatch>>, _: &mut Context<Self>) {
        envelope.open(|batch| self.committed(&batch));
    }
}

impl Handler<Envelope<KeepAlive>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<KeepAlive>, _: &mut Context<Self>) {
        envelope.open(|keep_alive| self.keep_alive(keep_alive));
    }
}

impl Handler<Envelope<TimeToLive>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<TimeToLive>, _: &mut Context<Self>) {
        envelope.open(|asked| {
            let left = self.running.then(|| self.time_to_live(asked.id, asked.keys));
            drop(asked.answer.send(left.ok_or(RequestError::NotLeader)));
        });
    }
}

impl Handler<Envelope<ListLeases>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ListLeases>, _: &mut Context<Self>) {
        envelope.open(|asked| {
            let leases = self.running.then(|| self.deadlines.by_expiry());
            drop(asked.answer.send(leases.ok_or(RequestError::NotLeader)));
        });
    }
}

impl Handler<Envelope<Tick>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Tick>, context: &mut Context<Self>) {
        envelope.open(|Tick| self.tick(context));
    }
}

impl Handler<Envelope<Revoked>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Revoked>, context: &mut Context<Self>) {
        envelope.open(|revoked| self.expired(revoked, context));
    }
}

impl Handler<Envelope<Stored>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Stored>, _: &mut Context<Self>) {
        envelope.open(|stored| self.stored(stored));
    }
}

impl Handler<Envelope<RunLeases>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<RunLeases>, _: &mut Context<Self>) {
        envelope.open(|RunLeases| self.run());
    }
}

impl Handler<Envelope<RestLeases>> for LeaseActor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<RestLeases>, _: &mut Context<Self>) {
        envelope.open(|RestLeases| self.rest());
    }
}
