//! The watch stream, in both directions.

use prost::Message;
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::*;
use proto::mvccpb::event::EventType;
use proto::mvccpb::{Event, KeyValue};

use crate::kv::{PAIR_BODY, pair};
use crate::{HEADER_BODY, HEADER_FIELD, header, pin, wire};

fn request(union: RequestUnion) -> WatchRequest {
    WatchRequest {
        request_union: Some(union),
    }
}

fn create() -> WatchCreateRequest {
    WatchCreateRequest {
        key: "a".into(),
        range_end: "b".into(),
        start_revision: 300,
        progress_notify: true,
        filters: vec![FilterType::Noput.into(), FilterType::Nodelete.into()],
        prev_kv: true,
        watch_id: 9,
        fragment: true,
    }
}

#[test]
fn create_request_with_every_field() {
    let bytes = wire![
        b"\x0a\x15",
        b"\x0a\x01a",
        b"\x12\x01b",
        b"\x18\xac\x02",
        b"\x20\x01",
        b"\x2a\x02\x00\x01",
        b"\x30\x01",
        b"\x38\x09",
        b"\x40\x01",
    ];
    pin(&bytes, request(RequestUnion::CreateRequest(create())));
}

/// Encoders may write a list of enums one element at a time.
#[test]
fn filters_one_at_a_time() {
    let decoded = WatchCreateRequest::decode(&b"\x28\x00\x28\x01"[..]).expect("unpacked filters");
    assert_eq!(decoded.filters, create().filters);
}

#[test]
fn cancel_request() {
    pin(
        b"\x12\x02\x08\x09",
        request(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 9 })),
    );
    pin(
        b"\x12\x00",
        request(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 0 })),
    );
}

/// It is told from an empty message only by its tag.
#[test]
fn progress_request() {
    pin(
        b"\x1a\x00",
        request(RequestUnion::ProgressRequest(WatchProgressRequest {})),
    );
    pin(b"", WatchRequest { request_union: None });
}

fn deletion() -> Event {
    let kv = KeyValue {
        key: "a".into(),
        mod_revision: 300,
        ..Default::default()
    };
    Event {
        r#type: EventType::Delete.into(),
        kv: Some(kv),
        prev_kv: Some(pair()),
    }
}

#[test]
fn response_with_events() {
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x10\x09",
        b"\x38\x01",
        b"\x5a\x12\x12\x10",
        PAIR_BODY,
        b"\x5a\x1c\x08\x01\x12\x06\x0a\x01a\x18\xac\x02\x1a\x10",
        PAIR_BODY,
    ];
    let put = Event {
        r#type: EventType::Put.into(),
        kv: Some(pair()),
        prev_kv: None,
    };
    let response = WatchResponse {
        header: Some(header()),
        watch_id: 9,
        fragment: true,
        events: vec![put, deletion()],
        ..Default::default()
    };
    pin(&bytes, response);
}

#[test]
fn response_that_the_watch_has_begun() {
    let response = WatchResponse {
        watch_id: 9,
        created: true,
        ..Default::default()
    };
    pin(b"\x10\x09\x18\x01", response);
}

#[test]
fn response_that_the_watch_has_ended() {
    let response = WatchResponse {
        watch_id: -1,
        canceled: true,
        compact_revision: 300,
        cancel_reason: "why".into(),
        ..Default::default()
    };
    let minus_one = b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    pin(
        &wire![minus_one, b"\x20\x01", b"\x28\xac\x02", b"\x32\x03why"],
        response,
    );
}
