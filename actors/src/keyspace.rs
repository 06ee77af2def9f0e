//! Keyspace: applies what is durable and shows it. Fed by the write batcher; feeds the watch hub, the
//! lease actor and the compactor, and answers the requests that waited.
//!
//! The state changes before any answer leaves, so whoever has been told of a write finds it. Nothing
//! here can refuse: the rules were asked before the batch was stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use actix::{Actor, Context, Handler};
use model::{Effect, Event, KeyValue, State, Tally};
use serde::Serialize;

use crate::committed::{Change, CommittedBatch};
use crate::compactor::Compactor;
use crate::lease_actor::LeaseActor;
use crate::mailbox::{Envelope, Mailbox};
use crate::shared_state::SharedState;
use crate::watch_hub::WatchHub;
use crate::write_batcher::Batch;

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
}

impl KeyspaceMeter {
    fn record(&self, changes: &[Change]) {
        let puts = changes.iter().filter(|change| !change.event.is_delete());
        self.puts.fetch_add(puts.count() as u64, Relaxed);
        self.put_bytes.fetch_add(bytes_put(changes), Relaxed);
    }

    /// Counts what cannot be told from events any more: an operation without effect, the size of a delete.
    pub(crate) fn decided(&self, tally: Tally) {
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

/// The actor.
pub struct Keyspace {
    shared: Arc<SharedState>,
    value_cache_bytes: usize,
    meter: Arc<KeyspaceMeter>,
    followers: Followers,
}

impl Keyspace {
    pub(crate) fn new(
        shared: Arc<SharedState>,
        value_cache_bytes: usize,
        meter: Arc<KeyspaceMeter>,
        followers: Followers,
    ) -> Self {
        Self {
            shared,
            value_cache_bytes,
            meter,
            followers,
        }
    }

    fn apply(&self, batch: Batch) {
        if !batch.effects.is_empty() {
            let committed = self.shared.write(|state| {
                let committed = apply_effects(state, batch.effects);
                state.index_mut().evict(self.value_cache_bytes, EVICTION_VISITS);
                committed
            });
            self.meter.record(&committed.changes);
            self.publish(Arc::new(committed));
        }
        batch.settled.into_iter().for_each(|settled| settled.tell());
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
