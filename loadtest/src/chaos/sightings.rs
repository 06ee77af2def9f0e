//! What is known of revisions besides the answers to calls: when each was first seen, and what watches of all
//! keys saw of it.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{
    Body, Call, Event, History, Moment, Operation, Outcome, Pair, Request, Stream, Text, Watch, in_range,
};
use super::linearizability::{Seen, Sightings};

impl From<&History> for Sightings {
    /// Everything that the history tells.
    fn from(history: &History) -> Self {
        let mut sightings = Self {
            reads: true,
            ..Self::default()
        };
        sightings.learn_moments(history);
        sightings.learn_events(history);
        sightings.learn_pairs(history.calls.iter());
        sightings
    }
}

impl Sightings {
    /// What the answers to linearizable calls tell, without watches and without members that answered alone.
    #[must_use]
    pub fn of_calls(history: &History) -> Self {
        let mut sightings = Self::default();
        let calls = history.calls.iter();
        sightings.learn_pairs(calls.filter(|call| call.request.is_linearizable()));
        sightings
    }

    fn learn_moments(&mut self, history: &History) {
        let mut seen = |revision, moment| {
            let earliest = self.seen.entry(revision).or_insert(moment);
            *earliest = moment.min(*earliest);
        };
        for (revision, returned) in serializable_reads(history) {
            seen(revision, returned);
        }
        for response in history.streams.iter().flat_map(|stream| &stream.responses) {
            let events = response.events.iter().map(Event::revision);
            let told = (response.revision > 0).then_some(response.revision);
            told.into_iter()
                .chain(events)
                .for_each(|revision| seen(revision, response.at));
        }
    }

    fn learn_events(&mut self, history: &History) {
        let written = written_keys(history);
        for stream in &history.streams {
            for (id, watch) in &stream.watches {
                let complete = written
                    .iter()
                    .all(|key| in_range(key, &watch.key, &watch.range_end));
                let seen = revisions_of(stream, *id, watch);
                seen.into_iter().for_each(|(revision, events)| {
                    let known = self.events.entry(revision).or_default();
                    merge(known, Seen { events, complete });
                });
            }
        }
    }

    /// A pair that anyone was shown was put at its modification revision.
    fn learn_pairs<'h>(&mut self, calls: impl Iterator<Item = &'h Call>) {
        for call in calls {
            let Outcome::Answered(answer) = &call.outcome else {
                continue;
            };
            let with_values = !matches!(&call.request, Request::Range(range) if range.keys_only);
            for pair in pairs_of(&answer.body).into_iter().filter(|_| with_values) {
                let event = Event {
                    delete: false,
                    pair: pair.clone(),
                    previous: None,
                };
                let known = self.events.entry(pair.mod_revision).or_default();
                let events = vec![event];
                merge(
                    known,
                    Seen {
                        events,
                        complete: false,
                    },
                );
            }
        }
    }
}

fn pairs_of(body: &Body) -> Vec<&Pair> {
    match body {
        Body::Range(range) => range.pairs.iter().collect(),
        Body::Put(previous) => previous.iter().collect(),
        Body::DeleteRange { previous, .. } => previous.iter().collect(),
        Body::Txn { responses, .. } => responses.iter().flat_map(pairs_of).collect(),
        Body::LeaseGrant { .. } | Body::LeaseRevoke | Body::Compact => Vec::new(),
    }
}

/// Revisions that single members showed, and when. Only those of reads without a revision of their own: a member
/// that is behind may answer others.
fn serializable_reads(history: &History) -> impl Iterator<Item = (i64, Moment)> {
    history.calls.iter().filter_map(|call| match &call.outcome {
        Outcome::Answered(answer) if !call.request.is_linearizable() => {
            Some((answer.revision, call.returned))
        }
        _ => None,
    })
}

/// The keys that requests may write. Of a range, its first key stands for all.
fn written_keys(history: &History) -> BTreeSet<&Text> {
    let mut keys = BTreeSet::new();
    for call in &history.calls {
        match &call.request {
            Request::Put(put) => drop(keys.insert(&put.key)),
            Request::DeleteRange(delete) => drop(keys.insert(&delete.key)),
            Request::Txn(txn) => {
                keys.extend(txn.success.iter().chain(&txn.failure).filter_map(written_by));
            }
            _ => {}
        }
    }
    keys
}

fn written_by(operation: &Operation) -> Option<&Text> {
    match operation {
        Operation::Range(_) => None,
        Operation::Put(put) => Some(&put.key),
        Operation::DeleteRange(delete) => Some(&delete.key),
    }
}

/// What a watch saw of every revision.
fn revisions_of(stream: &Stream, id: i64, watch: &Watch) -> BTreeMap<i64, Vec<Event>> {
    let mut own: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    let responses = stream.responses.iter();
    for event in responses
        .filter(|response| response.watch == id)
        .flat_map(|response| &response.events)
    {
        if event.revision() >= watch.start_revision {
            own.entry(event.revision()).or_default().push(event.clone());
        }
    }
    // The last revision may be cut short if the stream broke off within a fragmented response.
    if stream.responses.last().is_some_and(|last| last.fragment) {
        own.pop_last();
    }
    own
}

/// A watch of all keys knows best; what others saw is put together.
fn merge(known: &mut Seen, seen: Seen) {
    if known.complete {
        return;
    }
    if seen.complete {
        *known = seen;
        return;
    }
    for event in seen.events {
        let same = |other: &Event| (other.delete, &other.pair) == (event.delete, &event.pair);
        if !known.events.iter().any(same) {
            known.events.push(event);
        }
    }
}
