//! A store without actors, for tests: what the hub is told comes when the test says so.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use journal::{Journal, MemoryJournal};
use model::{Effect, Event, KeyRange, LeaseId, Position, Revision, State, Version};

use super::StreamId;
use super::hub::Hub;
use super::log_reads::{History, ReadDone, ReadJob};
use super::outbox::{Outbox, Taken};
use super::report::{HubMeter, HubReport};
use crate::committed::{Change, CommittedBatch};
use crate::shared_state::SharedState;
use crate::watch::{WatchCreate, WatchRequest, WatchResponse};

/// Random numbers that a seed repeats.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A batch of creations: revision, key, length of the value.
pub(super) fn batch_of(puts: &[(i64, &'static str, usize)]) -> Arc<CommittedBatch> {
    let change = |(index, (revision, key, length)): (usize, &(i64, &'static str, usize))| {
        let revision = Revision(*revision);
        let version = Version {
            position: Position(index as i64 + 1),
            mod_revision: revision,
            create_revision: revision,
            version: 1,
            lease: LeaseId::NONE,
        };
        let value = Bytes::from(vec![b'v'; *length]);
        Change {
            event: Event {
                key: Bytes::from_static(key.as_bytes()),
                value,
                version,
            },
            previous: None,
        }
    };
    let changes: Vec<Change> = puts.iter().enumerate().map(change).collect();
    let revision = changes
        .last()
        .expect("a batch of something")
        .event
        .version
        .mod_revision;
    Arc::new(CommittedBatch {
        revision,
        changes,
        others: Vec::new(),
    })
}

/// A watch of a range, from now on, with nothing special about it.
pub(super) fn watch(key: &str, end: &str) -> WatchCreate {
    WatchCreate {
        watch_id: 0,
        range: KeyRange::new(
            Bytes::copy_from_slice(key.as_bytes()),
            Bytes::copy_from_slice(end.as_bytes()),
        ),
        start_revision: Revision(0),
        prev_kv: false,
        progress_notify: false,
        fragment: false,
        no_put: false,
        no_delete: false,
    }
}

/// A change of a key: a put of this value, or a delete.
pub(super) type Op<'a> = (&'a str, Option<&'a str>);

/// A store, its log and its hub.
pub(super) struct Rig {
    pub(super) hub: Hub,
    pub(super) shared: Arc<SharedState>,
    meter: Arc<HubMeter>,
    journal: MemoryJournal,
    streams: Vec<(StreamId, Option<Arc<Outbox>>)>,
    /// Batches that are applied and that the hub has not been told of.
    pub(super) undelivered: VecDeque<Arc<CommittedBatch>>,
    /// Reads that the hub wants done.
    pub(super) jobs: VecDeque<ReadJob>,
    /// Reads that are done and that the hub has not been told of.
    pub(super) done: VecDeque<ReadDone>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let journal = MemoryJournal::new();
        let shared = SharedState::new(State::default(), journal.reader());
        let meter = Arc::new(HubMeter::default());
        Self {
            hub: Hub::new(Arc::clone(&shared), Arc::clone(&meter)),
            shared,
            meter,
            journal,
            streams: Vec::new(),
            undelivered: VecDeque::new(),
            jobs: VecDeque::new(),
            done: VecDeque::new(),
        }
    }

    pub(super) fn report(&self) -> HubReport {
        self.meter.report()
    }

    /// Makes one batch durable and visible, one revision for each list of changes; the hub hears of it later.
    pub(super) fn commit(&mut self, revisions: &[&[Op<'_>]]) {
        let mut batch = CommittedBatch::default();
        for ops in revisions {
            let revision = self.shared.revision().next();
            for (key, value) in *ops {
                let change = self.apply(self.event(key, *value, revision));
                batch.changes.push(change);
            }
        }
        batch.revision = self.shared.revision();
        self.undelivered.push_back(Arc::new(batch));
    }

    fn event(&self, key: &str, value: Option<&str>, revision: Revision) -> Event {
        let (position, before) = self.shared.read(|state| {
            (
                state.position().next(),
                state.pair_before(key.as_bytes(), revision),
            )
        });
        let before = before.map(|pair| pair.version).unwrap_or_default();
        let created = if before.version == 0 {
            revision
        } else {
            before.create_revision
        };
        let mut version = Version {
            position,
            mod_revision: revision,
            ..Version::default()
        };
        if value.is_some() {
            version.create_revision = created;
            version.version = before.version + 1;
        }
        let value = Bytes::copy_from_slice(value.unwrap_or_default().as_bytes());
        Event {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value,
            version,
        }
    }

    fn apply(&mut self, event: Event) -> Change {
        let effect = Effect::Key(event.clone());
        self.journal
            .append(std::slice::from_ref(&effect))
            .expect("the log in memory takes everything");
        let previous = self.shared.write(|state| state.apply(&effect));
        Change { event, previous }
    }

    /// Writes one change in a batch of its own and has it told.
    pub(super) fn write(&mut self, key: &str, value: Option<&str>) {
        self.commit(&[&[(key, value)]]);
        self.deliver();
    }

    /// Writes one value in a batch of its own and has it told.
    pub(super) fn put(&mut self, key: &str, value: &str) {
        self.write(key, Some(value));
    }

    /// Compacts history and deletes what it makes unreachable.
    pub(super) fn compact(&mut self, revision: i64) {
        let compacted = Revision(revision);
        let dropped = self.shared.write(|state| {
            state.apply(&Effect::Compacted(compacted));
            state.index_mut().compact(b"", compacted, usize::MAX).positions
        });
        let effects = [Effect::Compacted(compacted), Effect::Scrubbed(dropped)];
        self.journal
            .append(&effects)
            .expect("the log in memory takes everything");
    }

    /// Pushes every value out of memory.
    pub(super) fn evict(&mut self) {
        self.shared
            .write(|state| (0..3).for_each(|_| state.index_mut().evict(0, usize::MAX)));
    }

    /// Tells the hub of every batch.
    pub(super) fn deliver(&mut self) {
        while self.deliver_one() {}
    }

    /// Tells the hub of the oldest batch that it was not told of.
    pub(super) fn deliver_one(&mut self) -> bool {
        let Some(batch) = self.undelivered.pop_front() else {
            return false;
        };
        self.hub.committed(batch);
        self.settle();
        true
    }

    pub(super) fn open(&mut self) -> usize {
        let (id, outbox) = (StreamId(self.streams.len() as u64), Arc::new(Outbox::default()));
        self.streams.push((id, Some(Arc::clone(&outbox))));
        self.hub.open(id, outbox);
        self.streams.len() - 1
    }

    pub(super) fn close(&mut self, stream: usize) {
        self.streams[stream].1 = None;
        self.hub.close(self.streams[stream].0);
        self.settle();
    }

    pub(super) fn ask(&mut self, stream: usize, request: WatchRequest) {
        let (id, outbox) = &self.streams[stream];
        outbox.as_ref().expect("an open stream").asked();
        self.hub.request(*id, request);
        self.settle();
    }

    pub(super) fn create(&mut self, stream: usize, create: WatchCreate) {
        self.ask(stream, WatchRequest::Create(create));
    }

    pub(super) fn settle(&mut self) {
        self.jobs.extend(self.hub.settle());
    }

    /// Does the oldest read that the hub wants.
    pub(super) fn read_log(&mut self) -> bool {
        let Some(job) = self.jobs.pop_front() else {
            return false;
        };
        self.done.push_back(History(Arc::clone(&self.shared)).run(job));
        true
    }

    /// Tells the hub of the oldest read that is done.
    pub(super) fn tell_read(&mut self) -> bool {
        let Some(done) = self.done.pop_front() else {
            return false;
        };
        self.hub.read_done(done);
        self.settle();
        true
    }

    pub(super) fn turn(&mut self) -> bool {
        let has_turn = self.hub.has_turn();
        if has_turn {
            self.hub.turn();
            self.settle();
        }
        has_turn
    }

    /// Lets the hub do all that it can do by itself.
    pub(super) fn run(&mut self) {
        while self.deliver_one() || self.tell_read() || self.read_log() || self.turn() {}
    }

    /// The next response on a stream, as its client would take it.
    pub(super) fn take(&mut self, stream: usize) -> Option<WatchResponse> {
        let (id, outbox) = &self.streams[stream];
        let Taken::Response(response, drained) = outbox.as_ref()?.take() else {
            return None;
        };
        if drained {
            self.hub.drained(*id);
            self.settle();
        }
        Some(response)
    }

    /// Everything that lies on a stream now.
    pub(super) fn read(&mut self, stream: usize) -> Vec<WatchResponse> {
        let mut responses = Vec::new();
        while let Some(response) = self.take(stream) {
            responses.push(response);
        }
        responses
    }

    /// Lets the hub run and reads the stream until nothing more comes.
    pub(super) fn read_all(&mut self, stream: usize) -> Vec<WatchResponse> {
        let mut responses = Vec::new();
        loop {
            self.run();
            let more = self.read(stream);
            if more.is_empty() {
                return responses;
            }
            responses.extend(more);
        }
    }
}
