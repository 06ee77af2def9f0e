//! Transactions: conditions first, then one branch, whole or not at all.

use std::cmp::Ordering;

use super::Decider;
use crate::scan::readable;
use crate::{
    Compare, CompareResult, CompareTarget, KeyRange, KeyValue, Operation, OperationReply, RangeQuery,
    Refusal, Reply, Revision, Txn, TxnReply, Value,
};

/// The branch that the conditions chose, nested transactions resolved the same way.
///
/// All conditions, also of nested transactions, are looked at before anything is written.
struct Plan {
    succeeded: bool,
    steps: Vec<Step>,
}

enum Step {
    Simple(Operation),
    Nested(Plan),
}

impl Decider<'_> {
    pub(super) fn txn(&mut self, txn: Txn) -> Result<Reply, Refusal> {
        let read_only = txn.is_read_only();
        let plan = self.plan(txn)?;
        self.check(&plan)?;
        if !read_only {
            self.count_work();
        }
        Ok(Reply::Txn(self.run(plan)?))
    }

    fn plan(&mut self, txn: Txn) -> Result<Plan, Refusal> {
        let mut succeeded = true;
        for condition in &txn.compare {
            succeeded = succeeded && self.holds(condition)?;
        }
        let branch = if succeeded { txn.success } else { txn.failure };
        let step = |operation| match operation {
            Operation::Txn(inner) => self.plan(inner).map(Step::Nested),
            simple => Ok(Step::Simple(simple)),
        };
        Ok(Plan {
            succeeded,
            steps: branch.into_iter().map(step).collect::<Result<_, _>>()?,
        })
    }

    fn holds(&mut self, condition: &Compare) -> Result<bool, Refusal> {
        self.work.ranges += 1;
        let mut pairs = match &condition.range {
            KeyRange::Single(key) => self.view().latest(key).into_iter().collect(),
            range => self.view().pairs(range, self.overlay.revision()),
        };
        if pairs.is_empty() {
            return Ok(holds_when_missing(condition));
        }
        for pair in &mut pairs {
            if matches!(condition.target, CompareTarget::Value(_)) {
                self.view().resolve(pair)?;
            }
            if !holds_for(condition, pair) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Everything that could refuse the branch is asked before its first write.
    fn check(&mut self, plan: &Plan) -> Result<(), Refusal> {
        plan.steps.iter().try_for_each(|step| match step {
            Step::Nested(inner) => self.check(inner),
            Step::Simple(Operation::Range(query)) => self.check_range(query),
            Step::Simple(Operation::Put(put)) => self.check_put(put),
            Step::Simple(_) => Ok(()),
        })
    }

    /// Unlike a plain range, one inside a transaction takes a negative revision at its word.
    fn check_range(&self, query: &RangeQuery) -> Result<(), Refusal> {
        let compacted = self.overlay.compact_revision();
        if query.revision.0 < 0 && query.revision < compacted {
            return Err(Refusal::Compacted);
        }
        readable(query.revision, self.overlay.revision(), compacted).map(drop)
    }

    fn run(&mut self, plan: Plan) -> Result<TxnReply, Refusal> {
        let succeeded = plan.succeeded;
        let responses = plan
            .steps
            .into_iter()
            .map(|step| self.run_step(step))
            .collect::<Result<_, _>>()?;
        Ok(TxnReply { succeeded, responses })
    }

    fn run_step(&mut self, step: Step) -> Result<OperationReply, Refusal> {
        match step {
            Step::Nested(inner) => Ok(OperationReply::Txn(self.run(inner)?)),
            Step::Simple(Operation::Range(query)) => {
                self.work.ranges += 1;
                let answer = self.view().range(&query, self.overlay.revision())?;
                Ok(OperationReply::Range(answer))
            }
            Step::Simple(Operation::Put(put)) => {
                self.work.ranges += u64::from(put.looks_before());
                Ok(OperationReply::Put(self.made_at(), self.put(put)?))
            }
            Step::Simple(Operation::DeleteRange(delete)) => {
                let reply = self.delete_range(&delete);
                Ok(OperationReply::DeleteRange(self.overlay.revision(), reply))
            }
            Step::Simple(Operation::Txn(_) | Operation::Missing) => Err(Refusal::KeyNotFound),
        }
    }
}

/// A missing key compares as all zero, except by value: nothing can be said of a value that is not there.
fn holds_when_missing(condition: &Compare) -> bool {
    let missing = KeyValue {
        key: bytes::Bytes::new(),
        value: Value::Resident(bytes::Bytes::new()),
        version: Default::default(),
    };
    !matches!(condition.target, CompareTarget::Value(_)) && holds_for(condition, &missing)
}

fn holds_for(condition: &Compare, pair: &KeyValue) -> bool {
    let version = &pair.version;
    let revision = |actual: Revision, wanted: &i64| actual.0.cmp(wanted);
    let ordering = match &condition.target {
        CompareTarget::Version(wanted) => version.version.cmp(wanted),
        CompareTarget::CreateRevision(wanted) => revision(version.create_revision, wanted),
        CompareTarget::ModRevision(wanted) => revision(version.mod_revision, wanted),
        CompareTarget::Lease(wanted) => version.lease.0.cmp(wanted),
        CompareTarget::Value(wanted) => match &pair.value {
            Value::Resident(value) => value.cmp(wanted),
            Value::Stored(_) => return false,
        },
        CompareTarget::Unknown => Ordering::Equal,
    };
    match condition.result {
        CompareResult::Equal => ordering.is_eq(),
        CompareResult::NotEqual => ordering.is_ne(),
        CompareResult::Greater => ordering.is_gt(),
        CompareResult::Less => ordering.is_lt(),
        CompareResult::Unknown => true,
    }
}
