//! Transactions as deep as anybody can make them.

use model::{Command, Operation, OperationReply, Reply, Txn, TxnReply};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{RequestOp, TxnRequest};

use super::*;

fn nested(depth: usize) -> Command {
    let innermost = Txn::default();
    Command::Txn((1..depth).fold(innermost, |inner, _| Txn {
        success: vec![Operation::Txn(inner)],
        ..Txn::default()
    }))
}

fn reply_to_nested(depth: usize) -> Reply {
    let innermost = TxnReply::default();
    Reply::Txn((1..depth).fold(innermost, |inner, _| TxnReply {
        succeeded: true,
        responses: vec![OperationReply::Txn(inner)],
    }))
}

/// The deepest transaction that the front door reads.
fn deepest_from_clients() -> usize {
    let one_deeper = |inner: TxnRequest| TxnRequest {
        success: vec![RequestOp {
            request: Some(Request::RequestTxn(inner)),
        }],
        ..TxnRequest::default()
    };
    let mut request = TxnRequest::default();
    let mut depth = 1;
    loop {
        request = one_deeper(request);
        if TxnRequest::decode(&*request.encode_to_vec()).is_err() {
            return depth;
        }
        depth += 1;
    }
}

#[test]
fn what_clients_can_nest_travels_and_so_does_its_reply() {
    let deepest = deepest_from_clients();
    assert!((10..=TXN_DEPTH_MAX).contains(&deepest), "{deepest}");
    for depth in [deepest, TXN_DEPTH_MAX] {
        let wire = ask_to_wire(actors::Ask::Submit(nested(depth))).expect("it can travel");
        let call = pb::Call {
            id: 1,
            ask: Some(wire),
        };
        let arrived = travelled(&pb::ForwardRequest {
            hello: None,
            calls: vec![call],
        });
        assert_eq!(
            ask_from_wire(arrived.calls[0].ask.clone()),
            Ok(actors::Ask::Submit(nested(depth)))
        );
        let wire = reply_to_wire(reply_to_nested(depth)).expect("it can travel");
        assert_eq!(reply_from_wire(travelled(&wire)), Ok(reply_to_nested(depth)));
    }
}

#[test]
fn what_nests_deeper_is_refused_at_both_ends() {
    let too_deep = TXN_DEPTH_MAX + 1;
    assert_eq!(command_to_wire(nested(too_deep)), Err(WireError::TooDeep));
    assert_eq!(reply_to_wire(reply_to_nested(too_deep)), Err(WireError::TooDeep));

    let deeper = |inner: pb::Txn| pb::Txn {
        success: vec![pb::Operation {
            operation: Some(pb::operation::Operation::Txn(inner.encode_to_vec().into())),
        }],
        ..pb::Txn::default()
    };
    let wire = (0..10_000).fold(pb::Txn::default(), |inner, _| deeper(inner));
    let command = pb::Command {
        command: Some(pb::command::Command::Txn(wire)),
    };
    assert_eq!(command_from_wire(travelled(&command)), Err(WireError::TooDeep));
}
