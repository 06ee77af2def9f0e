//! A branch must not write a key twice: etcd's check for duplicate keys, quirks included.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{KeyRange, Operation, Refusal};

/// The keys a branch puts and the ranges it deletes, nested transactions included.
#[derive(Default)]
pub(super) struct Intervals {
    puts: BTreeSet<Bytes>,
    deletes: Vec<KeyRange>,
}

impl Intervals {
    fn add_put(&mut self, key: &Bytes) -> Result<(), Refusal> {
        if self.deletes_key(key) || !self.puts.insert(key.clone()) {
            return Err(Refusal::DuplicateKey);
        }
        Ok(())
    }

    /// etcd does not see a delete of "everything from a key on" as touching a key: that put survives.
    fn deletes_key(&self, key: &Bytes) -> bool {
        self.deletes
            .iter()
            .any(|range| !matches!(range, KeyRange::From(_)) && range.contains(key))
    }

    /// Takes in a nested transaction; its two branches exclude each other and may put the same key.
    fn add_nested(&mut self, success: Self, failure: Self) -> Result<(), Refusal> {
        success.puts.iter().try_for_each(|key| self.add_put(key))?;
        for key in &failure.puts {
            if !success.puts.contains(key) {
                self.add_put(key)?;
            }
        }
        self.deletes.extend(success.deletes);
        self.deletes.extend(failure.deletes);
        Ok(())
    }
}

/// Refuses a branch in which two puts, or a put and a delete, meet on a key.
pub(super) fn check_intervals(branch: &[Operation]) -> Result<Intervals, Refusal> {
    let mut intervals = Intervals::default();
    for operation in branch {
        if let Operation::DeleteRange(delete) = operation {
            intervals.deletes.push(delete.range.clone());
        }
    }
    for operation in branch {
        if let Operation::Txn(inner) = operation {
            intervals.add_nested(check_intervals(&inner.success)?, check_intervals(&inner.failure)?)?;
        }
    }
    for operation in branch {
        if let Operation::Put(put) = operation {
            intervals.add_put(&put.key)?;
        }
    }
    Ok(intervals)
}
