//! Ranges, puts, deletions, transactions, compactions.

use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::*;
use proto::mvccpb::KeyValue;

use crate::{HEADER_BODY, HEADER_FIELD, header, pin, wire};

/// The key `a` with a number in every field; [`PAIR_BODY`] on the wire.
pub(crate) fn pair() -> KeyValue {
    KeyValue {
        key: "a".into(),
        create_revision: 2,
        mod_revision: 300,
        version: 3,
        value: "v".into(),
        lease: 4660,
    }
}

/// What [`pair`] is on the wire.
pub(crate) const PAIR_BODY: &[u8; 16] = b"\x0a\x01a\x10\x02\x18\xac\x02\x20\x03\x2a\x01v\x30\xb4\x24";

#[test]
fn key_value() {
    pin(PAIR_BODY, pair());
}

#[test]
fn range_request_with_every_field() {
    let bytes = wire![
        b"\x0a\x01a",
        b"\x12\x01b",
        b"\x18\xf4\x03",
        b"\x20\xac\x02",
        b"\x28\x02",
        b"\x30\x04",
        b"\x38\x01",
        b"\x40\x01",
        b"\x48\x01",
        b"\x50\x0a",
        b"\x58\x0b",
        b"\x60\x0c",
        b"\x68\x0d",
    ];
    let request = RangeRequest {
        key: "a".into(),
        range_end: "b".into(),
        limit: 500,
        revision: 300,
        sort_order: SortOrder::Descend.into(),
        sort_target: SortTarget::Value.into(),
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 10,
        max_mod_revision: 11,
        min_create_revision: 12,
        max_create_revision: 13,
    };
    pin(&bytes, request);
}

#[test]
fn sort_orders_and_targets() {
    let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
    assert_eq!(orders.map(|order| order as i32), [0, 1, 2]);
    let targets = [
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::Create,
        SortTarget::Mod,
        SortTarget::Value,
    ];
    assert_eq!(targets.map(|target| target as i32), [0, 1, 2, 3, 4]);
}

fn range_response() -> RangeResponse {
    RangeResponse {
        header: Some(header()),
        kvs: vec![pair(), pair()],
        more: true,
        count: 7,
    }
}

fn range_response_body() -> Vec<u8> {
    wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x12\x10",
        PAIR_BODY,
        b"\x12\x10",
        PAIR_BODY,
        b"\x18\x01",
        b"\x20\x07",
    ]
}

#[test]
fn range_response_with_every_field() {
    pin(&range_response_body(), range_response());
}

#[test]
fn range_stream_response() {
    let body = range_response_body();
    assert_eq!(body.len(), 60);
    pin(
        &wire![b"\x0a\x3c", body],
        RangeStreamResponse {
            range_response: Some(range_response()),
        },
    );
}

#[test]
fn put_request_with_every_field() {
    let bytes = wire![
        b"\x0a\x01a",
        b"\x12\x01v",
        b"\x18\xb4\x24",
        b"\x20\x01",
        b"\x28\x01",
        b"\x30\x01"
    ];
    let request = PutRequest {
        key: "a".into(),
        value: "v".into(),
        lease: 4660,
        prev_kv: true,
        ignore_value: true,
        ignore_lease: true,
    };
    pin(&bytes, request);
}

#[test]
fn put_response() {
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x10", PAIR_BODY];
    pin(
        &bytes,
        PutResponse {
            header: Some(header()),
            prev_kv: Some(pair()),
        },
    );
}

#[test]
fn delete_range() {
    let request = DeleteRangeRequest {
        key: "a".into(),
        range_end: "\0".into(),
        prev_kv: true,
    };
    pin(b"\x0a\x01a\x12\x01\x00\x18\x01", request);

    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x10\x01", b"\x1a\x10", PAIR_BODY];
    pin(
        &bytes,
        DeleteRangeResponse {
            header: Some(header()),
            deleted: 1,
            prev_kvs: vec![pair()],
        },
    );
}

fn compare(result: CompareResult, target: CompareTarget, operand: TargetUnion) -> Compare {
    Compare {
        result: result.into(),
        target: target.into(),
        key: "k".into(),
        range_end: Default::default(),
        target_union: Some(operand),
    }
}

/// An operand is present on the wire even if it is zero: "must not exist yet" depends on it.
#[test]
fn compare_with_every_operand() {
    use CompareResult::{Equal, Greater, Less, NotEqual};
    use CompareTarget::{Create, Lease, Mod, Value, Version};
    pin(
        b"\x1a\x01k\x20\x05",
        compare(Equal, Version, TargetUnion::Version(5)),
    );
    pin(
        b"\x08\x01\x10\x01\x1a\x01k\x28\x06",
        compare(Greater, Create, TargetUnion::CreateRevision(6)),
    );
    pin(
        b"\x08\x02\x10\x02\x1a\x01k\x30\x00",
        compare(Less, Mod, TargetUnion::ModRevision(0)),
    );
    pin(
        b"\x08\x03\x10\x03\x1a\x01k\x3a\x01v",
        compare(NotEqual, Value, TargetUnion::Value("v".into())),
    );
    pin(
        b"\x10\x04\x1a\x01k\x40\xb4\x24",
        compare(Equal, Lease, TargetUnion::Lease(4660)),
    );
}

#[test]
fn compare_over_a_range() {
    let mut range = compare(
        CompareResult::Equal,
        CompareTarget::Version,
        TargetUnion::Version(5),
    );
    range.range_end = "l".into();
    pin(b"\x1a\x01k\x20\x05\x82\x04\x01l", range);
}

fn operation(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

/// What kube-apiserver sends for an update: compare, put, or else read what is there.
#[test]
fn txn_request_of_an_optimistic_update() {
    let bytes = wire![
        b"\x0a\x08\x10\x02\x1a\x01k\x30\xac\x02",
        b"\x12\x08\x12\x06\x0a\x01k\x12\x01v",
        b"\x1a\x05\x0a\x03\x0a\x01k",
    ];
    let put = PutRequest {
        key: "k".into(),
        value: "v".into(),
        ..Default::default()
    };
    let range = RangeRequest {
        key: "k".into(),
        ..Default::default()
    };
    let request = TxnRequest {
        compare: vec![compare(
            CompareResult::Equal,
            CompareTarget::Mod,
            TargetUnion::ModRevision(300),
        )],
        success: vec![operation(Request::RequestPut(put))],
        failure: vec![operation(Request::RequestRange(range))],
    };
    pin(&bytes, request);
}

#[test]
fn txn_request_nested() {
    let bytes = wire![b"\x12\x0b\x22\x09", b"\x12\x07\x1a\x05", b"\x0a\x01a\x18\x01"];
    let deletion = DeleteRangeRequest {
        key: "a".into(),
        range_end: Default::default(),
        prev_kv: true,
    };
    let inner = TxnRequest {
        success: vec![operation(Request::RequestDeleteRange(deletion))],
        ..Default::default()
    };
    let outer = TxnRequest {
        success: vec![operation(Request::RequestTxn(inner))],
        ..Default::default()
    };
    pin(&bytes, outer);
}

fn answer(response: Response) -> ResponseOp {
    ResponseOp {
        response: Some(response),
    }
}

/// Empty answers still say of which kind they are.
#[test]
fn txn_response_with_every_kind_of_answer() {
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x10\x01",
        b"\x1a\x04\x0a\x02\x20\x07",
        b"\x1a\x02\x12\x00",
        b"\x1a\x04\x1a\x02\x10\x03",
        b"\x1a\x04\x22\x02\x10\x01",
    ];
    let response = TxnResponse {
        header: Some(header()),
        succeeded: true,
        responses: vec![
            answer(Response::ResponseRange(RangeResponse {
                count: 7,
                ..Default::default()
            })),
            answer(Response::ResponsePut(PutResponse::default())),
            answer(Response::ResponseDeleteRange(DeleteRangeResponse {
                deleted: 3,
                ..Default::default()
            })),
            answer(Response::ResponseTxn(TxnResponse {
                succeeded: true,
                ..Default::default()
            })),
        ],
    };
    pin(&bytes, response);
}

#[test]
fn compaction() {
    pin(
        b"\x08\xac\x02\x10\x01",
        CompactionRequest {
            revision: 300,
            physical: true,
        },
    );
    pin(
        &wire![HEADER_FIELD, HEADER_BODY],
        CompactionResponse {
            header: Some(header()),
        },
    );
}
