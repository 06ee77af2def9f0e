//! The newest state as a decision sees it: what is applied, and over it what was decided since.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{
    Event, KeyRange, KeyValue, Lease, LeaseId, Overlay, Position, RangeQuery, RangeReply, Refusal, Revision,
    Scan, ScanStep, State, Value,
};

/// Where values come from that are not in memory.
pub trait ValueSource {
    /// The value of a log row; none if it cannot be had.
    fn value(&self, position: Position) -> Option<Bytes>;
}

/// The newest state: everything decided so far.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What is applied.
    pub state: &'a State,
    /// What was decided and is not yet applied.
    pub overlay: &'a Overlay,
    /// Where values come from that are not in memory.
    pub values: &'a dyn ValueSource,
}

impl View<'_> {
    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.overlay.revision()
    }

    /// The newest pair of `key`, if it exists.
    #[must_use]
    pub fn latest(&self, key: &[u8]) -> Option<KeyValue> {
        match self.overlay.event_at(key, self.revision()) {
            Some(event) => pair_of(event),
            None => self.state.pair_at(key, self.revision()),
        }
    }

    /// The pairs of a range that exist at `at`, in key order.
    #[must_use]
    pub fn pairs(&self, range: &KeyRange, at: Revision) -> Vec<KeyValue> {
        let stored = self.stored_pairs(range, at);
        let mut waiting = self.overlay.events_at(range, at).peekable();
        if waiting.peek().is_none() {
            return stored;
        }
        let mut merged: BTreeMap<Bytes, KeyValue> =
            stored.into_iter().map(|pair| (pair.key.clone(), pair)).collect();
        for event in waiting {
            match pair_of(event) {
                Some(pair) => merged.insert(event.key.clone(), pair),
                None => merged.remove(&event.key),
            };
        }
        merged.into_values().collect()
    }

    fn stored_pairs(&self, range: &KeyRange, at: Revision) -> Vec<KeyValue> {
        let mut scan = Scan::new(RangeQuery::new(range.clone()), at, at, Vec::new());
        walk_through(&mut scan, self.state);
        scan.into_pairs()
    }

    /// Answers a query inside a transaction, whose newest revision is `newest`.
    pub fn range(&self, query: &RangeQuery, newest: Revision) -> Result<RangeReply, Refusal> {
        let at = if query.revision.0 > 0 {
            query.revision
        } else {
            newest
        };
        let mut scan = Scan::new(query.clone(), at, newest, Vec::new());
        if self.overlay.events_at(&query.range, at).next().is_none() {
            walk_through(&mut scan, self.state);
        } else {
            scan.see_all(&self.pairs(&query.range, at));
        }
        if scan.sorts_by_value() {
            scan.pairs_mut()
                .iter_mut()
                .try_for_each(|pair| self.resolve(pair))?;
        }
        Ok(scan.finish())
    }

    /// Brings the value of a pair into memory.
    pub fn resolve(&self, pair: &mut KeyValue) -> Result<(), Refusal> {
        if let Value::Stored(position) = pair.value {
            pair.value = Value::Resident(self.values.value(position).ok_or(Refusal::ValueUnavailable)?);
        }
        Ok(())
    }

    /// The lease of this identity, if there is one.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<Lease> {
        self.overlay.lease(id).unwrap_or_else(|| self.state.lease(id))
    }

    /// The keys attached to a lease, in order.
    #[must_use]
    pub fn lease_keys(&self, id: LeaseId) -> BTreeSet<Bytes> {
        let mut keys: BTreeSet<Bytes> = self.state.lease_keys(id).cloned().collect();
        for event in self.overlay.newest_events() {
            if event.version.lease == id {
                keys.insert(event.key.clone());
            } else {
                keys.remove(&event.key);
            }
        }
        keys
    }
}

fn walk_through(scan: &mut Scan, state: &State) {
    while scan.walk_all(state) == ScanStep::More {}
}

fn pair_of(event: &Event) -> Option<KeyValue> {
    (!event.is_delete()).then(|| KeyValue {
        key: event.key.clone(),
        value: Value::Resident(event.value.clone()),
        version: event.version,
    })
}
