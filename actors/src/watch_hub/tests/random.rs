//! The hub against a model that knows all of history: whatever order things happen in, every watch is
//! told exactly the events of its range from its start on, in order, once, whole revisions at a time,
//! and nobody is told of progress that was not made.

use std::collections::{HashMap, VecDeque};

use journal::ReadError;
use model::{Event, KeyValue, Revision, Value};

use crate::committed::{Change, CommittedBatch};
use crate::watch::{CancelReason, WatchCreate, WatchEvent, WatchRequest, WatchResponse};
use crate::watch_hub::log_reads::{ReadDone, ReadJob};
use crate::watch_hub::testing::{Dice, Op, Rig, watch};

const SEEDS: u64 = 250;
const STEPS: usize = 400;
const KEYS: [&str; 6] = ["a", "aa", "ab", "b", "ba", "c"];
const STREAMS: usize = 4;

/// A watch as its client knows it.
#[derive(Debug)]
struct Seen {
    create: WatchCreate,
    /// The first revision whose events it was not told of.
    next: Revision,
}

/// A stream as its client knows it.
#[derive(Debug, Default)]
struct Client {
    stream: usize,
    /// Watches that were asked for, and the revision that could be read then.
    asked: VecDeque<(WatchCreate, Revision)>,
    watches: HashMap<i64, Seen>,
}

/// What happened in all runs together, to see that the runs were worth something.
#[derive(Debug, Default)]
struct Tally {
    events: usize,
    progress: usize,
    refused: usize,
    cancelled: usize,
    compacted: usize,
    stalls: u64,
    skips: u64,
    failed_reads: u64,
    pages_from_ring: u64,
    pages_from_log: u64,
}

struct Run {
    seed: u64,
    dice: Dice,
    rig: Rig,
    history: Vec<Change>,
    clients: Vec<Client>,
    large: String,
    tally: Tally,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new();
        let client = |stream| Client {
            stream,
            ..Client::default()
        };
        let clients = (0..STREAMS).map(|_| client(rig.open())).collect();
        let large = "v".repeat(300 << 10);
        Self {
            seed,
            dice: Dice::new(seed),
            rig,
            history: Vec::new(),
            clients,
            large,
            tally: Tally::default(),
        }
    }

    fn step(&mut self) {
        let client = self.dice.below(STREAMS);
        match self.dice.below(40) {
            0..8 => self.commit(),
            8..14 => _ = self.rig.deliver_one(),
            14..17 => _ = self.rig.read_log(),
            17..20 => _ = self.rig.tell_read(),
            20..23 => _ = self.rig.turn(),
            23..29 => (0..self.dice.below(8)).for_each(|_| _ = self.take(client)),
            29..33 => self.create(client),
            33 => self.cancel(client),
            34..36 => self.rig.ask(self.clients[client].stream, WatchRequest::Progress),
            36 => self.tick(),
            37 => self.compact(),
            38 => self.trouble(),
            _ => self.reconnect(client),
        }
    }

    fn tick(&mut self) {
        self.rig.hub.tick();
        self.rig.settle();
    }

    fn commit(&mut self) {
        let large = self.large.clone();
        let revisions = 1 + self.dice.below(4);
        let revisions: Vec<Vec<Op<'_>>> = (0..revisions).map(|_| self.draw_ops(&large)).collect();
        let revisions: Vec<&[Op<'_>]> = revisions.iter().map(Vec::as_slice).collect();
        self.rig.commit(&revisions);
        self.remember();
    }

    fn remember(&mut self) {
        let batch: &CommittedBatch = self.rig.undelivered.back().expect("the batch just made");
        self.history.extend(batch.changes.iter().cloned());
    }

    /// Changes of different keys, at least one.
    fn draw_ops<'a>(&mut self, large: &'a str) -> Vec<Op<'a>> {
        let first = self.dice.below(KEYS.len());
        let keys = (0..=self.dice.below(3)).map(|offset| KEYS[(first + offset) % KEYS.len()]);
        let keys: Vec<&str> = keys.collect();
        let mut draw = |key| match self.dice.below(6) {
            0 => (key, None),
            1 => (key, Some(large)),
            _ => (key, Some("small")),
        };
        keys.into_iter().map(&mut draw).collect()
    }

    fn create(&mut self, client: usize) {
        let now = self.rig.shared.revision().0;
        let (start, end) = (
            KEYS[self.dice.below(KEYS.len())],
            ["", "b", "c", "\0"][self.dice.below(4)],
        );
        let start_revision = match self.dice.below(6) {
            0..2 => 0,
            2..4 => self.dice.below(now as usize + 2) as i64,
            4 => now + self.dice.below(6) as i64,
            _ => (now - self.dice.below(10) as i64).max(-1),
        };
        let create = WatchCreate {
            watch_id: if self.dice.once_in(4) {
                self.dice.below(5) as i64 - 1
            } else {
                0
            },
            start_revision: Revision(start_revision),
            prev_kv: self.dice.once_in(2),
            progress_notify: self.dice.once_in(2),
            no_put: self.dice.once_in(8),
            no_delete: self.dice.once_in(8),
            ..watch(start, end)
        };
        self.clients[client]
            .asked
            .push_back((create.clone(), Revision(now)));
        self.rig.create(self.clients[client].stream, create);
    }

    fn cancel(&mut self, client: usize) {
        let watch_id = self.dice.below(8) as i64 - 1;
        self.rig
            .ask(self.clients[client].stream, WatchRequest::Cancel(watch_id));
    }

    fn compact(&mut self) {
        let (newest, compacted) = (self.rig.shared.revision().0, self.rig.shared.compact_revision().0);
        let wanted = newest - 10 - self.dice.below(60) as i64;
        if wanted > compacted.max(0) {
            self.rig.compact(wanted);
        }
    }

    /// What should not happen and does: values pushed out, batches that are lost on the way, reads that fail.
    fn trouble(&mut self) {
        match self.dice.below(4) {
            0..2 => self.rig.evict(),
            2 => drop(self.rig.undelivered.pop_front()),
            _ => self.fail_a_read(),
        }
        self.rig.hub.retry();
        self.rig.settle();
    }

    fn fail_a_read(&mut self) {
        let Some(job) = self.rig.jobs.pop_front() else {
            return;
        };
        let error = ReadError::Failed("the disk is tired".into());
        self.rig.done.push_back(match job {
            ReadJob::Page { .. } => ReadDone::Page(Err(error)),
            ReadJob::Batches(_) => ReadDone::Batches(Err(error)),
        });
    }

    fn reconnect(&mut self, client: usize) {
        self.rig.close(self.clients[client].stream);
        self.clients[client] = Client {
            stream: self.rig.open(),
            ..Client::default()
        };
    }

    /// Takes one response and holds it against what must be.
    fn take(&mut self, client: usize) -> bool {
        let Some(response) = self.rig.take(self.clients[client].stream) else {
            return false;
        };
        match &response {
            WatchResponse::Created { watch_id, .. } => self.created(client, *watch_id),
            WatchResponse::Canceled { watch_id, reason, .. } => self.canceled(client, *watch_id, reason),
            WatchResponse::Events {
                watch_id,
                revision,
                events,
                ..
            } => {
                self.told(client, *watch_id, *revision, events);
            }
            WatchResponse::Progress { watch_id, revision } => self.progressed(client, *watch_id, *revision),
        }
        true
    }

    fn created(&mut self, client: usize, watch_id: i64) {
        let client = &mut self.clients[client];
        let (create, readable) = client.asked.pop_front().expect("a watch was asked for");
        assert!(
            create.watch_id == 0 || create.watch_id == watch_id,
            "seed {}",
            self.seed
        );
        let next = if create.start_revision.0 == 0 {
            readable.next()
        } else {
            create.start_revision
        };
        let twin = client.watches.insert(watch_id, Seen { create, next });
        assert!(
            twin.is_none(),
            "seed {}: watch {watch_id} exists twice",
            self.seed
        );
    }

    fn canceled(&mut self, client: usize, watch_id: i64, reason: &CancelReason) {
        let client = &mut self.clients[client];
        if let CancelReason::Refused(text) = reason {
            let (create, _) = client.asked.pop_front().expect("a watch was asked for");
            let justified = create.start_revision.0 < 0
                || create.range.is_empty()
                || client.watches.contains_key(&create.watch_id);
            assert!(
                justified && watch_id == -1,
                "seed {}: {create:?} refused: {text}",
                self.seed
            );
            self.tally.refused += 1;
            return;
        }
        let seen = client.watches.remove(&watch_id).expect("a watch that exists");
        if let CancelReason::Compacted(compacted) = reason {
            assert!(
                *compacted <= self.rig.shared.compact_revision(),
                "seed {}",
                self.seed
            );
            assert!(
                seen.create.start_revision < *compacted,
                "seed {}: {seen:?}",
                self.seed
            );
            self.tally.compacted += 1;
        } else {
            self.tally.cancelled += 1;
        }
    }

    fn told(&mut self, client: usize, watch_id: i64, revision: Revision, events: &[WatchEvent]) {
        let seed = self.seed;
        let seen = self.clients[client]
            .watches
            .get_mut(&watch_id)
            .expect("a watch that exists");
        let last = events
            .last()
            .expect("no response without events")
            .event
            .version
            .mod_revision;
        assert!(
            revision >= last && revision <= self.rig.shared.revision(),
            "seed {seed}: header"
        );
        let wanted = expected(&self.history, seen, revision);
        let told: Vec<&Event> = events.iter().map(|event| &event.event).collect();
        let must: Vec<&Event> = wanted.iter().map(|change| &change.event).collect();
        assert!(
            told == must,
            "seed {seed}: watch {watch_id} of {client} was told {}, should be {}",
            brief(&told),
            brief(&must)
        );
        let compacted = self.rig.shared.compact_revision();
        for (event, change) in events.iter().zip(wanted) {
            check_previous(event, change, seen.create.prev_kv, compacted);
        }
        seen.next = revision.next();
        self.tally.events += events.len();
    }

    fn progressed(&mut self, client: usize, watch_id: i64, revision: Revision) {
        let (seed, history) = (self.seed, &self.history);
        let watches = self.clients[client].watches.iter_mut();
        let mut concerned = watches
            .filter(|(id, _)| watch_id == -1 || **id == watch_id)
            .peekable();
        assert!(concerned.peek().is_some(), "seed {seed}: progress of nothing");
        for (id, seen) in concerned {
            let missing = expected(history, seen, revision);
            let missing: Vec<&Event> = missing.iter().map(|change| &change.event).collect();
            assert!(
                missing.is_empty(),
                "seed {seed}: watch {id} was told of {revision:?} and not of {}, {seen:?}",
                brief(&missing)
            );
            assert!(
                revision.next() >= seen.next,
                "seed {seed}: progress of watch {id} went back"
            );
            assert!(
                revision >= seen.create.start_revision,
                "seed {seed}: watch {id} starts later"
            );
            seen.next = revision.next();
        }
        self.tally.progress += 1;
    }

    /// Lets everything settle and sees that nothing was left out.
    fn finish(mut self) -> Tally {
        self.rig
            .commit(&[&[("zz", Some("the last batch shows every gap"))]]);
        self.remember();
        loop {
            self.rig.hub.retry();
            self.rig.settle();
            self.rig.run();
            let mut more = false;
            for client in 0..STREAMS {
                while self.take(client) {
                    more = true;
                }
            }
            if !more {
                break;
            }
        }
        self.nothing_is_missing();
        let report = self.rig.report();
        assert_eq!(
            (report.slow_watchers, report.pending_events, report.lag),
            (0, 0, 0),
            "seed {}",
            self.seed
        );
        self.tally.stalls = report.stalls;
        self.tally.skips = report.skips;
        self.tally.failed_reads = report.failed_reads;
        self.tally.pages_from_ring = report.pages_from_ring;
        self.tally.pages_from_log = report.pages_from_log;
        self.tally
    }

    fn nothing_is_missing(&self) {
        for client in &self.clients {
            assert!(client.asked.is_empty(), "seed {}: unanswered", self.seed);
            for (id, seen) in &client.watches {
                let missing = expected(&self.history, seen, Revision(i64::MAX));
                let missing: Vec<&Event> = missing.iter().map(|change| &change.event).collect();
                assert!(
                    missing.is_empty(),
                    "seed {}: watch {id} misses {}",
                    self.seed,
                    brief(&missing)
                );
            }
        }
    }
}

/// The changes that a watch must be told of up to a revision and was not.
fn expected<'a>(history: &'a [Change], seen: &Seen, to: Revision) -> Vec<&'a Change> {
    let begin = history.partition_point(|change| change.event.version.mod_revision < seen.next);
    let end = history.partition_point(|change| change.event.version.mod_revision <= to);
    let create = &seen.create;
    let wanted = |change: &&Change| {
        let filtered = if change.event.is_delete() {
            create.no_delete
        } else {
            create.no_put
        };
        create.range.contains(&change.event.key) && !filtered
    };
    history
        .get(begin..end)
        .unwrap_or_default()
        .iter()
        .filter(wanted)
        .collect()
}

fn check_previous(told: &WatchEvent, change: &Change, wanted: bool, compacted: Revision) {
    let version = |pair: &KeyValue| pair.version;
    match (&told.prev_kv, &change.previous) {
        (Some(told), Some(before)) => {
            assert!(wanted && told.version == before.version && told.key == before.key);
            let Value::Resident(value) = &told.value else {
                panic!("{told:?} is not at hand")
            };
            if let Value::Resident(before) = &before.value {
                assert!(value == before);
            }
        }
        (None, Some(before)) if wanted => {
            assert!(
                change.event.version.mod_revision <= compacted,
                "{:?} is missing",
                version(before)
            );
        }
        (told, _) => assert!(
            told.is_none(),
            "{:?} was not asked for",
            told.as_ref().map(version)
        ),
    }
}

fn brief(events: &[&Event]) -> String {
    let events = events.iter().map(|event| {
        format!(
            "{}@{}",
            String::from_utf8_lossy(&event.key),
            event.version.mod_revision.0
        )
    });
    events.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_watch_is_told_exactly_its_events_whatever_happens() {
    let mut total = Tally::default();
    for seed in 0..SEEDS {
        let mut run = Run::new(seed);
        (0..STEPS).for_each(|_| run.step());
        let tally = run.finish();
        total.events += tally.events;
        total.progress += tally.progress;
        total.refused += tally.refused;
        total.cancelled += tally.cancelled;
        total.compacted += tally.compacted;
        total.stalls += tally.stalls;
        total.skips += tally.skips;
        total.failed_reads += tally.failed_reads;
        total.pages_from_ring += tally.pages_from_ring;
        total.pages_from_log += tally.pages_from_log;
    }
    println!("{SEEDS} runs of {STEPS} steps: {total:?}");
    let happened = [
        total.stalls,
        total.skips,
        total.failed_reads,
        total.pages_from_ring,
        total.pages_from_log,
    ];
    assert!(
        happened.iter().all(|count| *count > 20),
        "the runs did not try everything: {total:?}"
    );
    let seen = [
        total.events,
        total.progress,
        total.refused,
        total.cancelled,
        total.compacted,
    ];
    assert!(
        seen.iter().all(|count| *count > 50),
        "the runs did not show everything: {total:?}"
    );
}

#[test]
#[should_panic(expected = "misses b@2")]
fn the_model_notices_a_missing_event() {
    let mut run = Run::new(0);
    let create = watch("a", "\0");
    run.clients[0].asked.push_back((create.clone(), Revision(1)));
    run.rig.create(run.clients[0].stream, create);
    run.take(0);
    run.rig.commit(&[&[("b", Some("lost"))]]);
    run.remember();
    run.nothing_is_missing();
}
