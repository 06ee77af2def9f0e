//! What is known of revisions besides the answers to calls: when each was first seen, and what watches of all
//! keys saw of it.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Event, History, Moment, Operation, Outcome, Request, Stream, Text, Watch, in_range};
use super::linearizability::{Seen, Sightings};

impl From<&History> for Sightings {
    fn from(history: &History) -> Self {
        let mut sightings = Self {
            reads: true,
            ..Self::default()
        };
        let written = written_keys(history);
        let mut seen = |revision, moment| {
            let earliest = sightings.seen.entry(revision).or_insert(moment);
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
        for stream in &history.streams {
            for (id, watch) in &stream.watches {
                let complete = written
                    .iter()
                    .all(|key| in_range(key, &watch.key, &watch.range_end));
                let seen = revisions_of(stream, *id, watch);
                seen.into_iter().for_each(|(revision, events)| {
                    let known = sightings.events.entry(revision).or_default();
                    merge(known, Seen { events, complete });
                });
            }
        }
        sightings
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

/// A watch of all keys knows best; others know what they saw.
fn merge(known: &mut Seen, seen: Seen) {
    if known.complete {
        return;
    }
    if seen.complete || known.events.is_empty() {
        *known = seen;
    }
}
