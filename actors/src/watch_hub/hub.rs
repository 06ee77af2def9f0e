//! The hub's state, without the actor around it: what it does is a function of what it is told, in order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use model::Revision;

use super::StreamId;
use super::audience::{Audience, Standing, Stream};
use super::catching_up::{Lagging, LogReading};
use super::log_reads::{ReadDone, ReadJob};
use super::outbox::Outbox;
use super::registry::{Place, Registry};
use super::report::HubMeter;
use super::ring::Ring;
use crate::committed::CommittedBatch;
use crate::shared_state::SharedState;

/// Everything the hub knows.
///
/// Of each watcher it holds: the watcher is live and has been handed every event of its range from its
/// `next` on up to `revision`; or it is lagging or parked and has been handed nothing from its `next` on.
pub(super) struct Hub {
    pub(super) shared: Arc<SharedState>,
    pub(super) meter: Arc<HubMeter>,
    pub(super) audience: Audience,
    pub(super) by_id: HashMap<StreamId, usize>,
    pub(super) registry: Registry,
    /// Everything up to this revision was told to the live watchers.
    pub(super) revision: Revision,
    pub(super) ring: Ring,
    /// Batches that came and wait for values from the log, and those behind them.
    pub(super) waiting: VecDeque<Arc<CommittedBatch>>,
    /// Whether the first of `waiting` are being completed.
    pub(super) completing: bool,
    pub(super) lagging: Lagging,
    pub(super) log_reading: LogReading,
    /// How far the log was compacted when it was last read: of several members one that is cut off may not
    /// have heard of it.
    pub(super) log_compacted: Revision,
    pub(super) parked: usize,
    /// Watchers that want the pairs before and are not parked.
    pub(super) wanting_previous: usize,
    /// Streams that wait for the hub to come to a revision.
    pub(super) awaiting_progress: Vec<StreamId>,
    /// Which of the streams the next progress tick is for.
    pub(super) tick: u64,
    pub(super) jobs: Vec<ReadJob>,
}

impl Hub {
    /// A hub without streams, at the store's revision of this moment.
    pub(super) fn new(shared: Arc<SharedState>, meter: Arc<HubMeter>) -> Self {
        let revision = shared.revision();
        meter.follow(&shared);
        meter.revision.store(revision.0, Relaxed);
        Self {
            shared,
            meter,
            audience: Audience::default(),
            by_id: HashMap::new(),
            registry: Registry::default(),
            revision,
            ring: Ring::after(revision),
            waiting: VecDeque::new(),
            completing: false,
            lagging: Lagging::default(),
            log_reading: LogReading::default(),
            log_compacted: Revision::NEVER_COMPACTED,
            parked: 0,
            wanting_previous: 0,
            awaiting_progress: Vec::new(),
            tick: 0,
            jobs: Vec::new(),
        }
    }

    /// A stream was opened.
    pub(super) fn open(&mut self, id: StreamId, outbox: Arc<Outbox>) {
        outbox.count_in(&self.meter);
        let stream = self.audience.streams.insert(Stream::new(id, outbox));
        self.by_id.insert(id, stream);
    }

    /// A stream was closed: its watches end with it.
    pub(super) fn close(&mut self, id: StreamId) {
        let Some(stream) = self.by_id.remove(&id) else {
            return;
        };
        let watches = std::mem::take(&mut self.audience.streams[stream].watches);
        watches.into_values().for_each(|watcher| self.remove(watcher));
        self.audience.streams.remove(stream);
    }

    /// A stream was read until little was left in it: its watchers may go on.
    pub(super) fn drained(&mut self, id: StreamId) {
        if let Some(stream) = self.by_id.get(&id) {
            self.unpark(*stream);
        }
    }

    fn unpark(&mut self, stream: usize) {
        for watcher in self.audience.streams[stream].parked.clone() {
            self.detach(watcher);
            self.lag(watcher);
        }
    }

    /// A read of the log is done.
    pub(super) fn read_done(&mut self, done: ReadDone) {
        match done {
            ReadDone::Page(page) => self.page_read(page),
            ReadDone::Batches(batches) => self.batches_completed(batches),
        }
    }

    /// Hands everything over that was said and starts what is to be read; to be called after every message.
    pub(super) fn settle(&mut self) -> Vec<ReadJob> {
        loop {
            self.start_log_read();
            let drained = self.audience.flush();
            if drained.is_empty() {
                break;
            }
            drained.into_iter().for_each(|stream| self.unpark(stream));
        }
        self.count();
        std::mem::take(&mut self.jobs)
    }

    fn count(&self) {
        let meter = &self.meter;
        meter.streams.store(self.audience.streams.len(), Relaxed);
        meter.watchers.store(self.audience.watchers.len(), Relaxed);
        meter.catching_up.store(self.lagging.len(), Relaxed);
        meter.parked.store(self.parked, Relaxed);
        meter.ring_bytes.store(self.ring.bytes(), Relaxed);
        meter.revision.store(self.revision.0, Relaxed);
    }

    /// Ends a watcher wherever it stands. Its stream has forgotten it already.
    pub(super) fn remove(&mut self, watcher: usize) {
        self.detach(watcher);
        self.audience.watchers.remove(watcher);
    }

    /// Takes a watcher away from where it gets its events. It must be put somewhere else at once.
    pub(super) fn detach(&mut self, key: usize) {
        let watcher = &self.audience.watchers[key];
        let previous = watcher.variant.prev_kv;
        match watcher.standing {
            Standing::Live(place) => self.leave_registry(place),
            Standing::CatchingUp => self.lagging.remove(previous, watcher.next, key),
            Standing::Parked => {
                self.audience.streams[watcher.stream].parked.remove(&key);
                self.parked -= 1;
                return;
            }
        }
        self.wanting_previous -= usize::from(previous);
    }

    fn leave_registry(&mut self, place: Place) {
        if let Some(moved) = self.registry.remove(place) {
            self.audience.watchers[moved].standing = Standing::Live(place);
        }
    }

    /// Lets a detached watcher follow live. It must have been handed everything up to the hub's revision.
    pub(super) fn go_live(&mut self, key: usize) {
        let watcher = &mut self.audience.watchers[key];
        watcher.standing = Standing::Live(self.registry.insert(&watcher.range, watcher.variant, key));
        self.wanting_previous += usize::from(watcher.variant.prev_kv);
    }

    /// Lets a detached watcher catch up from its next revision on.
    pub(super) fn lag(&mut self, key: usize) {
        let watcher = &mut self.audience.watchers[key];
        watcher.standing = Standing::CatchingUp;
        self.lagging.insert(watcher.variant.prev_kv, watcher.next, key);
        self.wanting_previous += usize::from(watcher.variant.prev_kv);
    }

    /// Lets a detached watcher wait for its stream to be read.
    pub(super) fn park(&mut self, key: usize) {
        let watcher = &mut self.audience.watchers[key];
        watcher.standing = Standing::Parked;
        let stream = watcher.stream;
        self.audience.streams[stream].parked.insert(key);
        self.audience.touch(stream);
        self.parked += 1;
    }
}
