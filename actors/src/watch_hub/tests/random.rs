//! The hub against a model that knows all of history: whatever order things happen in, every watch is
//! told exactly the events of its range from its start on, in order, once, whole revisions at a time,
//! and nobody is told of progress that was not made.

use journal::ReadError;
use model::Revision;

use super::client::{Client, Heard, Truth};
use crate::committed::{Change, CommittedBatch};
use crate::watch::{WatchCreate, WatchRequest};
use crate::watch_hub::log_reads::{ReadDone, ReadJob};
use crate::watch_hub::report::HubReport;
use crate::watch_hub::testing::{Dice, Op, Rig, watch};

const SEEDS: u64 = 250;
const STEPS: usize = 400;
const KEYS: [&str; 6] = ["a", "aa", "ab", "b", "ba", "c"];
const STREAMS: usize = 4;

struct Run {
    seed: u64,
    dice: Dice,
    rig: Rig,
    history: Vec<Change>,
    clients: Vec<Client>,
    large: String,
    heard: Heard,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new();
        let clients = (0..STREAMS).map(|_| Client::on(rig.open())).collect();
        let large = "v".repeat(300 << 10);
        Self {
            seed,
            dice: Dice::new(seed),
            rig,
            history: Vec::new(),
            clients,
            large,
            heard: Heard::default(),
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
        self.clients[client].cancelled.insert(watch_id);
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
        self.clients[client] = Client::on(self.rig.open());
    }

    /// Takes one response and holds it against what must be.
    fn take(&mut self, client: usize) -> bool {
        let Some(response) = self.rig.take(self.clients[client].stream) else {
            return false;
        };
        let truth = truth(self.seed, &self.history, &self.rig);
        self.clients[client].hear(&response, &truth, &mut self.heard);
        true
    }

    /// Lets everything settle and sees that nothing was left out.
    fn finish(mut self) -> (Heard, HubReport) {
        self.rig
            .commit(&[&[("zz", Some("the last batch shows every gap"))]]);
        self.remember();
        loop {
            self.rig.hub.retry();
            self.rig.settle();
            self.rig.run();
            let taken = (0..STREAMS).filter(|client| self.take(*client)).count();
            if taken == 0 {
                break;
            }
        }
        self.nothing_is_missing();
        let report = self.rig.report();
        let left = (
            report.slow_watchers,
            report.pending_events,
            report.pending_bytes,
            report.lag,
        );
        assert_eq!(left, (0, 0, 0, 0), "seed {}", self.seed);
        (self.heard, report)
    }

    fn nothing_is_missing(&self) {
        let truth = truth(self.seed, &self.history, &self.rig);
        self.clients
            .iter()
            .for_each(|client| client.nothing_is_missing(&truth));
    }
}

fn truth<'a>(seed: u64, history: &'a [Change], rig: &Rig) -> Truth<'a> {
    let (newest, compacted) = (rig.shared.revision(), rig.shared.compact_revision());
    Truth {
        seed,
        history,
        newest,
        compacted,
    }
}

fn run(seed: u64) -> (Heard, HubReport) {
    let mut run = Run::new(seed);
    (0..STEPS).for_each(|_| run.step());
    run.finish()
}

#[test]
fn every_watch_is_told_exactly_its_events_whatever_happens() {
    let runs: Vec<(Heard, HubReport)> = (0..SEEDS).map(run).collect();
    let heard = |count: fn(&Heard) -> usize| runs.iter().map(|(heard, _)| count(heard)).sum::<usize>();
    let hub = |count: fn(&HubReport) -> u64| runs.iter().map(|(_, hub)| count(hub)).sum::<u64>() as usize;
    let happened = [
        ("events", heard(|heard| heard.events)),
        ("progress", heard(|heard| heard.progress)),
        ("refused", heard(|heard| heard.refused)),
        ("cancelled", heard(|heard| heard.cancelled)),
        ("compacted", heard(|heard| heard.compacted)),
        ("stalls", hub(|hub| hub.stalls)),
        ("skips", hub(|hub| hub.skips)),
        ("failed reads", hub(|hub| hub.failed_reads)),
        ("pages from the ring", hub(|hub| hub.pages_from_ring)),
        ("pages from the log", hub(|hub| hub.pages_from_log)),
    ];
    println!("{SEEDS} runs of {STEPS} steps: {happened:?}");
    for (what, times) in happened {
        assert!(
            times >= 100,
            "{what} happened {times} times only: the runs show too little"
        );
    }
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
