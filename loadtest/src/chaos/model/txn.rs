//! Transactions.

use std::cmp::Ordering;

use super::{Change, State};
use crate::chaos::history::{Body, Compare, Operation, Pair, Refusal, Relation, Target, Txn};

impl State {
    /// All conditions are judged on the state before; what could refuse an operation is asked before any runs.
    pub(super) fn txn(&mut self, txn: &Txn, change: &mut Change) -> Result<Body, Refusal> {
        let succeeded = txn.compare.iter().all(|condition| self.holds(condition));
        let branch = if succeeded { &txn.success } else { &txn.failure };
        for operation in branch {
            match operation {
                Operation::Put(put) => self.check_lease(put.lease)?,
                Operation::Range(range) => self.check_revision(range.revision)?,
                Operation::DeleteRange(_) => {}
            }
        }
        let run = |operation: &Operation| match operation {
            Operation::Range(range) => Body::Range(self.range(range)),
            Operation::Put(put) => self.put(put, change),
            Operation::DeleteRange(delete) => self.delete_range(delete, change),
        };
        Ok(Body::Txn {
            succeeded,
            responses: branch.iter().map(run).collect(),
        })
    }

    /// A key that does not exist compares as all zero, but its value compares as nothing does.
    pub(super) fn holds(&self, condition: &Compare) -> bool {
        let absent = Pair::default();
        let found = self.pairs.get(&condition.key);
        let pair = found.unwrap_or(&absent);
        let order = match &condition.target {
            Target::Version(version) => pair.version.cmp(version),
            Target::CreateRevision(revision) => pair.create_revision.cmp(revision),
            Target::ModRevision(revision) => pair.mod_revision.cmp(revision),
            Target::Lease(lease) => pair.lease.cmp(lease),
            Target::Value(_) if found.is_none() => return false,
            Target::Value(value) => pair.value.cmp(value),
        };
        match condition.result {
            Relation::Equal => order == Ordering::Equal,
            Relation::Greater => order == Ordering::Greater,
            Relation::Less => order == Ordering::Less,
            Relation::NotEqual => order != Ordering::Equal,
        }
    }

    pub(super) fn txn_may_yet_change(&self, txn: &Txn) -> bool {
        let writes = |branch: &[Operation]| {
            branch
                .iter()
                .any(|operation| !matches!(operation, Operation::Range(_)))
        };
        writes(&txn.failure) || (writes(&txn.success) && !txn.compare.iter().any(|c| self.is_past(c)))
    }

    /// Whether a condition asks for a modification revision that the key had and left, or that passed it by.
    fn is_past(&self, condition: &Compare) -> bool {
        match (&condition.target, condition.result) {
            (Target::ModRevision(revision), Relation::Equal) => {
                let current = self.pairs.get(&condition.key).map_or(0, |pair| pair.mod_revision);
                *revision > 0 && *revision <= self.revision && current != *revision
            }
            _ => false,
        }
    }
}
