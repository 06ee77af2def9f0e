//! Ends of leases as revisions show them: all keys of the lease go, at one revision.

use std::collections::{BTreeMap, BTreeSet};

use crate::chaos::history::{
    Call, Event, History, Moment, Operation, Outcome, Pair, Request, Text, in_range,
};
use crate::chaos::replay::Replay;
use crate::chaos::report::{Guarantee, Violation};

/// The end of a lease that had keys.
#[derive(Debug)]
pub(super) struct End {
    /// The lease.
    pub(super) lease: i64,
    /// The revision at which keys went that only the end of the lease can have deleted.
    pub(super) revision: i64,
    /// Those keys.
    pub(super) deleted: Vec<Text>,
    /// Keys of the lease that stayed.
    left: Vec<Text>,
    /// When traffic was over.
    at: Moment,
}

impl End {
    pub(super) fn violation(&self) -> Option<Violation> {
        (!self.left.is_empty()).then(|| Violation {
            guarantee: Guarantee::LeaseWhole,
            at: self.at,
            text: format!(
                "lease {} ended with {:?} at revision {}, but {:?} stayed",
                self.lease, self.deleted, self.revision, self.left
            ),
        })
    }
}

/// Which keys each lease has, from one revision to the next.
#[derive(Default)]
struct Attached {
    leases: BTreeMap<Text, i64>,
    keys: BTreeMap<i64, BTreeSet<Text>>,
}

impl Attached {
    fn put(&mut self, pair: &Pair) {
        self.delete(&pair.key);
        if pair.lease != 0 {
            self.leases.insert(pair.key.clone(), pair.lease);
            self.keys.entry(pair.lease).or_default().insert(pair.key.clone());
        }
    }

    fn delete(&mut self, key: &Text) {
        if let Some(lease) = self.leases.remove(key)
            && let Some(keys) = self.keys.get_mut(&lease)
        {
            keys.remove(key);
        }
    }

    fn follow(&mut self, events: &[Event]) {
        for event in events {
            match event.delete {
                true => self.delete(&event.pair.key),
                false => self.put(&event.pair),
            }
        }
    }
}

/// All ends of leases by themselves, or by a revocation.
pub(super) fn ends(history: &History, replay: &Replay) -> Vec<End> {
    let clients = Clients::of(history);
    let at = history.calls.iter().map(|call| call.returned).max().unwrap_or(0);
    let (mut attached, mut ends) = (Attached::default(), Vec::new());
    history.start.pairs.iter().for_each(|pair| attached.put(pair));
    for (revision, events) in replay.between(replay.first() + 1, replay.last()) {
        let mut ended: BTreeMap<i64, Vec<Text>> = BTreeMap::new();
        for event in events.iter().filter(|event| clients.did_not(event)) {
            if let Some(lease) = attached.leases.get(&event.pair.key) {
                ended.entry(*lease).or_default().push(event.pair.key.clone());
            }
        }
        attached.follow(events);
        ends.extend(ended.into_iter().map(|(lease, deleted)| End {
            lease,
            revision,
            deleted,
            left: attached.keys[&lease].iter().cloned().collect(),
            at,
        }));
    }
    ends
}

/// What clients may have deleted by name.
struct Clients<'h> {
    /// Revisions that calls were answered to have made.
    revisions: BTreeSet<i64>,
    /// Keys and ranges that calls without an answer may have deleted.
    deleted: BTreeSet<(&'h Text, &'h Text)>,
}

impl<'h> Clients<'h> {
    fn of(history: &'h History) -> Self {
        let (mut revisions, mut deleted) = (BTreeSet::new(), BTreeSet::new());
        for call in &history.calls {
            match &call.outcome {
                Outcome::Answered(answer) if answer.body.tells_change() => {
                    revisions.insert(answer.revision);
                }
                Outcome::Unknown(_) => deleted.extend(deleted_by(call)),
                Outcome::Answered(_) | Outcome::Refused(_) => {}
            }
        }
        Self { revisions, deleted }
    }

    /// Whether an event is a deletion that no client asked for by the key's name.
    fn did_not(&self, event: &Event) -> bool {
        let key = &event.pair.key;
        event.delete
            && !self.revisions.contains(&event.revision())
            && !self.deleted.iter().any(|(from, to)| in_range(key, from, to))
    }
}

fn deleted_by(call: &Call) -> Vec<(&Text, &Text)> {
    match &call.request {
        Request::DeleteRange(delete) => vec![(&delete.key, &delete.range_end)],
        Request::Txn(txn) => {
            let all = txn.success.iter().chain(&txn.failure);
            let ranges = all.filter_map(|operation| match operation {
                Operation::DeleteRange(delete) => Some((&delete.key, &delete.range_end)),
                Operation::Range(_) | Operation::Put(_) => None,
            });
            ranges.collect()
        }
        _ => Vec::new(),
    }
}
