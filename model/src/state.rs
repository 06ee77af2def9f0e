//! The state of the store: what the effects so far add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::{
    AlarmMember, Effect, Event, Index, KeyRange, KeyValue, Lease, LeaseId, Position, RangeQuery, Revision,
    Scan,
};

/// A lease and the keys attached to it.
#[derive(Debug)]
struct LeaseRecord {
    lease: Lease,
    keys: BTreeSet<Bytes>,
}

/// Everything in a state that is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The oldest revision that may be read.
    pub compact_revision: Revision,
    /// Every lease.
    pub leases: Vec<Lease>,
    /// The raised alarms.
    pub alarms: Vec<AlarmMember>,
}

/// A projection of the log. It can be thrown away and rebuilt by applying every effect again.
#[derive(Debug)]
pub struct State {
    index: Index,
    leases: HashMap<LeaseId, LeaseRecord>,
    alarms: BTreeSet<AlarmMember>,
    revision: Revision,
    compact_revision: Revision,
    position: Position,
    applied: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            index: Index::default(),
            leases: HashMap::new(),
            alarms: BTreeSet::new(),
            revision: Revision::INITIAL,
            compact_revision: Revision::NEVER_COMPACTED,
            position: Position::default(),
            applied: 0,
        }
    }
}

impl State {
    /// Takes one effect in. There are no rules here and nothing can be refused.
    /// Returns the pair that an event on a key replaced.
    pub fn apply(&mut self, effect: &Effect) -> Option<KeyValue> {
        self.applied += 1;
        match effect {
            Effect::Key(event) => return self.apply_event(event),
            Effect::LeaseGranted(lease) => self.grant(*lease),
            Effect::LeaseRenewed(lease) => self.renew(*lease),
            Effect::LeaseRevoked(id) => drop(self.leases.remove(id)),
            Effect::Compacted(revision) => self.compacted(*revision),
            Effect::Scrubbed(_) => {}
            Effect::AlarmRaised(alarm) => drop(self.alarms.insert(*alarm)),
            Effect::AlarmCleared(alarm) => drop(self.alarms.remove(alarm)),
        }
        None
    }

    fn apply_event(&mut self, event: &Event) -> Option<KeyValue> {
        self.revision = self.revision.max(event.version.mod_revision);
        self.position = self.position.max(event.version.position);
        let previous = self.index.apply(event);
        let before = previous.as_ref().map_or(LeaseId::NONE, |pair| pair.version.lease);
        if before != event.version.lease {
            self.reattach(&event.key, before, event.version.lease);
        }
        previous
    }

    /// A key has at most one lease: it leaves the old one and joins the new one.
    fn reattach(&mut self, key: &Bytes, from: LeaseId, to: LeaseId) {
        if let Some(record) = self.leases.get_mut(&from) {
            record.keys.remove(key);
        }
        if let Some(record) = self.leases.get_mut(&to) {
            record.keys.insert(key.clone());
        }
    }

    fn grant(&mut self, lease: Lease) {
        self.leases.insert(
            lease.id,
            LeaseRecord {
                lease,
                keys: BTreeSet::new(),
            },
        );
    }

    fn renew(&mut self, lease: Lease) {
        if let Some(record) = self.leases.get_mut(&lease.id) {
            record.lease = lease;
        }
    }

    /// A log whose newest rows were all compacted away still says how far history got.
    fn compacted(&mut self, revision: Revision) {
        self.compact_revision = revision;
        self.revision = self.revision.max(revision);
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that may be read.
    #[must_use]
    pub fn compact_revision(&self) -> Revision {
        self.compact_revision
    }

    /// The newest position used in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many effects were applied since this projection was begun.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The raised alarms, in their order.
    #[must_use]
    pub fn alarms(&self) -> &BTreeSet<AlarmMember> {
        &self.alarms
    }

    /// The keys and their versions.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The keys and their versions, for compaction and eviction.
    pub fn index_mut(&mut self) -> &mut Index {
        &mut self.index
    }

    /// The lease of this identity.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<Lease> {
        self.leases.get(&id).map(|record| record.lease)
    }

    /// The keys attached to a lease, in order.
    pub fn lease_keys(&self, id: LeaseId) -> impl Iterator<Item = &Bytes> {
        self.leases
            .get(&id)
            .into_iter()
            .flat_map(|record| record.keys.iter())
    }

    /// How many leases there are.
    #[must_use]
    pub fn lease_count(&self) -> usize {
        self.leases.len()
    }

    /// Every lease, by identity.
    #[must_use]
    pub fn leases(&self) -> BTreeMap<LeaseId, Lease> {
        self.leases
            .iter()
            .map(|(id, record)| (*id, record.lease))
            .collect()
    }

    /// The effects after which everything in this state that is not an event is as in `rest`.
    ///
    /// A lease that `rest` lacks is gone: events that delete its keys, if there were any, follow or came before.
    #[must_use]
    pub fn reconcile(&self, rest: Rest) -> Vec<Effect> {
        let mut effects = Vec::new();
        if rest.compact_revision > self.compact_revision {
            effects.push(Effect::Compacted(rest.compact_revision));
        }
        let wanted: HashMap<LeaseId, Lease> =
            rest.leases.into_iter().map(|lease| (lease.id, lease)).collect();
        let gone = self.leases.keys().filter(|id| !wanted.contains_key(id));
        effects.extend(gone.map(|id| Effect::LeaseRevoked(*id)));
        effects.extend(
            wanted
                .into_values()
                .filter_map(|lease| match self.lease(lease.id) {
                    None => Some(Effect::LeaseGranted(lease)),
                    Some(known) => (known != lease).then_some(Effect::LeaseRenewed(lease)),
                }),
        );
        let raised = rest.alarms.iter().filter(|alarm| !self.alarms.contains(alarm));
        effects.extend(raised.map(|alarm| Effect::AlarmRaised(*alarm)));
        let cleared = self.alarms.iter().filter(|alarm| !rest.alarms.contains(alarm));
        effects.extend(cleared.map(|alarm| Effect::AlarmCleared(*alarm)));
        effects
    }

    /// The pair of `key` that could be read just before `revision`; none if it did not exist or
    /// compaction took it.
    #[must_use]
    pub fn pair_before(&self, key: &[u8], revision: Revision) -> Option<KeyValue> {
        self.pair_at(key, Revision(revision.0 - 1))
    }

    /// The pair of `key` readable at `at`.
    #[must_use]
    pub fn pair_at(&self, key: &[u8], at: Revision) -> Option<KeyValue> {
        self.index.get(key)?.pair_at(at).map(KeyValue::from)
    }

    /// Whether a hash takes this event in: it is above the compact revision, or what compacting at
    /// `keeping` would keep.
    #[must_use]
    pub fn hashes(&self, event: &Event, keeping: Revision) -> bool {
        event.version.mod_revision > self.compact_revision
            || self
                .pair_at(&event.key, keeping)
                .is_some_and(|pair| pair.version == event.version)
    }

    /// Whether any key exists at `at`.
    #[must_use]
    pub fn has_keys_at(&self, at: Revision) -> bool {
        let everything = KeyRange::From(Bytes::from_static(b"\0"));
        let mut scan = Scan::new(
            RangeQuery {
                limit: 1,
                ..RangeQuery::new(everything)
            },
            at,
            at,
            Vec::new(),
        );
        scan.walk_all(self);
        scan.found_any()
    }
}
