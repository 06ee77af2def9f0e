//! Replies as answers of the KV service.

use bytes::Bytes;
use model::{DeleteRangeReply, KeyValue, OperationReply, PutReply, RangeReply, Revision, TxnReply, Value};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::ResponseHeader;
use proto::etcdserverpb::response_op::Response;
use proto::mvccpb;

/// A pair as clients see it.
pub(in crate::services) fn key_value(pair: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: pair.key,
        create_revision: pair.version.create_revision.0,
        mod_revision: pair.version.mod_revision.0,
        version: pair.version.version,
        value: resident(pair.value),
        lease: pair.version.lease.0,
    }
}

/// The bytes of a value in a reply. An answer with a value left out would be a lie about the data, so a store
/// that breaks its promise ends the process.
fn resident(value: Value) -> Bytes {
    match value {
        Value::Resident(bytes) => bytes,
        Value::Stored(position) => unreachable!("the store resolves values before it answers: {position:?}"),
    }
}

fn key_values(pairs: Vec<KeyValue>) -> Vec<mvccpb::KeyValue> {
    pairs.into_iter().map(key_value).collect()
}

/// The answer to a range.
pub(in crate::services) fn range_response(
    header: Option<ResponseHeader>,
    reply: RangeReply,
) -> pb::RangeResponse {
    pb::RangeResponse {
        header,
        kvs: key_values(reply.kvs),
        more: reply.more,
        count: reply.count,
    }
}

/// The answer to a put.
pub(in crate::services) fn put_response(header: Option<ResponseHeader>, reply: PutReply) -> pb::PutResponse {
    pb::PutResponse {
        header,
        prev_kv: reply.prev_kv.map(key_value),
    }
}

/// The answer to a delete.
pub(in crate::services) fn delete_range_response(
    header: Option<ResponseHeader>,
    reply: DeleteRangeReply,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header,
        deleted: reply.deleted,
        prev_kvs: key_values(reply.prev_kvs),
    }
}

/// The answer to a transaction.
pub(in crate::services) fn txn_response(header: Option<ResponseHeader>, reply: TxnReply) -> pb::TxnResponse {
    let responses = reply.responses.into_iter().map(response_op).collect();
    pb::TxnResponse {
        header,
        succeeded: reply.succeeded,
        responses,
    }
}

/// Headers inside a transaction tell the revision alone, and that of a nested transaction tells nothing.
fn response_op(reply: OperationReply) -> pb::ResponseOp {
    let response = match reply {
        OperationReply::Range(reply) => {
            Response::ResponseRange(range_response(revision_only(reply.revision), reply))
        }
        OperationReply::Put(revision, reply) => {
            Response::ResponsePut(put_response(revision_only(revision), reply))
        }
        OperationReply::DeleteRange(revision, reply) => {
            Response::ResponseDeleteRange(delete_range_response(revision_only(revision), reply))
        }
        OperationReply::Txn(reply) => Response::ResponseTxn(txn_response(revision_only(Revision(0)), reply)),
    };
    pb::ResponseOp {
        response: Some(response),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every message holds its header as an option"
)]
fn revision_only(revision: Revision) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision: revision.0,
        ..ResponseHeader::default()
    })
}

#[cfg(test)]
mod tests {
    use model::{LeaseId, Position, Version};

    use super::*;

    fn pair(value: &Bytes) -> KeyValue {
        let version = Version {
            position: Position(5),
            mod_revision: Revision(4),
            create_revision: Revision(3),
            version: 2,
            lease: LeaseId(1),
        };
        KeyValue {
            key: Bytes::from_static(b"k"),
            value: Value::Resident(value.clone()),
            version,
        }
    }

    #[test]
    fn a_pair_keeps_its_numbers_and_its_buffer() {
        let value = Bytes::from(vec![1; 64]);
        let wire = key_value(pair(&value));
        let numbers = (wire.create_revision, wire.mod_revision, wire.version, wire.lease);
        assert_eq!(numbers, (3, 4, 2, 1));
        assert_eq!(wire.value.as_ptr(), value.as_ptr());
    }

    #[test]
    fn headers_inside_a_transaction_tell_little() {
        let inner = TxnReply {
            succeeded: true,
            responses: vec![OperationReply::Put(Revision(8), PutReply::default())],
        };
        let outer = TxnReply {
            succeeded: false,
            responses: vec![OperationReply::Txn(inner)],
        };
        let header = Some(ResponseHeader {
            cluster_id: 1,
            member_id: 2,
            revision: 8,
            raft_term: 1,
        });
        let wire = txn_response(header, outer);
        let Some(Response::ResponseTxn(nested)) = wire.responses[0].response.clone() else {
            panic!("{wire:?}")
        };
        assert_eq!(nested.header, Some(ResponseHeader::default()));
        let Some(Response::ResponsePut(put)) = nested.responses[0].response.clone() else {
            panic!("{nested:?}")
        };
        assert_eq!(
            put.header,
            Some(ResponseHeader {
                revision: 8,
                ..Default::default()
            })
        );
    }

    #[test]
    fn a_range_keeps_more_and_count() {
        let reply = RangeReply {
            revision: Revision(9),
            kvs: vec![pair(&Bytes::new())],
            more: true,
            count: 7,
        };
        let wire = range_response(None, reply);
        assert_eq!((wire.kvs.len(), wire.more, wire.count), (1, true, 7));
    }
}
