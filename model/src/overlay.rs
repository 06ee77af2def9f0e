//! What was decided and is not yet durable.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bytes::Bytes;

use crate::tally::Work;
use crate::{Alarm, AlarmMember, Effect, Event, KeyRange, Lease, LeaseId, Position, Revision, State, Tally};

/// What a decision left in the overlay, to be dropped once the state has it.
#[derive(Debug)]
enum Trace {
    Key(Bytes),
    Lease(LeaseId),
    Other,
}

/// The speculative part of the newest state: every effect that was decided but not yet applied.
///
/// Effects are counted. As every decided effect is applied once and in order, the state's count says
/// which of them it already has; the overlay forgets those. If a batch fails, the overlay is thrown
/// away and begun again from the state.
#[derive(Debug)]
pub struct Overlay {
    revision: Revision,
    compact_revision: Revision,
    position: Position,
    alarms: BTreeSet<AlarmMember>,
    keys: BTreeMap<Bytes, VecDeque<Event>>,
    leases: HashMap<LeaseId, VecDeque<Option<Lease>>>,
    traces: VecDeque<Trace>,
    issued: u64,
    tally: Tally,
}

impl Overlay {
    /// An overlay with nothing in it, over `state`.
    #[must_use]
    pub fn new(state: &State) -> Self {
        Self {
            revision: state.revision(),
            compact_revision: state.compact_revision(),
            position: state.position(),
            alarms: state.alarms().clone(),
            keys: BTreeMap::new(),
            leases: HashMap::new(),
            traces: VecDeque::new(),
            issued: state.applied(),
            tally: Tally::default(),
        }
    }

    /// Takes in an effect that was just decided.
    pub(crate) fn record(&mut self, effect: &Effect) {
        self.issued += 1;
        let trace = match effect {
            Effect::Key(event) => self.record_event(event),
            Effect::LeaseGranted(lease) | Effect::LeaseRenewed(lease) => {
                self.record_lease(lease.id, Some(*lease))
            }
            Effect::LeaseRevoked(id) => self.record_lease(*id, None),
            other => {
                self.record_other(other);
                Trace::Other
            }
        };
        self.traces.push_back(trace);
    }

    fn record_event(&mut self, event: &Event) -> Trace {
        self.revision = self.revision.max(event.version.mod_revision);
        self.position = self.position.max(event.version.position);
        self.keys
            .entry(event.key.clone())
            .or_default()
            .push_back(event.clone());
        Trace::Key(event.key.clone())
    }

    fn record_lease(&mut self, id: LeaseId, lease: Option<Lease>) -> Trace {
        self.leases.entry(id).or_default().push_back(lease);
        Trace::Lease(id)
    }

    fn record_other(&mut self, effect: &Effect) {
        match effect {
            Effect::Compacted(revision) => self.compact_revision = *revision,
            Effect::AlarmRaised(alarm) => drop(self.alarms.insert(*alarm)),
            Effect::AlarmCleared(alarm) => drop(self.alarms.remove(alarm)),
            _ => {}
        }
    }

    /// Takes back effects that were recorded last: their command was refused after all.
    pub(crate) fn withdraw(&mut self, effects: &[Effect], revision: Revision, position: Position) {
        for _ in effects {
            match self.traces.pop_back() {
                Some(Trace::Key(key)) => drop(self.keys.get_mut(&key).and_then(VecDeque::pop_back)),
                Some(Trace::Lease(id)) => drop(self.leases.get_mut(&id).and_then(VecDeque::pop_back)),
                Some(Trace::Other) | None => {}
            }
        }
        self.keys.retain(|_, waiting| !waiting.is_empty());
        self.leases.retain(|_, waiting| !waiting.is_empty());
        self.issued -= effects.len() as u64;
        self.revision = revision;
        self.position = position;
    }

    /// Counts the operations of a transaction on the store.
    pub(crate) fn count(&mut self, work: Work) {
        self.tally += work;
    }

    /// What was counted since this was asked last.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Forgets what the state has: the first `applied` effects since the state was begun.
    pub fn settle(&mut self, applied: u64) {
        let waiting = usize::try_from(self.issued.saturating_sub(applied)).unwrap_or(usize::MAX);
        while self.traces.len() > waiting {
            match self.traces.pop_front() {
                Some(Trace::Key(key)) => drop_oldest(&mut self.keys, &key),
                Some(Trace::Lease(id)) => self.drop_oldest_lease(id),
                Some(Trace::Other) | None => {}
            }
        }
    }

    fn drop_oldest_lease(&mut self, id: LeaseId) {
        if let Some(waiting) = self.leases.get_mut(&id) {
            waiting.pop_front();
            if waiting.is_empty() {
                self.leases.remove(&id);
            }
        }
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The newest compact revision.
    #[must_use]
    pub fn compact_revision(&self) -> Revision {
        self.compact_revision
    }

    /// The newest position given to an event.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The newest set of alarms.
    #[must_use]
    pub fn alarms(&self) -> &BTreeSet<AlarmMember> {
        &self.alarms
    }

    /// Whether any member has raised this alarm.
    #[must_use]
    pub fn is_raised(&self, alarm: Alarm) -> bool {
        self.alarms.iter().any(|raised| raised.alarm == alarm)
    }

    /// Whether everything that was decided is applied.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.traces.is_empty()
    }

    /// The newest waiting event of a key that is not newer than `at`.
    pub(crate) fn event_at(&self, key: &[u8], at: Revision) -> Option<&Event> {
        newest_at(self.keys.get(key)?, at)
    }

    /// The newest waiting event, not newer than `at`, of every key of a range.
    pub(crate) fn events_at<'a>(
        &'a self,
        range: &'a KeyRange,
        at: Revision,
    ) -> impl Iterator<Item = &'a Event> {
        self.keys
            .range(range.start().clone()..)
            .take_while(|(key, _)| !range.is_past(key))
            .filter_map(move |(_, events)| newest_at(events, at))
    }

    /// The newest waiting event of every key.
    pub(crate) fn newest_events(&self) -> impl Iterator<Item = &Event> {
        self.keys.values().filter_map(VecDeque::back)
    }

    /// What waits for this lease: `Some(None)` if it was revoked.
    pub(crate) fn lease(&self, id: LeaseId) -> Option<Option<Lease>> {
        self.leases.get(&id)?.back().copied()
    }
}

fn newest_at(events: &VecDeque<Event>, at: Revision) -> Option<&Event> {
    events.iter().rev().find(|event| event.version.mod_revision <= at)
}

fn drop_oldest(keys: &mut BTreeMap<Bytes, VecDeque<Event>>, key: &Bytes) {
    if let Some(waiting) = keys.get_mut(key) {
        waiting.pop_front();
        if waiting.is_empty() {
            keys.remove(key);
        }
    }
}
