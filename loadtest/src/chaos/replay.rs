//! What every revision did to which keys: the measure for reads of old revisions and for watches.

use std::collections::BTreeMap;

use super::history::{Event, Start};
use super::model::State;

/// A sequence of revisions without gaps.
#[derive(Clone, Debug)]
pub struct Replay {
    start: State,
    end: State,
    events: BTreeMap<i64, Vec<Event>>,
}

impl Replay {
    /// A replay that has not begun.
    #[must_use]
    pub fn new(start: &Start) -> Self {
        Self {
            start: State::from(start),
            end: State::from(start),
            events: BTreeMap::new(),
        }
    }

    /// Appends the next revision. The pairs before are filled in.
    pub fn push(&mut self, mut events: Vec<Event>) {
        for event in &mut events {
            event.previous = self.end.pair(&event.pair.key).cloned();
        }
        self.end.follow(&events);
        self.events.insert(self.end.revision(), events);
    }

    /// The revision before the first that is replayed.
    #[must_use]
    pub fn first(&self) -> i64 {
        self.start.revision()
    }

    /// The newest revision.
    #[must_use]
    pub fn last(&self) -> i64 {
        self.end.revision()
    }

    /// All revisions and their events, from one revision to another, both included.
    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, &[Event])> {
        let range = (from <= to).then(|| self.events.range(from..=to));
        let all = range.into_iter().flatten();
        all.map(|(revision, events)| (*revision, &events[..]))
    }

    /// Shows the keys at each revision that is asked about, in the order of the revisions. Leases and compactions
    /// are not replayed. What is asked about a revision that was not replayed is passed over.
    pub fn visit<T>(&self, mut questions: Vec<(i64, T)>, mut visitor: impl FnMut(&State, T)) {
        questions.sort_by_key(|(revision, _)| *revision);
        let mut state = self.start.clone();
        let mut coming = self.events.values();
        for (revision, question) in questions {
            while state.revision() < revision {
                let Some(events) = coming.next() else { return };
                state.follow(events);
            }
            if state.revision() == revision {
                visitor(&state, question);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::Pair;

    fn event(key: &str, revision: i64, delete: bool) -> Event {
        Event {
            delete,
            pair: Pair {
                key: key.into(),
                mod_revision: revision,
                ..Pair::default()
            },
            previous: None,
        }
    }

    #[test]
    fn every_revision_can_be_looked_at_again() {
        let mut replay = Replay::new(&Start::default());
        replay.push(vec![event("a", 2, false), event("b", 2, false)]);
        replay.push(vec![event("a", 3, true)]);
        let mut seen = Vec::new();
        replay.visit(vec![(3, "x"), (1, "y"), (4, "z"), (2, "w")], |state, name| {
            seen.push((name, state.pair("a").is_some(), state.pair("b").is_some()));
        });
        assert_eq!(seen, [("y", false, false), ("w", true, true), ("x", false, true)]);
        let previous: Vec<_> = replay
            .between(3, 9)
            .flat_map(|(_, events)| events)
            .map(|event| event.previous.as_ref().map(|pair| pair.mod_revision))
            .collect();
        assert_eq!((previous, replay.last()), (vec![Some(2)], 3));
    }
}
