//! Ranges, puts and deletions.

use super::{Change, State};
use crate::chaos::history::{Body, DeleteRange, Pair, Put, Range, RangeBody, Request, Text, in_range};

impl State {
    pub(super) fn range(&self, range: &Range) -> RangeBody {
        let found = self.within(&range.key, &range.range_end);
        let count = found.len();
        if range.count_only {
            return RangeBody {
                count: length(count),
                ..RangeBody::default()
            };
        }
        let limit = usize::try_from(range.limit).unwrap_or(0);
        let limit = if limit == 0 { count } else { limit };
        let shown = |pair: &Pair| match range.keys_only {
            true => Pair {
                value: Text::default(),
                lease: 0,
                ..pair.clone()
            },
            false => pair.clone(),
        };
        RangeBody {
            pairs: found.into_iter().take(limit).map(shown).collect(),
            count: length(count),
            more: limit < count,
        }
    }

    fn within(&self, key: &Text, range_end: &Text) -> Vec<&Pair> {
        let from_key = self.pairs.range(key.clone()..).map(|(_, pair)| pair);
        from_key
            .take_while(|pair| in_range(&pair.key, key, range_end))
            .collect()
    }

    pub(super) fn put(&mut self, put: &Put, change: &mut Change) -> Body {
        let before = self.pairs.get(&put.key).cloned();
        let revision = change.revision + 1;
        let pair = Pair {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: before.as_ref().map_or(revision, |pair| pair.create_revision),
            mod_revision: revision,
            version: before.as_ref().map_or(1, |pair| pair.version + 1),
            lease: put.lease,
        };
        self.pairs.insert(put.key.clone(), pair);
        change.pairs.push((put.key.clone(), before.clone()));
        Body::Put(before.filter(|_| put.prev_kv))
    }

    pub(super) fn delete_range(&mut self, delete: &DeleteRange, change: &mut Change) -> Body {
        let found = self.within(&delete.key, &delete.range_end);
        let found: Vec<_> = found.into_iter().cloned().collect();
        found
            .iter()
            .for_each(|pair| self.delete(pair.key.clone(), change));
        Body::DeleteRange {
            deleted: length(found.len()),
            previous: if delete.prev_kv { found } else { Vec::new() },
        }
    }

    pub(super) fn delete(&mut self, key: Text, change: &mut Change) {
        let before = self.pairs.remove(&key);
        change.pairs.push((key, before));
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).expect("fewer keys than an i64 counts")
}

/// Whether two bodies say the same. A lease may live longer than was asked.
pub(super) fn same(request: &Request, ours: &Body, theirs: &Body) -> bool {
    match (request, ours, theirs) {
        (Request::Range(range), Body::Range(ours), Body::Range(theirs)) => same_range(range, ours, theirs),
        (_, Body::LeaseGrant { id, ttl }, Body::LeaseGrant { id: other, ttl: told }) => {
            id == other && told >= ttl
        }
        _ => ours == theirs,
    }
}

/// Whether two ranges found the same. Leases of pairs without values are not compared: etcd leaves them out since
/// 3.7 and did not before.
pub(super) fn same_range(range: &Range, ours: &RangeBody, theirs: &RangeBody) -> bool {
    if !range.keys_only {
        return ours == theirs;
    }
    let without_lease = |pair: &Pair| Pair {
        lease: 0,
        ..pair.clone()
    };
    (ours.count, ours.more) == (theirs.count, theirs.more)
        && ours
            .pairs
            .iter()
            .cloned()
            .eq(theirs.pairs.iter().map(without_lease))
}
