//! A client that knows all of history and believes nothing it is told.

use std::collections::{HashMap, HashSet, VecDeque};

use model::{Event, Revision, Value};

use crate::committed::Change;
use crate::watch::{CancelReason, WatchCreate, WatchEvent, WatchResponse};

/// What is true, to hold responses against.
pub(super) struct Truth<'a> {
    pub(super) seed: u64,
    /// Every change that was ever made, in order.
    pub(super) history: &'a [Change],
    /// The store's revision.
    pub(super) newest: Revision,
    /// The compact revision.
    pub(super) compacted: Revision,
}

/// What a client was told, by kind.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) events: usize,
    pub(super) progress: usize,
    pub(super) refused: usize,
    pub(super) cancelled: usize,
    pub(super) compacted: usize,
}

/// A watch as its client knows it.
#[derive(Debug)]
struct Seen {
    create: WatchCreate,
    /// The first revision whose events it was not told of.
    next: Revision,
}

/// A stream as its client knows it.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) stream: usize,
    /// Watches that were asked for, and the revision that could be read then.
    pub(super) asked: VecDeque<(WatchCreate, Revision)>,
    /// Watches that were cancelled, whether there were any or not.
    pub(super) cancelled: HashSet<i64>,
    watches: HashMap<i64, Seen>,
    /// Identities of watches that compaction ended and that were not cancelled since.
    ended: HashSet<i64>,
}

impl Client {
    /// A client on a new stream.
    pub(super) fn on(stream: usize) -> Self {
        Self {
            stream,
            ..Self::default()
        }
    }

    /// Holds a response against what must be.
    pub(super) fn hear(&mut self, response: &WatchResponse, truth: &Truth<'_>, heard: &mut Heard) {
        match response {
            WatchResponse::Created { watch_id, .. } => self.created(*watch_id, truth),
            WatchResponse::Canceled { watch_id, reason, .. } => match reason {
                CancelReason::Refused(text) => {
                    self.refused(*watch_id, text, truth);
                    heard.refused += 1;
                }
                CancelReason::Requested => {
                    self.canceled(*watch_id, truth);
                    heard.cancelled += 1;
                }
                CancelReason::Compacted(revision) => {
                    self.overtaken(*watch_id, *revision, truth);
                    heard.compacted += 1;
                }
            },
            WatchResponse::Events {
                watch_id,
                revision,
                events,
                ..
            } => {
                self.told(*watch_id, *revision, events, truth);
                heard.events += events.len();
            }
            WatchResponse::Progress { watch_id, revision } => {
                self.progressed(*watch_id, *revision, truth);
                heard.progress += 1;
            }
        }
    }

    fn created(&mut self, watch_id: i64, truth: &Truth<'_>) {
        let (create, readable) = self.asked.pop_front().expect("a watch was asked for");
        assert!(
            create.watch_id == 0 || create.watch_id == watch_id,
            "seed {}",
            truth.seed
        );
        let starts_anywhere = create.start_revision.0 == 0;
        let next = if starts_anywhere {
            readable.next()
        } else {
            create.start_revision
        };
        let twin = self.watches.insert(watch_id, Seen { create, next });
        assert!(
            twin.is_none(),
            "seed {}: watch {watch_id} exists twice",
            truth.seed
        );
    }

    fn refused(&mut self, watch_id: i64, text: &str, truth: &Truth<'_>) {
        let (create, _) = self.asked.pop_front().expect("a watch was asked for");
        let duplicate = create.watch_id != 0 && self.uses(create.watch_id);
        let justified = create.start_revision.0 < 0 || create.range.is_empty() || duplicate;
        assert!(
            justified && watch_id == -1,
            "seed {}: {create:?} refused: {text}",
            truth.seed
        );
    }

    /// A watch that compaction ended keeps its identity until it is cancelled.
    fn uses(&self, watch_id: i64) -> bool {
        self.watches.contains_key(&watch_id) || self.ended.contains(&watch_id)
    }

    fn canceled(&mut self, watch_id: i64, truth: &Truth<'_>) {
        let existed = self.watches.remove(&watch_id).is_some() || self.ended.remove(&watch_id);
        assert!(
            existed && self.cancelled.contains(&watch_id),
            "seed {}: {watch_id}",
            truth.seed
        );
    }

    fn overtaken(&mut self, watch_id: i64, revision: Revision, truth: &Truth<'_>) {
        let seen = self.watches.remove(&watch_id).expect("a watch that exists");
        self.ended.insert(watch_id);
        let justified = revision <= truth.compacted && seen.next < revision;
        assert!(justified, "seed {}: {seen:?} at {revision:?}", truth.seed);
    }

    fn told(&mut self, watch_id: i64, revision: Revision, events: &[WatchEvent], truth: &Truth<'_>) {
        let seed = truth.seed;
        let seen = self.watches.get_mut(&watch_id).expect("a watch that exists");
        let last = events.last().expect("no response without events");
        let last = last.event.version.mod_revision;
        assert!(
            revision >= last && revision <= truth.newest,
            "seed {seed}: header {revision:?}"
        );
        let wanted = seen.expected(truth, revision);
        let (told, must) = (
            events.iter().map(|event| &event.event),
            wanted.iter().map(|change| &change.event),
        );
        let (told, must): (Vec<&Event>, Vec<&Event>) = (told.collect(), must.collect());
        let (was, should) = (brief(&told), brief(&must));
        assert!(
            told == must,
            "seed {seed}: watch {watch_id} was told {was}, should be {should}"
        );
        for (event, change) in events.iter().zip(wanted) {
            check_previous(event, change, seen.create.prev_kv, truth);
        }
        seen.next = revision.next();
    }

    fn progressed(&mut self, watch_id: i64, revision: Revision, truth: &Truth<'_>) {
        let seed = truth.seed;
        let concerned = self
            .watches
            .iter_mut()
            .filter(|(id, _)| watch_id == -1 || **id == watch_id);
        let mut concerned = concerned.peekable();
        assert!(concerned.peek().is_some(), "seed {seed}: progress of nothing");
        for (id, seen) in concerned {
            let missing = seen.missing(truth, revision);
            assert!(
                missing.is_empty(),
                "seed {seed}: {id} was told of {revision:?}, not of {missing}"
            );
            assert!(
                revision.next() >= seen.next,
                "seed {seed}: progress of {id} went back"
            );
            assert!(
                revision >= seen.create.start_revision,
                "seed {seed}: {id} starts later"
            );
            seen.next = revision.next();
        }
    }

    /// Everything was read: nothing may be unanswered or untold.
    pub(super) fn nothing_is_missing(&self, truth: &Truth<'_>) {
        assert!(self.asked.is_empty(), "seed {}: unanswered", truth.seed);
        for (id, seen) in &self.watches {
            let missing = seen.missing(truth, truth.newest);
            assert!(
                missing.is_empty(),
                "seed {}: watch {id} misses {missing}",
                truth.seed
            );
        }
    }
}

impl Seen {
    /// The changes that it must be told of up to a revision and was not.
    fn expected<'a>(&self, truth: &Truth<'a>, to: Revision) -> Vec<&'a Change> {
        let revision_of = |change: &Change| change.event.version.mod_revision;
        let begin = truth
            .history
            .partition_point(|change| revision_of(change) < self.next);
        let end = truth.history.partition_point(|change| revision_of(change) <= to);
        let between = truth.history.get(begin..end).unwrap_or_default();
        between
            .iter()
            .filter(|change| self.wants(&change.event))
            .collect()
    }

    fn wants(&self, event: &Event) -> bool {
        let filtered = if event.is_delete() {
            self.create.no_delete
        } else {
            self.create.no_put
        };
        self.create.range.contains(&event.key) && !filtered
    }

    /// The same in words.
    fn missing(&self, truth: &Truth<'_>, to: Revision) -> String {
        let missing = self.expected(truth, to);
        brief(
            &missing
                .iter()
                .map(|change| &change.event)
                .collect::<Vec<&Event>>(),
        )
    }
}

/// The pair before may only be left out where compaction took it.
fn check_previous(told: &WatchEvent, change: &Change, wanted: bool, truth: &Truth<'_>) {
    let event = brief(&[&change.event]);
    let before = change.previous.as_ref().filter(|_| wanted);
    match (&told.prev_kv, before) {
        (Some(told), Some(before)) => {
            assert!(
                told.version == before.version && told.key == before.key,
                "{event}"
            );
            let Value::Resident(value) = &told.value else {
                panic!("{event}: not at hand")
            };
            assert!(
                !matches!(&before.value, Value::Resident(before) if before != value),
                "{event}"
            );
        }
        (None, Some(_)) => {
            let may_be_gone = change.event.version.mod_revision <= truth.compacted;
            assert!(
                may_be_gone,
                "seed {}: {event} without the pair before",
                truth.seed
            );
        }
        (told, None) => assert!(told.is_none(), "seed {}: {event} with a pair before", truth.seed),
    }
}

fn brief(events: &[&Event]) -> String {
    let brief = |event: &&Event| {
        format!(
            "{}@{}",
            String::from_utf8_lossy(&event.key),
            event.version.mod_revision.0
        )
    };
    events.iter().map(brief).collect::<Vec<String>>().join(" ")
}
