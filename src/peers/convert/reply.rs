//! Replies. Nobody keeps them, so what they hold stays in the message's buffer.

use bytes::Bytes;
use model::{
    DeleteRangeReply, KeyValue, LeaseGrantReply, LeaseId, OperationReply, Position, PutReply, RangeReply,
    Reply, Revision, TxnReply, Value, Version,
};
use prost::Message;
use proto::peer as pb;
use proto::peer::operation_reply::Reply as WireOperation;
use proto::peer::reply::Reply as Wire;

use super::{WireError, deeper, unknown_variant};

pub(super) fn reply_to_wire(reply: Reply) -> Result<pb::Reply, WireError> {
    let wire = match reply {
        Reply::Put(reply) => Wire::Put(put_to_wire(reply)?),
        Reply::DeleteRange(reply) => Wire::DeleteRange(delete_to_wire(reply)?),
        Reply::Txn(reply) => Wire::Txn(txn_to_wire(reply, 0)?),
        Reply::LeaseGrant(reply) => Wire::LeaseGrant(pb::LeaseGrantReply {
            lease_id: reply.id.0,
            ttl: reply.ttl,
        }),
        Reply::Alarm(changed) => Wire::Alarm(pb::AlarmReply { changed }),
        Reply::Done => Wire::Done(pb::DoneReply {}),
    };
    Ok(pb::Reply { reply: Some(wire) })
}

pub(super) fn reply_from_wire(wire: pb::Reply) -> Result<Reply, WireError> {
    let wire = wire.reply.ok_or_else(|| unknown_variant("a reply"))?;
    Ok(match wire {
        Wire::Put(reply) => Reply::Put(put_from_wire(reply)),
        Wire::DeleteRange(reply) => Reply::DeleteRange(delete_from_wire(reply)),
        Wire::Txn(reply) => Reply::Txn(txn_from_wire(reply, 0)?),
        Wire::LeaseGrant(reply) => Reply::LeaseGrant(LeaseGrantReply {
            id: LeaseId(reply.lease_id),
            ttl: reply.ttl,
        }),
        Wire::Alarm(reply) => Reply::Alarm(reply.changed),
        Wire::Done(pb::DoneReply {}) => Reply::Done,
    })
}

fn put_to_wire(reply: PutReply) -> Result<pb::PutReply, WireError> {
    Ok(pb::PutReply {
        prev_kv: reply.prev_kv.map(pair_to_wire).transpose()?,
    })
}

fn put_from_wire(wire: pb::PutReply) -> PutReply {
    PutReply {
        prev_kv: wire.prev_kv.map(pair_from_wire),
    }
}

fn delete_to_wire(reply: DeleteRangeReply) -> Result<pb::DeleteRangeReply, WireError> {
    Ok(pb::DeleteRangeReply {
        deleted: reply.deleted,
        prev_kvs: pairs_to_wire(reply.prev_kvs)?,
    })
}

fn delete_from_wire(wire: pb::DeleteRangeReply) -> DeleteRangeReply {
    DeleteRangeReply {
        deleted: wire.deleted,
        prev_kvs: pairs_from_wire(wire.prev_kvs),
    }
}

fn range_to_wire(reply: RangeReply) -> Result<pb::RangeReply, WireError> {
    Ok(pb::RangeReply {
        revision: reply.revision.0,
        kvs: pairs_to_wire(reply.kvs)?,
        more: reply.more,
        count: reply.count,
    })
}

fn range_from_wire(wire: pb::RangeReply) -> RangeReply {
    RangeReply {
        revision: Revision(wire.revision),
        kvs: pairs_from_wire(wire.kvs),
        more: wire.more,
        count: wire.count,
    }
}

fn txn_to_wire(reply: TxnReply, depth: usize) -> Result<pb::TxnReply, WireError> {
    let depth = deeper(depth)?;
    let responses = reply.responses.into_iter();
    Ok(pb::TxnReply {
        succeeded: reply.succeeded,
        responses: responses
            .map(|response| operation_to_wire(response, depth))
            .collect::<Result<_, _>>()?,
    })
}

fn txn_from_wire(wire: pb::TxnReply, depth: usize) -> Result<TxnReply, WireError> {
    let depth = deeper(depth)?;
    let responses = wire.responses.into_iter();
    Ok(TxnReply {
        succeeded: wire.succeeded,
        responses: responses
            .map(|response| operation_from_wire(response, depth))
            .collect::<Result<_, _>>()?,
    })
}

fn operation_to_wire(reply: OperationReply, depth: usize) -> Result<pb::OperationReply, WireError> {
    let (revision, wire) = match reply {
        OperationReply::Range(reply) => (Revision(0), WireOperation::Range(range_to_wire(reply)?)),
        OperationReply::Put(revision, reply) => (revision, WireOperation::Put(put_to_wire(reply)?)),
        OperationReply::DeleteRange(revision, reply) => {
            (revision, WireOperation::DeleteRange(delete_to_wire(reply)?))
        }
        OperationReply::Txn(inner) => {
            let inner = Bytes::from(txn_to_wire(inner, depth)?.encode_to_vec());
            (Revision(0), WireOperation::Txn(inner))
        }
    };
    Ok(pb::OperationReply {
        revision: revision.0,
        reply: Some(wire),
    })
}

fn operation_from_wire(wire: pb::OperationReply, depth: usize) -> Result<OperationReply, WireError> {
    let revision = Revision(wire.revision);
    let wire = wire
        .reply
        .ok_or_else(|| unknown_variant("the reply to an operation"))?;
    Ok(match wire {
        WireOperation::Range(reply) => OperationReply::Range(range_from_wire(reply)),
        WireOperation::Put(reply) => OperationReply::Put(revision, put_from_wire(reply)),
        WireOperation::DeleteRange(reply) => OperationReply::DeleteRange(revision, delete_from_wire(reply)),
        WireOperation::Txn(inner) => OperationReply::Txn(txn_from_wire(pb::TxnReply::decode(inner)?, depth)?),
    })
}

fn pairs_to_wire(pairs: Vec<KeyValue>) -> Result<Vec<pb::KeyValue>, WireError> {
    pairs.into_iter().map(pair_to_wire).collect()
}

fn pairs_from_wire(wire: Vec<pb::KeyValue>) -> Vec<KeyValue> {
    wire.into_iter().map(pair_from_wire).collect()
}

fn pair_to_wire(pair: KeyValue) -> Result<pb::KeyValue, WireError> {
    let Value::Resident(value) = pair.value else {
        return Err(WireError::Unresolved);
    };
    Ok(pb::KeyValue {
        key: pair.key,
        value,
        position: pair.version.position.0,
        mod_revision: pair.version.mod_revision.0,
        create_revision: pair.version.create_revision.0,
        version: pair.version.version,
        lease_id: pair.version.lease.0,
    })
}

fn pair_from_wire(wire: pb::KeyValue) -> KeyValue {
    KeyValue {
        key: wire.key,
        value: Value::Resident(wire.value),
        version: Version {
            position: Position(wire.position),
            mod_revision: Revision(wire.mod_revision),
            create_revision: Revision(wire.create_revision),
            version: wire.version,
            lease: LeaseId(wire.lease_id),
        },
    }
}
