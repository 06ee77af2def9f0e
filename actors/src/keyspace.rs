//! Keyspace: applies what is durable and shows it. Fed by the write batcher; feeds the watch hub, the
//! lease actor and the compactor, and answers the requests that waited.
//!
//! The state changes before any answer leaves, so whoever has been told of a write finds it. Nothing
//! here can refuse: the rules were asked before the batch was stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use actix::{Actor, Context, Handler};
use model::{Effect, Event, KeyValue, Rest, State, Tally};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::clock::LeaseClock;
use crate::cluster::{Epoch, Progress, Standing};
use crate::committed::{Change, CommittedBatch};
use crate::compactor::Compactor;
use crate::lease_actor::LeaseActor;
use crate::mailbox::{Envelope, Mailbox};
use crate::replicator::{Office, Replicate, Replicator};
use crate::shared_state::SharedState;
use crate::watch_hub::WatchHub;
use crate::write_batcher::{Batch, Settled};

/// Keys looked at for eviction after each batch: enough to keep up with any batch, too few to be felt.
const EVICTION_VISITS: usize = 2048;

/// A batch that is durable.
pub(crate) struct Apply {
    pub(crate) batch: Batch,
}

/// A batch could not be stored: what was decided behind it is void.
pub(crate) struct Void {
    pub(crate) epoch: u64,
}

/// A batch that the leader says is durable.
pub(crate) struct ApplyFollowed {
    pub(crate) effects: Arc<Vec<Effect>>,
    /// What was asked of the leader meanwhile.
    pub(crate) tally: Tally,
    /// Given back when the batch is applied.
    pub(crate) room: OwnedSemaphorePermit,
}

/// Leases, alarms and the compact revision are to become these.
pub(crate) struct Reconcile {
    pub(crate) rest: Rest,
    /// Given back when they have.
    pub(crate) room: OwnedSemaphorePermit,
}

/// The state is to become this one, which was read from a replica.
pub(crate) struct Rebuild {
    pub(crate) state: Box<State>,
    /// Given back when it has.
    pub(crate) room: OwnedSemaphorePermit,
}

/// This member begins to lead: batches are counted from one on, and replicated. Or it leads no more.
pub(crate) struct Count {
    pub(crate) epoch: Option<Epoch>,
}

/// Asks where the leader stands between two batches.
pub(crate) struct Stand {
    /// None if this member does not lead.
    pub(crate) answer: oneshot::Sender<Option<Standing>>,
}

/// What the keyspace shows of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KeyspaceReport {
    /// Keys that exist.
    pub keys: usize,
    /// Versions that can be read.
    pub versions: usize,
    /// Bytes of values in memory.
    pub resident_bytes: usize,
    /// Events on keys since the start: puts.
    pub puts: u64,
    /// Bytes of the keys and values put since the start.
    pub put_bytes: u64,
    /// Ranges read since the start, conditions and pairs before in commands among them.
    pub ranges: u64,
    /// Deletes decided since the start, whatever number of keys each found.
    pub deletes: u64,
    /// What etcd calls transactions: several operations at once.
    pub transactions: u64,
}

/// Counters that outlive a batch.
#[derive(Debug, Default)]
pub struct KeyspaceMeter {
    puts: AtomicU64,
    put_bytes: AtomicU64,
    ranges: AtomicU64,
    deletes: AtomicU64,
    transactions: AtomicU64,
    /// What was counted here and has not been told to followers.
    untold: Mutex<Tally>,
}

impl KeyspaceMeter {
    fn record(&self, changes: &[Change]) {
        let puts = changes.iter().filter(|change| !change.event.is_delete());
        self.puts.fetch_add(puts.count() as u64, Relaxed);
        self.put_bytes.fetch_add(bytes_put(changes), Relaxed);
    }

    /// Counts what cannot be told from events any more: an operation without effect, the size of a delete.
    pub(crate) fn decided(&self, tally: Tally) {
        self.count(tally);
        *self.untold.lock() += tally;
    }

    /// What followers have to count as well.
    fn take_untold(&self) -> Tally {
        std::mem::take(&mut *self.untold.lock())
    }

    fn count(&self, tally: Tally) {
        self.ranges.fetch_add(tally.ranges, Relaxed);
        self.deletes.fetch_add(tally.deletes, Relaxed);
        self.transactions.fetch_add(tally.transactions, Relaxed);
    }

    /// What the keyspace looks like now.
    #[must_use]
    pub fn report(&self, state: &State) -> KeyspaceReport {
        KeyspaceReport {
            keys: state.index().live_keys(),
            versions: state.index().versions(),
            resident_bytes: state.index().resident_bytes(),
            puts: self.puts.load(Relaxed),
            put_bytes: self.put_bytes.load(Relaxed),
            ranges: self.ranges.load(Relaxed),
            deletes: self.deletes.load(Relaxed),
            transactions: self.transactions.load(Relaxed),
        }
    }
}

fn bytes_put(changes: &[Change]) -> u64 {
    let puts = changes.iter().filter(|change| !change.event.is_delete());
    puts.map(|change| (change.event.key.len() + change.event.value.len()) as u64)
        .sum()
}

/// Those who follow the log.
#[derive(Clone)]
pub(crate) struct Followers {
    pub(crate) watch_hub: Mailbox<WatchHub>,
    pub(crate) lease_actor: Mailbox<LeaseActor>,
    pub(crate) compactor: Mailbox<Compactor>,
}

/// Where batches are replicated from, and how far that has come.
pub(crate) struct Replication {
    pub(crate) replicator: Mailbox<Replicator>,
    pub(crate) clock: LeaseClock,
    /// The present leadership of this member and the last batch of it.
    pub(crate) counted: Option<(Epoch, u64)>,
}

/// The actor.
pub struct Keyspace {
    shared: Arc<SharedState>,
    value_cache_bytes: usize,
    meter: Arc<KeyspaceMeter>,
    followers: Followers,
    /// None for a member that is alone.
    replication: Option<Replication>,
}

impl Keyspace {
    pub(crate) fn new(
        shared: Arc<SharedState>,
        value_cache_bytes: usize,
        meter: Arc<KeyspaceMeter>,
        followers: Followers,
        replication: Option<Replication>,
    ) -> Self {
        Self {
            shared,
            value_cache_bytes,
            meter,
            followers,
            replication,
        }
    }

    fn apply(&mut self, batch: Batch) {
        let Batch { effects, settled, .. } = batch;
        let answer = || settled.into_iter().for_each(Settled::tell);
        if effects.is_empty() {
            return answer();
        }
        if self.replication.is_none() {
            self.apply_effects(effects);
            return answer();
        }
        let replicated = Arc::new(effects.clone());
        self.apply_effects(effects);
        self.replicate(replicated);
        // After the replicator's turn: whoever is on another member hears of it later than who is here, in any case.
        actix_rt::spawn(async move { answer() });
    }

    fn apply_effects(&self, effects: Vec<Effect>) {
        let committed = self.shared.write(|state| {
            let committed = apply_effects(state, effects);
            state.index_mut().evict(self.value_cache_bytes, EVICTION_VISITS);
            committed
        });
        self.meter.record(&committed.changes);
        self.shared.keep_superseded(&committed.changes);
        self.publish(Arc::new(committed));
    }

    fn replicate(&mut self, effects: Arc<Vec<Effect>>) {
        if let Some(replication) = &mut self.replication
            && let Some((_, sequence)) = &mut replication.counted
        {
            *sequence += 1;
            replication.replicator.tell(Replicate {
                sequence: *sequence,
                revision: self.shared.revision(),
                effects,
                tally: self.meter.take_untold(),
            });
        }
    }

    fn apply_followed(&mut self, followed: ApplyFollowed) {
        self.meter.count(followed.tally);
        self.apply_effects(Arc::unwrap_or_clone(followed.effects));
        drop(followed.room);
    }

    fn reconcile(&mut self, reconcile: Reconcile) {
        let effects = self.shared.read(|state| state.reconcile(reconcile.rest));
        if !effects.is_empty() {
            self.apply_effects(effects);
        }
        drop(reconcile.room);
    }

    /// Those who follow the log learn that they missed something, and that history up to the compact revision is gone.
    fn rebuild(&mut self, rebuild: Rebuild) {
        let committed = self.shared.write(|state| {
            *state = *rebuild.state;
            CommittedBatch {
                revision: state.revision(),
                changes: Vec::new(),
                others: vec![Effect::Compacted(state.compact_revision())],
            }
        });
        self.shared.forget_superseded();
        self.publish(Arc::new(committed));
        drop(rebuild.room);
    }

    fn count(&mut self, epoch: Option<Epoch>) {
        if let Some(replication) = &mut self.replication {
            replication.counted = epoch.map(|epoch| (epoch, 0));
            // Of a leadership before, whose last batches were perhaps never stored.
            let _nobody_is_told = self.meter.take_untold();
            let revision = self.shared.revision();
            replication.replicator.tell(Office { epoch, revision });
        }
    }

    /// Exactly between two batches: nothing else changes the state.
    fn standing(&self) -> Option<Standing> {
        let replication = self.replication.as_ref()?;
        let (epoch, sequence) = replication.counted?;
        Some(self.shared.read(|state| Standing {
            at: Progress {
                epoch,
                sequence,
                position: state.position(),
                revision: state.revision(),
            },
            compact_revision: state.compact_revision(),
            leases: state.leases().into_values().collect(),
            alarms: state.alarms().iter().copied().collect(),
            lease_clock_ms: replication.clock.now_ms(),
        }))
    }

    fn publish(&self, committed: Arc<CommittedBatch>) {
        if !committed.others.is_empty() {
            self.followers.compactor.tell(Arc::clone(&committed));
            self.followers.lease_actor.tell(Arc::clone(&committed));
        }
        if !committed.changes.is_empty() || compacts(&committed) {
            self.followers.watch_hub.tell(committed);
        }
    }
}

fn compacts(committed: &CommittedBatch) -> bool {
    committed
        .others
        .iter()
        .any(|effect| matches!(effect, Effect::Compacted(_)))
}

fn apply_effects(state: &mut State, effects: Vec<Effect>) -> CommittedBatch {
    let mut committed = CommittedBatch {
        changes: Vec::with_capacity(effects.len()),
        ..CommittedBatch::default()
    };
    for effect in effects {
        let replaced = state.apply(&effect);
        match effect {
            Effect::Key(event) => {
                let previous = replaced.and_then(|pair| before_revision(state, &event, pair));
                committed.changes.push(Change { event, previous });
            }
            other => committed.others.push(other),
        }
    }
    committed.revision = state.revision();
    committed
}

/// A transaction may change a key twice (a put survives a delete of everything from a key on): the pair
/// before is then still the one before the whole transaction, and a key that it created has none, as in etcd.
fn before_revision(state: &State, event: &Event, replaced: KeyValue) -> Option<KeyValue> {
    if event.is_create() {
        return None;
    }
    if replaced.version.mod_revision < event.version.mod_revision {
        return Some(replaced);
    }
    state.pair_before(&event.key, event.version.mod_revision)
}

impl Actor for Keyspace {
    type Context = Context<Self>;
}

impl Handler<Envelope<Apply>> for Keyspace {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Apply>, _: &mut Context<Self>) {
        envelope.open(|apply| self.apply(apply.batch));
    }
}

impl Handler<Envelope<Void>> for Keyspace {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Void>, _: &mut Context<Self>) {
        envelope.open(|void| self.shared.begin_epoch(void.epoch));
    }
}

impl Handler<Envelope<ApplyFollowed>> for Keyspace {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ApplyFollowed>, _: &mut Context<Self>) {
        envelope.open(|followed| self.apply_followed(followed));
    }
}

impl Handler<Envelope<Reconcile>> for Keyspace {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Reconcile>, _: &mut Context<Self>) {
        envelope.open(|reconcile| self.reconcile(reconcile));
    }
}

impl Handler<Envelope<Rebuild>> for Keyspace {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Rebuild>, _: &mut Context<Self>) {
        envelope.open(|rebuild| self.rebuild(rebuild));
    }
}

impl Handler<Envelope<Count>> for Keyspace {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Count>, _: &mut Context<Self>) {
        envelope.open(|count| self.count(count.epoch));
    }
}

impl Handler<Envelope<Stand>> for Keyspace {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Stand>, _: &mut Context<Self>) {
        envelope.open(|stand| drop(stand.answer.send(self.standing())));
    }
}
