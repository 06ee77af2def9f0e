//! Commands. Bytes stay in the message's buffer: deciding copies what the store keeps.

use bytes::Bytes;
use model::{
    AlarmAction, Command, Compare, CompareResult, CompareTarget, DeleteRange, LeaseGrant, LeaseId, Operation,
    Position, Put, Revision, Txn,
};
use prost::Message;
use proto::peer as pb;
use proto::peer::command::Command as Wire;
use proto::peer::compare::Target;
use proto::peer::operation::Operation as WireOperation;

use super::effect::{alarm_from_wire, alarm_to_wire};
use super::range::{query_from_wire, query_to_wire, range_from_wire, range_to_wire};
use super::{WireError, deeper, unknown_number, unknown_variant};

pub(super) fn command_to_wire(command: Command) -> Result<pb::Command, WireError> {
    let wire = match command {
        Command::Put(put) => Wire::Put(put_to_wire(put)),
        Command::DeleteRange(delete) => Wire::DeleteRange(delete_to_wire(delete)),
        Command::Txn(txn) => Wire::Txn(txn_to_wire(txn, 0)?),
        Command::Compact(Revision(revision)) => Wire::Compact(pb::Compact { revision }),
        Command::LeaseGrant(grant) => Wire::LeaseGrant(grant_to_wire(grant)),
        Command::LeaseRenew { id, deadline_ms } => Wire::LeaseRenew(pb::LeaseRenew {
            lease_id: id.0,
            deadline_ms,
        }),
        Command::LeaseRevoke(LeaseId(lease_id)) => Wire::LeaseRevoke(pb::LeaseRevoke { lease_id }),
        Command::Scrub(positions) => Wire::Scrub(pb::Scrub {
            positions: positions.into_iter().map(|position| position.0).collect(),
        }),
        Command::Alarm(AlarmAction::Activate(alarm)) => Wire::AlarmActivate(alarm_to_wire(alarm)),
        Command::Alarm(AlarmAction::Deactivate(alarm)) => Wire::AlarmDeactivate(alarm_to_wire(alarm)),
    };
    Ok(pb::Command { command: Some(wire) })
}

pub(super) fn command_from_wire(wire: pb::Command) -> Result<Command, WireError> {
    let wire = wire.command.ok_or_else(|| unknown_variant("a command"))?;
    Ok(match wire {
        Wire::Put(put) => Command::Put(put_from_wire(put)),
        Wire::DeleteRange(delete) => Command::DeleteRange(delete_from_wire(delete)?),
        Wire::Txn(txn) => Command::Txn(txn_from_wire(txn, 0)?),
        Wire::Compact(compact) => Command::Compact(Revision(compact.revision)),
        Wire::LeaseGrant(grant) => Command::LeaseGrant(grant_from_wire(grant)),
        Wire::LeaseRenew(renew) => Command::LeaseRenew {
            id: LeaseId(renew.lease_id),
            deadline_ms: renew.deadline_ms,
        },
        Wire::LeaseRevoke(revoke) => Command::LeaseRevoke(LeaseId(revoke.lease_id)),
        Wire::Scrub(scrub) => Command::Scrub(scrub.positions.into_iter().map(Position).collect()),
        Wire::AlarmActivate(alarm) => Command::Alarm(AlarmAction::Activate(alarm_from_wire(alarm)?)),
        Wire::AlarmDeactivate(alarm) => Command::Alarm(AlarmAction::Deactivate(alarm_from_wire(alarm)?)),
    })
}

fn put_to_wire(put: Put) -> pb::Put {
    pb::Put {
        key: put.key,
        value: put.value,
        lease_id: put.lease.0,
        prev_kv: put.prev_kv,
        ignore_value: put.ignore_value,
        ignore_lease: put.ignore_lease,
    }
}

fn put_from_wire(wire: pb::Put) -> Put {
    Put {
        key: wire.key,
        value: wire.value,
        lease: LeaseId(wire.lease_id),
        prev_kv: wire.prev_kv,
        ignore_value: wire.ignore_value,
        ignore_lease: wire.ignore_lease,
    }
}

fn delete_to_wire(delete: DeleteRange) -> pb::DeleteRange {
    let (kind, key, range_end) = range_to_wire(delete.range);
    pb::DeleteRange {
        kind: kind.into(),
        key,
        range_end,
        prev_kv: delete.prev_kv,
    }
}

fn delete_from_wire(wire: pb::DeleteRange) -> Result<DeleteRange, WireError> {
    Ok(DeleteRange {
        range: range_from_wire(wire.kind, wire.key, wire.range_end)?,
        prev_kv: wire.prev_kv,
    })
}

fn grant_to_wire(grant: LeaseGrant) -> pb::LeaseGrant {
    pb::LeaseGrant {
        lease_id: grant.id.0,
        chosen_lease_id: grant.chosen.0,
        ttl: grant.ttl,
        now_ms: grant.now_ms,
    }
}

fn grant_from_wire(wire: pb::LeaseGrant) -> LeaseGrant {
    LeaseGrant {
        id: LeaseId(wire.lease_id),
        chosen: LeaseId(wire.chosen_lease_id),
        ttl: wire.ttl,
        now_ms: wire.now_ms,
    }
}

fn txn_to_wire(txn: Txn, depth: usize) -> Result<pb::Txn, WireError> {
    let depth = deeper(depth)?;
    let branch = |operations: Vec<Operation>| -> Result<Vec<_>, WireError> {
        let operations = operations.into_iter();
        operations
            .map(|operation| operation_to_wire(operation, depth))
            .collect()
    };
    Ok(pb::Txn {
        compare: txn.compare.into_iter().map(compare_to_wire).collect(),
        success: branch(txn.success)?,
        failure: branch(txn.failure)?,
    })
}

fn txn_from_wire(wire: pb::Txn, depth: usize) -> Result<Txn, WireError> {
    let depth = deeper(depth)?;
    let branch = |operations: Vec<pb::Operation>| -> Result<Vec<_>, WireError> {
        let operations = operations.into_iter();
        operations
            .map(|operation| operation_from_wire(operation, depth))
            .collect()
    };
    let compare = wire.compare.into_iter().map(compare_from_wire);
    Ok(Txn {
        compare: compare.collect::<Result<_, _>>()?,
        success: branch(wire.success)?,
        failure: branch(wire.failure)?,
    })
}

fn operation_to_wire(operation: Operation, depth: usize) -> Result<pb::Operation, WireError> {
    let wire = match operation {
        Operation::Range(query) => WireOperation::Range(query_to_wire(query)),
        Operation::Put(put) => WireOperation::Put(put_to_wire(put)),
        Operation::DeleteRange(delete) => WireOperation::DeleteRange(delete_to_wire(delete)),
        Operation::Txn(inner) => WireOperation::Txn(Bytes::from(txn_to_wire(inner, depth)?.encode_to_vec())),
        Operation::Missing => WireOperation::Missing(true),
    };
    Ok(pb::Operation {
        operation: Some(wire),
    })
}

fn operation_from_wire(wire: pb::Operation, depth: usize) -> Result<Operation, WireError> {
    let wire = wire.operation.ok_or_else(|| unknown_variant("an operation"))?;
    Ok(match wire {
        WireOperation::Range(query) => Operation::Range(query_from_wire(query)?),
        WireOperation::Put(put) => Operation::Put(put_from_wire(put)),
        WireOperation::DeleteRange(delete) => Operation::DeleteRange(delete_from_wire(delete)?),
        WireOperation::Txn(inner) => Operation::Txn(txn_from_wire(pb::Txn::decode(inner)?, depth)?),
        WireOperation::Missing(_) => Operation::Missing,
    })
}

fn compare_to_wire(compare: Compare) -> pb::Compare {
    let (kind, key, range_end) = range_to_wire(compare.range);
    let target = match compare.target {
        CompareTarget::Version(version) => Target::Version(version),
        CompareTarget::CreateRevision(revision) => Target::CreateRevision(revision),
        CompareTarget::ModRevision(revision) => Target::ModRevision(revision),
        CompareTarget::Value(value) => Target::Value(value),
        CompareTarget::Lease(lease) => Target::LeaseId(lease),
        CompareTarget::Unknown => Target::UnknownToEtcd(true),
    };
    pb::Compare {
        kind: kind.into(),
        key,
        range_end,
        result: result_to_wire(compare.result).into(),
        target: Some(target),
    }
}

fn compare_from_wire(wire: pb::Compare) -> Result<Compare, WireError> {
    let target = wire
        .target
        .ok_or_else(|| unknown_variant("a target of comparison"))?;
    Ok(Compare {
        range: range_from_wire(wire.kind, wire.key, wire.range_end)?,
        target: match target {
            Target::Version(version) => CompareTarget::Version(version),
            Target::CreateRevision(revision) => CompareTarget::CreateRevision(revision),
            Target::ModRevision(revision) => CompareTarget::ModRevision(revision),
            Target::Value(value) => CompareTarget::Value(value),
            Target::LeaseId(lease) => CompareTarget::Lease(lease),
            Target::UnknownToEtcd(_) => CompareTarget::Unknown,
        },
        result: result_from_wire(wire.result)?,
    })
}

fn result_to_wire(result: CompareResult) -> pb::CompareResult {
    match result {
        CompareResult::Equal => pb::CompareResult::Equal,
        CompareResult::Greater => pb::CompareResult::Greater,
        CompareResult::Less => pb::CompareResult::Less,
        CompareResult::NotEqual => pb::CompareResult::NotEqual,
        CompareResult::Unknown => pb::CompareResult::UnknownToEtcd,
    }
}

fn result_from_wire(wire: i32) -> Result<CompareResult, WireError> {
    match pb::CompareResult::try_from(wire).map_err(unknown_number("a comparison"))? {
        pb::CompareResult::Unspecified => Err(unknown_variant("a comparison")),
        pb::CompareResult::Equal => Ok(CompareResult::Equal),
        pb::CompareResult::Greater => Ok(CompareResult::Greater),
        pb::CompareResult::Less => Ok(CompareResult::Less),
        pb::CompareResult::NotEqual => Ok(CompareResult::NotEqual),
        pb::CompareResult::UnknownToEtcd => Ok(CompareResult::Unknown),
    }
}
