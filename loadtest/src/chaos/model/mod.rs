//! What etcd would answer: a deterministic model of its keys and leases.
//!
//! The rules are those of etcd's robustness model: an empty store is at revision 1; every request that changes
//! keys takes one revision, whatever their number, and nothing else does; a compaction is refused at or below
//! the last one and above the current revision, and an empty store was compacted at -1. Time is no part of the
//! model: a lease that ends by itself is revoked by a call that nobody made, see `leases` beside it.

mod keys;
mod txn;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use super::history::{Answer, Body, Event, Outcome, Pair, Range, RangeBody, Refusal, Request, Start, Text};

/// Keys and leases after some number of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    revision: i64,
    compact_revision: i64,
    pairs: BTreeMap<Text, Pair>,
    leases: BTreeSet<i64>,
}

/// What the model says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This answer.
    Answered(Answer),
    /// This refusal.
    Refused(Refusal),
    /// An answer read from an older revision, which the model has forgotten; the header gives this revision.
    Historic(i64),
}

/// What a request changed: enough to take it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    revision: i64,
    compact_revision: i64,
    /// The keys in the order in which they changed, with what they were before.
    pairs: Vec<(Text, Option<Pair>)>,
    /// A lease that was made (true) or ended (false).
    lease: Option<(i64, bool)>,
}

impl Default for State {
    fn default() -> Self {
        Self::from(&Start::default())
    }
}

impl From<&Start> for State {
    fn from(start: &Start) -> Self {
        let pairs = start.pairs.iter().map(|pair| (pair.key.clone(), pair.clone()));
        Self {
            revision: start.revision,
            compact_revision: start.compact_revision,
            pairs: pairs.collect(),
            leases: start.leases.iter().copied().collect(),
        }
    }
}

impl From<&State> for Start {
    fn from(state: &State) -> Self {
        Self {
            revision: state.revision,
            compact_revision: state.compact_revision,
            pairs: state.pairs.values().cloned().collect(),
            leases: state.leases.iter().copied().collect(),
        }
    }
}

impl State {
    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The oldest readable revision; -1 if nothing was ever compacted.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// The key as it stands.
    #[must_use]
    pub fn pair(&self, key: &str) -> Option<&Pair> {
        self.pairs.get(key)
    }

    /// Whether there is such a lease.
    #[must_use]
    pub fn has_lease(&self, lease: i64) -> bool {
        self.leases.contains(&lease)
    }

    /// Answers a request and changes the state as it demands.
    pub fn apply(&mut self, request: &Request) -> (Reply, Change) {
        let mut change = Change {
            revision: self.revision,
            compact_revision: self.compact_revision,
            pairs: Vec::new(),
            lease: None,
        };
        let reply = match self.decide(request, &mut change) {
            Err(refusal) => Reply::Refused(refusal),
            Ok(None) => Reply::Historic(self.revision),
            Ok(Some(body)) => {
                self.revision += i64::from(!change.pairs.is_empty());
                Reply::Answered(Answer {
                    revision: self.revision,
                    body,
                })
            }
        };
        (reply, change)
    }

    /// The body of the answer, none if it is in history; nothing is changed by what is refused.
    fn decide(&mut self, request: &Request, change: &mut Change) -> Result<Option<Body>, Refusal> {
        match request {
            Request::Range(range) => {
                self.check_revision(range.revision)?;
                Ok((range.revision <= 0).then(|| Body::Range(self.range(range))))
            }
            Request::Put(put) => {
                self.check_lease(put.lease)?;
                Ok(Some(self.put(put, change)))
            }
            Request::DeleteRange(delete) => Ok(Some(self.delete_range(delete, change))),
            Request::Txn(txn) => self.txn(txn, change).map(Some),
            Request::LeaseGrant { id, ttl } => self.grant(*id, *ttl, change).map(Some),
            Request::LeaseRevoke { id } => self.revoke(*id, change).map(Some),
            Request::Compact { revision } => self.compact(*revision).map(Some),
        }
    }

    fn check_revision(&self, revision: i64) -> Result<(), Refusal> {
        match revision {
            ..=0 => Ok(()),
            _ if revision > self.revision => Err(Refusal::FutureRevision),
            _ if revision < self.compact_revision => Err(Refusal::Compacted),
            _ => Ok(()),
        }
    }

    fn check_lease(&self, lease: i64) -> Result<(), Refusal> {
        match lease == 0 || self.leases.contains(&lease) {
            true => Ok(()),
            false => Err(Refusal::LeaseNotFound),
        }
    }

    fn grant(&mut self, id: i64, ttl: i64, change: &mut Change) -> Result<Body, Refusal> {
        if !self.leases.insert(id) {
            return Err(Refusal::LeaseExists);
        }
        change.lease = Some((id, true));
        Ok(Body::LeaseGrant { id, ttl })
    }

    /// Deletes the lease's keys in the order of the keys, at one revision.
    fn revoke(&mut self, id: i64, change: &mut Change) -> Result<Body, Refusal> {
        self.check_lease(id)?;
        self.leases.remove(&id);
        change.lease = Some((id, false));
        let attached = self.pairs.values().filter(|pair| pair.lease == id);
        let keys: Vec<_> = attached.map(|pair| pair.key.clone()).collect();
        keys.into_iter().for_each(|key| self.delete(key, change));
        Ok(Body::LeaseRevoke)
    }

    fn compact(&mut self, revision: i64) -> Result<Body, Refusal> {
        if revision <= self.compact_revision {
            return Err(Refusal::Compacted);
        }
        if revision > self.revision {
            return Err(Refusal::FutureRevision);
        }
        self.compact_revision = revision;
        Ok(Body::Compact)
    }

    /// Takes back the newest change that was not taken back yet.
    pub fn undo(&mut self, change: Change) {
        self.revision = change.revision;
        self.compact_revision = change.compact_revision;
        for (key, before) in change.pairs.into_iter().rev() {
            match before {
                Some(pair) => drop(self.pairs.insert(key, pair)),
                None => drop(self.pairs.remove(&key)),
            }
        }
        match change.lease {
            Some((lease, true)) => drop(self.leases.remove(&lease)),
            Some((lease, false)) => drop(self.leases.insert(lease)),
            None => {}
        }
    }

    /// The events of the newest change, in their order, with the pairs before.
    #[must_use]
    pub fn events(&self, change: &Change) -> Vec<Event> {
        let event = |(key, before): &(Text, Option<Pair>)| match self.pairs.get(key) {
            Some(pair) => Event {
                delete: false,
                pair: pair.clone(),
                previous: before.clone(),
            },
            None => Event {
                delete: true,
                pair: Pair {
                    key: key.clone(),
                    mod_revision: self.revision,
                    ..Pair::default()
                },
                previous: before.clone(),
            },
        };
        change.pairs.iter().map(event).collect()
    }

    /// Takes the events of the next revision as they are.
    pub fn follow(&mut self, events: &[Event]) {
        self.revision += 1;
        for event in events {
            let key = event.pair.key.clone();
            match event.delete {
                true => drop(self.pairs.remove(&key)),
                false => drop(self.pairs.insert(key, event.pair.clone())),
            }
        }
    }

    /// What a range finds, whatever revision it asks for.
    #[must_use]
    pub fn found(&self, range: &Range) -> RangeBody {
        self.range(range)
    }

    /// Whether a range that found `theirs` may have found what is here.
    #[must_use]
    pub fn shows(&self, range: &Range, theirs: &RangeBody) -> bool {
        keys::same_range(range, &self.range(range), theirs)
    }

    /// Whether an unanswered request could still change keys one day. A transaction that asks for a
    /// modification revision that its key has left behind never will: revisions do not come back.
    #[must_use]
    pub fn may_yet_change(&self, request: &Request) -> bool {
        match request {
            Request::Txn(txn) => self.txn_may_yet_change(txn),
            _ => true,
        }
    }
}

impl Hash for State {
    /// Everything that answers depend on.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.revision, self.compact_revision).hash(hasher);
        self.leases.hash(hasher);
        self.pairs.len().hash(hasher);
        self.pairs.values().for_each(|pair| pair.hash(hasher));
    }
}

impl Change {
    /// Whether a revision was used.
    #[must_use]
    pub fn is_revision(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Whether the state was changed at all, given the state after it.
    #[must_use]
    pub fn is_any(&self, after: &State) -> bool {
        self.is_revision() || self.lease.is_some() || self.compact_revision != after.compact_revision
    }
}

impl Reply {
    /// Whether a server that stands where the model stands can have said this. The revision in the header of a
    /// compaction's answer is not compared: etcd reads it after the compaction, not with it.
    #[must_use]
    pub fn allows(&self, request: &Request, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Answered(ours), Outcome::Answered(theirs)) => match request {
                Request::Compact { .. } => ours.body == theirs.body,
                _ => ours.revision == theirs.revision && keys::same(request, &ours.body, &theirs.body),
            },
            (Self::Historic(revision), Outcome::Answered(theirs)) => theirs.revision == *revision,
            (Self::Refused(ours), Outcome::Refused(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
