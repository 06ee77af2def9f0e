//! The traffic that etcd's robustness tests call `Kubernetes`: lists in pages, and writes that compare the
//! modification revision, as kube-apiserver makes them.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::profile::{Profile, pairs};
use crate::chaos::history::{
    Body, Compare, DeleteRange, Operation, Outcome, Pair, Put, Range, Relation, Request, Target, Text, Txn,
    prefix_end,
};

/// What all keys begin with.
pub(super) const PREFIX: &str = "/registry/pods/";
/// Pods that a client tries to keep.
const PODS: usize = 10;
/// Pods of a page.
const PAGE: i64 = 4;

/// One client.
pub(super) struct Kubernetes {
    client: u32,
    values: u64,
    pods: u64,
    /// Where pods were last seen.
    seen: BTreeMap<Text, i64>,
    newest: i64,
    /// Where the list that was begun goes on, and at which revision.
    page: Option<(Text, i64)>,
}

impl Kubernetes {
    pub(super) fn new(client: u32) -> Self {
        Self {
            client,
            values: 0,
            pods: 0,
            seen: BTreeMap::new(),
            newest: 1,
            page: None,
        }
    }

    fn list(&mut self) -> Range {
        let (key, revision) = self.page.take().unwrap_or((PREFIX.into(), 0));
        Range {
            key,
            range_end: prefix_end(PREFIX),
            limit: PAGE,
            revision,
            ..Range::default()
        }
    }

    fn known(&self, rng: &mut Rng) -> Option<(Text, i64)> {
        let place = rng.usize(..self.seen.len().max(1));
        let (key, revision) = self.seen.iter().nth(place)?;
        Some((key.clone(), *revision))
    }

    fn read(&mut self, rng: &mut Rng) -> Request {
        let kind = rng.u8(..100);
        let Some((key, seen)) = self.known(rng).filter(|_| (60..95).contains(&kind)) else {
            return Request::Range(Range {
                serializable: kind >= 95,
                ..self.list()
            });
        };
        let (revision, serializable) = match kind {
            60..75 => (seen.max(self.newest - 5), false),
            75..85 => (0, false),
            _ => (0, true),
        };
        Request::Range(Range {
            key,
            revision,
            serializable,
            limit: 1,
            ..Range::default()
        })
    }

    fn write(&mut self, rng: &mut Rng) -> Request {
        let known = self.known(rng);
        let kind = rng.usize(..100);
        match known {
            Some((key, seen)) if kind < 80 => {
                let put = self.value(key);
                if_at(seen, Operation::Put(put))
            }
            Some((key, seen)) if kind < 80 + self.seen.len() * 20 / (2 * PODS) => if_at(
                seen,
                Operation::DeleteRange(DeleteRange {
                    key,
                    ..DeleteRange::default()
                }),
            ),
            _ => {
                self.pods += 1;
                let put = self.value(format!("{PREFIX}ns/pod-{}-{}", self.client, self.pods).into());
                if_at(0, Operation::Put(put))
            }
        }
    }

    fn value(&mut self, key: Text) -> Put {
        self.values += 1;
        Put {
            key,
            value: format!("c{}v{}", self.client, self.values).into(),
            ..Put::default()
        }
    }

    fn learn_pages(&mut self, range: &Range, revision: i64, found: &[Pair], more: bool) {
        let last = found.last().filter(|_| more && range.limit == PAGE);
        self.page = last.map(|pair| {
            let at = if range.revision > 0 {
                range.revision
            } else {
                revision
            };
            (format!("{}\0", pair.key).into(), at)
        });
    }
}

/// A write that happens if the key stands at a revision, and otherwise reads it.
fn if_at(revision: i64, operation: Operation) -> Request {
    let key = match &operation {
        Operation::Put(put) => put.key.clone(),
        Operation::DeleteRange(delete) => delete.key.clone(),
        Operation::Range(range) => range.key.clone(),
    };
    Request::Txn(Txn {
        compare: vec![Compare {
            key: key.clone(),
            result: Relation::Equal,
            target: Target::ModRevision(revision),
        }],
        success: vec![operation],
        failure: vec![Operation::Range(Range {
            key,
            ..Range::default()
        })],
    })
}

impl Profile for Kubernetes {
    fn next(&mut self, rng: &mut Rng) -> Request {
        match rng.u8(..100) {
            ..45 => self.read(rng),
            _ => self.write(rng),
        }
    }

    fn learn(&mut self, request: &Request, outcome: &Outcome) {
        let Outcome::Answered(answer) = outcome else {
            return;
        };
        self.newest = self.newest.max(answer.revision);
        match (request, &answer.body) {
            (Request::Range(range), Body::Range(found)) => {
                self.learn_pages(range, answer.revision, &found.pairs, found.more);
                if range.range_end.is_empty() && found.count == 0 && range.revision == 0 {
                    self.seen.remove(&range.key);
                }
            }
            (Request::Txn(txn), Body::Txn { succeeded, .. }) => match (&txn.success[..], succeeded) {
                ([Operation::Put(put)], true) => {
                    self.seen.insert(put.key.clone(), answer.revision);
                }
                ([Operation::DeleteRange(DeleteRange { key, .. })], _)
                | ([Operation::Put(Put { key, .. })], false) => {
                    self.seen.remove(key);
                }
                _ => {}
            },
            _ => {}
        }
        if !matches!(request, Request::Range(range) if range.revision > 0 || range.serializable) {
            for pair in pairs(&answer.body) {
                self.seen.insert(pair.key.clone(), pair.mod_revision);
            }
        }
    }
}
