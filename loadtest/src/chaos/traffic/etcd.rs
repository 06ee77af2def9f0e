//! The traffic that etcd's robustness tests call `EtcdPutDeleteLease`: ten keys, everything that etcd can do to them.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::profile::{Profile, pairs};
use crate::chaos::history::{
    Compare, DeleteRange, Operation, Outcome, Put, Range, Relation, Request, Target, Text, Txn, prefix_end,
};

/// What all keys begin with.
pub(super) const PREFIX: &str = "k/";
/// How many keys there are.
const KEYS: u64 = 10;
/// Seconds that a lease lives: far longer than a run, and than any jump of a clock.
const TTL: i64 = 90_000;
/// How far back reads of old revisions go.
const BACK: i64 = 20;

/// One client.
pub(super) struct EtcdPutDeleteLease {
    client: u32,
    values: u64,
    leases: i64,
    /// The lease it holds for certain.
    lease: Option<i64>,
    /// Where keys were last seen.
    seen: BTreeMap<Text, i64>,
    newest: i64,
}

impl EtcdPutDeleteLease {
    pub(super) fn new(client: u32) -> Self {
        Self {
            client,
            values: 0,
            leases: 0,
            lease: None,
            seen: BTreeMap::new(),
            newest: 1,
        }
    }

    fn put(&mut self, rng: &mut Rng, lease: i64) -> Put {
        self.values += 1;
        Put {
            key: key(rng),
            value: format!("c{}v{}", self.client, self.values).into(),
            lease,
            prev_kv: rng.u8(..4) == 0,
        }
    }

    /// Old revisions are read linearizable and serializable; new ones, if stale is welcome, serializable.
    fn stale(&self, rng: &mut Rng, range: Range) -> Range {
        let old = rng.bool();
        let revision = rng.i64(self.newest - BACK..=self.newest).max(1);
        Range {
            revision: if old { revision } else { 0 },
            serializable: !old || rng.bool(),
            ..range
        }
    }

    /// Four operations on different keys.
    fn several(&mut self, rng: &mut Rng) -> Request {
        let mut numbers: Vec<_> = (0..KEYS).collect();
        rng.shuffle(&mut numbers);
        let mut operations = Vec::new();
        for number in numbers.into_iter().take(4) {
            let key: Text = format!("{PREFIX}{number}").into();
            operations.push(match rng.u8(..3) {
                0 => Operation::Range(get(key)),
                1 => Operation::DeleteRange(DeleteRange {
                    key,
                    ..DeleteRange::default()
                }),
                _ => Operation::Put(Put {
                    key,
                    ..self.put(rng, 0)
                }),
            });
        }
        Request::Txn(Txn {
            success: operations,
            ..Txn::default()
        })
    }

    /// Writes a key if it stands where it was last seen.
    fn compare_and_set(&mut self, rng: &mut Rng) -> Request {
        let put = self.put(rng, 0);
        let seen = self.seen.get(&put.key).copied().unwrap_or(0);
        Request::Txn(Txn {
            compare: vec![Compare {
                key: put.key.clone(),
                result: Relation::Equal,
                target: Target::ModRevision(seen),
            }],
            failure: vec![Operation::Range(get(put.key.clone()))],
            success: vec![Operation::Put(put)],
        })
    }

    /// With the lease it holds; if it holds none, it asks for one.
    fn leased(&mut self, with: impl FnOnce(&mut Self, i64) -> Request) -> Request {
        match self.lease {
            Some(lease) => with(self, lease),
            None => {
                self.leases += 1;
                Request::LeaseGrant {
                    id: i64::from(self.client) * 1_000_000 + self.leases,
                    ttl: TTL,
                }
            }
        }
    }
}

fn key(rng: &mut Rng) -> Text {
    format!("{PREFIX}{}", rng.u64(..KEYS)).into()
}

fn get(key: Text) -> Range {
    Range {
        key,
        ..Range::default()
    }
}

fn list() -> Range {
    Range {
        key: PREFIX.into(),
        range_end: prefix_end(PREFIX),
        ..Range::default()
    }
}

impl Profile for EtcdPutDeleteLease {
    /// The weights are those of etcd's tests.
    fn next(&mut self, rng: &mut Rng) -> Request {
        let keys_only = |range: Range| Range {
            keys_only: true,
            ..range
        };
        let streamed = |range: Range| Range {
            streamed: true,
            ..range
        };
        match rng.u8(..100) {
            ..15 => Request::Range(get(key(rng))),
            15..19 => Request::Range(Range {
                limit: rng.i64(0..6),
                ..list()
            }),
            19..23 => Request::Range(keys_only(list())),
            23..27 => Request::Range(streamed(list())),
            27..30 => Request::Range(streamed(keys_only(list()))),
            30..40 => {
                let range = get(key(rng));
                Request::Range(self.stale(rng, range))
            }
            40..45 => Request::Range(self.stale(rng, list())),
            45..50 => Request::Range(streamed(self.stale(rng, list()))),
            50..70 => Request::Put(self.put(rng, 0)),
            70..75 => Request::DeleteRange(DeleteRange {
                key: key(rng),
                prev_kv: rng.bool(),
                ..DeleteRange::default()
            }),
            75..85 => self.several(rng),
            85..90 => self.leased(|this, lease| Request::Put(this.put(rng, lease))),
            90..95 => self.leased(|_, id| Request::LeaseRevoke { id }),
            _ => self.compare_and_set(rng),
        }
    }

    fn learn(&mut self, request: &Request, outcome: &Outcome) {
        match (request, outcome) {
            (Request::LeaseGrant { id, .. }, Outcome::Answered(_)) => self.lease = Some(*id),
            (Request::LeaseRevoke { .. }, _) => self.lease = None,
            _ => {}
        }
        if let Outcome::Answered(answer) = outcome {
            self.newest = self.newest.max(answer.revision);
            for pair in pairs(&answer.body) {
                self.seen.insert(pair.key.clone(), pair.mod_revision);
            }
            if let Request::Put(put) = request {
                self.seen.insert(put.key.clone(), answer.revision);
            }
        }
    }
}
