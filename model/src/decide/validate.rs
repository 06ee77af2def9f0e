//! What can be refused without looking at the state.

use super::Limits;
use super::intervals::check_intervals;
use crate::{Command, Compare, Operation, Put, RangeQuery, Refusal, Txn};

/// Refuses a command that no state could accept: it need not enter the pipeline.
pub fn validate(command: &Command, limits: Limits) -> Result<(), Refusal> {
    match command {
        Command::Put(put) => validate_put(put),
        Command::DeleteRange(delete) => provided(delete.range.start()),
        Command::Txn(txn) => {
            validate_txn(txn, limits.max_txn_ops)?;
            check_intervals(&txn.success)?;
            check_intervals(&txn.failure).map(drop)
        }
        _ => Ok(()),
    }
}

impl RangeQuery {
    /// Refuses a query that names no key.
    pub fn validate(&self) -> Result<(), Refusal> {
        provided(self.range.start())
    }
}

fn provided(key: &[u8]) -> Result<(), Refusal> {
    if key.is_empty() {
        Err(Refusal::EmptyKey)
    } else {
        Ok(())
    }
}

fn validate_put(put: &Put) -> Result<(), Refusal> {
    provided(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if put.ignore_lease && put.lease.0 != 0 {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

/// A transaction may have this many conditions or steps in a branch; what it nests shares what is left.
fn validate_txn(txn: &Txn, max_ops: usize) -> Result<(), Refusal> {
    let ops = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    let left = max_ops.checked_sub(ops).ok_or(Refusal::TooManyOperations)?;
    let keyed = |condition: &Compare| provided(condition.range.start());
    txn.compare.iter().try_for_each(keyed)?;
    txn.success
        .iter()
        .chain(&txn.failure)
        .try_for_each(|operation| validate_operation(operation, left))
}

fn validate_operation(operation: &Operation, ops_left: usize) -> Result<(), Refusal> {
    match operation {
        Operation::Range(query) => query.validate(),
        Operation::Put(put) => validate_put(put),
        Operation::DeleteRange(delete) => provided(delete.range.start()),
        Operation::Txn(inner) => validate_txn(inner, ops_left),
        Operation::Missing => Err(Refusal::KeyNotFound),
    }
}

/// Bytes by which a command may grow the log, as etcd's quota counts them; zero for what needs no space.
#[must_use]
pub fn space_cost(command: &Command) -> u64 {
    /// What etcd assumes a lease to take.
    const LEASE_OVERHEAD: u64 = 64;
    match command {
        Command::Put(put) => put_cost(put),
        Command::Txn(txn) => txn_cost(txn),
        Command::LeaseGrant(_) => LEASE_OVERHEAD,
        _ => 0,
    }
}

fn put_cost(put: &Put) -> u64 {
    /// What etcd assumes a pair to take beyond its key and value.
    const PAIR_OVERHEAD: u64 = 256;
    PAIR_OVERHEAD + (put.key.len() + put.value.len()) as u64
}

fn txn_cost(txn: &Txn) -> u64 {
    let branch = |operations: &[Operation]| operations.iter().map(operation_cost).sum::<u64>();
    branch(&txn.success).max(branch(&txn.failure))
}

fn operation_cost(operation: &Operation) -> u64 {
    match operation {
        Operation::Put(put) => put_cost(put),
        Operation::Txn(inner) => txn_cost(inner),
        _ => 0,
    }
}
