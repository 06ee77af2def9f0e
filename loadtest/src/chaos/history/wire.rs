//! Between the history's words and the messages on the wire.

use bytes::Bytes;
use prost::Message;
use proto::etcdserverpb::{self as pb, compare, request_op, response_op};
use proto::mvccpb;

use super::{
    Answer, Body, Compare, DeleteRange, Event, Operation, Outcome, Pair, Put, Range, RangeBody, Refusal,
    Relation, Request, Target, Text, Txn, Watch, Watched,
};
use crate::client::CallError;
use crate::client::wire::frame;

/// Bytes as text. Bytes that are no text become something that no client writes, and stay apart from each other.
fn text(bytes: &[u8]) -> Text {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => format!("\u{fffd}{bytes:02x?}").into(),
    }
}

fn bytes(text: &Text) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A request ready to be sent: the method, and the framed message.
pub(crate) fn call_of(request: &Request) -> (&'static str, Bytes) {
    match request {
        Request::Range(range) if range.streamed => {
            ("/etcdserverpb.KV/RangeStream", frame(&range_request(range)))
        }
        Request::Range(range) => ("/etcdserverpb.KV/Range", frame(&range_request(range))),
        Request::Put(put) => ("/etcdserverpb.KV/Put", frame(&put_request(put))),
        Request::DeleteRange(delete) => ("/etcdserverpb.KV/DeleteRange", frame(&delete_request(delete))),
        Request::Txn(txn) => ("/etcdserverpb.KV/Txn", frame(&txn_request(txn))),
        Request::LeaseGrant { id, ttl } => {
            let grant = pb::LeaseGrantRequest { id: *id, ttl: *ttl };
            ("/etcdserverpb.Lease/LeaseGrant", frame(&grant))
        }
        Request::LeaseRevoke { id } => {
            let revoke = pb::LeaseRevokeRequest { id: *id };
            ("/etcdserverpb.Lease/LeaseRevoke", frame(&revoke))
        }
        Request::Compact { revision } => {
            let compact = pb::CompactionRequest {
                revision: *revision,
                physical: false,
            };
            ("/etcdserverpb.KV/Compact", frame(&compact))
        }
    }
}

fn range_request(range: &Range) -> pb::RangeRequest {
    pb::RangeRequest {
        key: bytes(&range.key),
        range_end: bytes(&range.range_end),
        limit: range.limit,
        revision: range.revision,
        serializable: range.serializable,
        keys_only: range.keys_only,
        count_only: range.count_only,
        ..Default::default()
    }
}

fn put_request(put: &Put) -> pb::PutRequest {
    pb::PutRequest {
        key: bytes(&put.key),
        value: bytes(&put.value),
        lease: put.lease,
        prev_kv: put.prev_kv,
        ..Default::default()
    }
}

fn delete_request(delete: &DeleteRange) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: bytes(&delete.key),
        range_end: bytes(&delete.range_end),
        prev_kv: delete.prev_kv,
    }
}

fn txn_request(txn: &Txn) -> pb::TxnRequest {
    let operations = |branch: &[Operation]| branch.iter().map(request_operation).collect();
    pb::TxnRequest {
        compare: txn.compare.iter().map(compare_message).collect(),
        success: operations(&txn.success),
        failure: operations(&txn.failure),
    }
}

fn request_operation(operation: &Operation) -> pb::RequestOp {
    let request = match operation {
        Operation::Range(range) => request_op::Request::RequestRange(range_request(range)),
        Operation::Put(put) => request_op::Request::RequestPut(put_request(put)),
        Operation::DeleteRange(delete) => request_op::Request::RequestDeleteRange(delete_request(delete)),
    };
    pb::RequestOp {
        request: Some(request),
    }
}

fn compare_message(condition: &Compare) -> pb::Compare {
    use compare::{CompareResult, CompareTarget, TargetUnion};
    let (target, operand) = match &condition.target {
        Target::Version(version) => (CompareTarget::Version, TargetUnion::Version(*version)),
        Target::CreateRevision(revision) => (CompareTarget::Create, TargetUnion::CreateRevision(*revision)),
        Target::ModRevision(revision) => (CompareTarget::Mod, TargetUnion::ModRevision(*revision)),
        Target::Value(value) => (CompareTarget::Value, TargetUnion::Value(bytes(value))),
        Target::Lease(lease) => (CompareTarget::Lease, TargetUnion::Lease(*lease)),
    };
    let result = match condition.result {
        Relation::Equal => CompareResult::Equal,
        Relation::Greater => CompareResult::Greater,
        Relation::Less => CompareResult::Less,
        Relation::NotEqual => CompareResult::NotEqual,
    };
    pb::Compare {
        result: result.into(),
        target: target.into(),
        key: bytes(&condition.key),
        target_union: Some(operand),
        ..Default::default()
    }
}

/// The request that creates a watch.
pub(crate) fn watch_request(watch: &Watch) -> Bytes {
    let create = pb::WatchCreateRequest {
        key: bytes(&watch.key),
        range_end: bytes(&watch.range_end),
        start_revision: watch.start_revision,
        progress_notify: watch.progress_notify,
        prev_kv: watch.prev_kv,
        ..Default::default()
    };
    frame(&pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    })
}

/// A message of a watch stream.
pub(crate) fn watched(message: Bytes, at: super::Moment) -> Result<Watched, CallError> {
    let response = pb::WatchResponse::decode(message)?;
    Ok(Watched {
        at,
        watch: response.watch_id,
        revision: response.header.map_or(0, |header| header.revision),
        created: response.created,
        canceled: response.canceled,
        compact_revision: response.compact_revision,
        cancel_reason: response.cancel_reason,
        fragment: response.fragment,
        events: response.events.into_iter().map(event).collect(),
    })
}

fn event(event: mvccpb::Event) -> Event {
    Event {
        delete: event.r#type() == mvccpb::event::EventType::Delete,
        pair: event.kv.map(pair).unwrap_or_default(),
        previous: event.prev_kv.map(pair),
    }
}

fn pair(pair: mvccpb::KeyValue) -> Pair {
    Pair {
        key: text(&pair.key),
        value: text(&pair.value),
        create_revision: pair.create_revision,
        mod_revision: pair.mod_revision,
        version: pair.version,
        lease: pair.lease,
    }
}

/// How a call ended. The pieces of a streamed answer come as several messages, any other answer as one.
pub(crate) fn outcome_of(request: &Request, end: Result<Vec<Bytes>, CallError>) -> Outcome {
    match end.and_then(|messages| answer(request, messages)) {
        Ok(answer) => Outcome::Answered(answer),
        Err(error) => match Refused::from(error) {
            Refused::Definitely(refusal) => Outcome::Refused(refusal),
            Refused::Perhaps(words) => Outcome::Unknown(words),
        },
    }
}

fn answer(request: &Request, messages: Vec<Bytes>) -> Result<Answer, CallError> {
    if matches!(request, Request::Range(range) if range.streamed) {
        return streamed(messages);
    }
    let message = <[Bytes; 1]>::try_from(messages)
        .map(|[message]| message)
        .map_err(|messages| CallError::Malformed(format!("{} messages", messages.len())))?;
    let revision = |header: Option<pb::ResponseHeader>| header.map_or(0, |header| header.revision);
    let (revision, body) = match request {
        Request::Range(_) => {
            let mut range = pb::RangeResponse::decode(message)?;
            (revision(range.header.take()), range_body(range))
        }
        Request::Put(_) => {
            let mut put = pb::PutResponse::decode(message)?;
            (revision(put.header.take()), put_body(put))
        }
        Request::DeleteRange(_) => {
            let mut delete = pb::DeleteRangeResponse::decode(message)?;
            (revision(delete.header.take()), delete_body(delete))
        }
        Request::Txn(_) => {
            let mut txn = pb::TxnResponse::decode(message)?;
            (revision(txn.header.take()), txn_body(txn)?)
        }
        Request::LeaseGrant { .. } => {
            let grant = pb::LeaseGrantResponse::decode(message)?;
            (revision(grant.header), body_of_grant(&grant))
        }
        Request::LeaseRevoke { .. } => {
            let revoke = pb::LeaseRevokeResponse::decode(message)?;
            (revision(revoke.header), Body::LeaseRevoke)
        }
        Request::Compact { .. } => {
            let compact = pb::CompactionResponse::decode(message)?;
            (revision(compact.header), Body::Compact)
        }
    };
    Ok(Answer { revision, body })
}

fn body_of_grant(grant: &pb::LeaseGrantResponse) -> Body {
    Body::LeaseGrant {
        id: grant.id,
        ttl: grant.ttl,
    }
}

/// Merges the pieces of a `RangeStream`: keys from all, the rest from the last.
fn streamed(messages: Vec<Bytes>) -> Result<Answer, CallError> {
    let mut whole = pb::RangeResponse::default();
    for message in messages {
        let piece = pb::RangeStreamResponse::decode(message)?;
        whole.merge(Bytes::from(
            piece.range_response.unwrap_or_default().encode_to_vec(),
        ))?;
    }
    let header = whole.header.take();
    let header = header.ok_or_else(|| CallError::Malformed("no header in the last piece".to_owned()))?;
    Ok(Answer {
        revision: header.revision,
        body: range_body(whole),
    })
}

fn range_body(range: pb::RangeResponse) -> Body {
    Body::Range(RangeBody {
        pairs: range.kvs.into_iter().map(pair).collect(),
        count: range.count,
        more: range.more,
    })
}

fn put_body(put: pb::PutResponse) -> Body {
    Body::Put(put.prev_kv.map(pair))
}

fn delete_body(delete: pb::DeleteRangeResponse) -> Body {
    Body::DeleteRange {
        deleted: delete.deleted,
        previous: delete.prev_kvs.into_iter().map(pair).collect(),
    }
}

fn txn_body(txn: pb::TxnResponse) -> Result<Body, CallError> {
    let mut responses = Vec::with_capacity(txn.responses.len());
    for response in txn.responses {
        responses.push(match response.response {
            Some(response_op::Response::ResponseRange(range)) => range_body(range),
            Some(response_op::Response::ResponsePut(put)) => put_body(put),
            Some(response_op::Response::ResponseDeleteRange(delete)) => delete_body(delete),
            Some(response_op::Response::ResponseTxn(_)) | None => {
                let words = "an answer to an operation that was not asked";
                return Err(CallError::Malformed(words.to_owned()));
            }
        });
    }
    Ok(Body::Txn {
        succeeded: txn.succeeded,
        responses,
    })
}

/// What an error means for the request.
enum Refused {
    /// It had no effect.
    Definitely(Refusal),
    /// It may have had, or may still have, an effect.
    Perhaps(String),
}

impl From<CallError> for Refused {
    /// The texts are etcd's, which clients rely on (rpctypes). An error that is not known to refuse leaves the
    /// outcome open, as `Unavailable` and every failure of a connection do.
    fn from(error: CallError) -> Self {
        let CallError::Status { code, message } = &error else {
            return Self::Perhaps(error.to_string());
        };
        let known = match message.replace("%20", " ").as_str() {
            "etcdserver: mvcc: required revision has been compacted" => Refusal::Compacted,
            "etcdserver: mvcc: required revision is a future revision" => Refusal::FutureRevision,
            "etcdserver: requested lease not found" => Refusal::LeaseNotFound,
            "etcdserver: lease already exists" => Refusal::LeaseExists,
            "etcdserver: mvcc: database space exceeded" => Refusal::NoSpace,
            "etcdserver: too many requests" => Refusal::TooManyRequests,
            // InvalidArgument, NotFound, AlreadyExists, PermissionDenied, FailedPrecondition, OutOfRange,
            // Unimplemented, Unauthenticated.
            _ if ["3", "5", "6", "7", "9", "11", "12", "16"].contains(&code.as_str()) => {
                Refusal::Other(error.to_string())
            }
            _ => return Self::Perhaps(error.to_string()),
        };
        Self::Definitely(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, message: &str) -> Refused {
        Refused::from(CallError::Status {
            code: code.to_owned(),
            message: message.to_owned(),
        })
    }

    #[test]
    fn only_errors_that_refuse_are_refusals() {
        assert!(matches!(
            refused("11", "etcdserver: mvcc: required revision has been compacted"),
            Refused::Definitely(Refusal::Compacted)
        ));
        assert!(matches!(
            refused("3", "etcdserver: user name is empty"),
            Refused::Definitely(Refusal::Other(_))
        ));
        for (code, message) in [
            ("14", "etcdserver: leader changed"),
            ("2", "?"),
            ("13", "?"),
            ("4", ""),
        ] {
            assert!(matches!(refused(code, message), Refused::Perhaps(_)), "{code}");
        }
        assert!(matches!(
            Refused::from(CallError::Malformed(String::new())),
            Refused::Perhaps(_)
        ));
    }

    #[test]
    fn bytes_that_are_no_text_stay_apart() {
        assert_eq!(&*text("a\0é".as_bytes()), "a\0é");
        assert_ne!(text(&[0xff]), text(&[0xfe]));
    }

    #[test]
    fn pieces_of_a_stream_are_merged() {
        let piece = |key: &'static str, header| pb::RangeStreamResponse {
            range_response: Some(pb::RangeResponse {
                header,
                kvs: vec![mvccpb::KeyValue {
                    key: key.into(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
        };
        let header = pb::ResponseHeader {
            revision: 7,
            ..Default::default()
        };
        let pieces = [piece("a", None), piece("b", Some(header))];
        let request = Request::Range(Range {
            streamed: true,
            ..Range::default()
        });
        let messages = |pieces: &[pb::RangeStreamResponse]| {
            pieces.iter().map(|piece| piece.encode_to_vec().into()).collect()
        };
        let answer = answer(&request, messages(&pieces)).expect("an answer");
        let Body::Range(range) = answer.body else {
            panic!("{answer:?}")
        };
        assert_eq!((answer.revision, range.pairs.len()), (7, 2));
        assert!(super::answer(&request, messages(&pieces[..1])).is_err());
    }
}
