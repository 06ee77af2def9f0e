//! What decoding must bear, refuse and not copy.

use prost::Message;
use prost::bytes::Bytes;
use proto::etcdserverpb::{AuthenticateRequest, PutRequest, RangeRequest};

use crate::wire;

#[test]
fn fields_of_the_future_are_skipped() {
    let decoded =
        PutRequest::decode(&wire![b"\x0a\x01a", b"\xa2\x06\x03new"][..]).expect("unknown field 100");
    assert_eq!(
        decoded,
        PutRequest {
            key: "a".into(),
            ..Default::default()
        }
    );
}

/// The server answers these itself, so the number has to arrive.
#[test]
fn numbers_outside_an_enum_are_kept() {
    let decoded = RangeRequest::decode(&b"\x28\x07\x30\x08"[..]).expect("unknown enum values");
    assert_eq!((decoded.sort_order, decoded.sort_target), (7, 8));
}

#[test]
fn keys_are_any_bytes_but_names_are_utf8() {
    let decoded = PutRequest::decode(&b"\x0a\x02\xff\x00"[..]).expect("a key of any bytes");
    assert_eq!(decoded.key, &b"\xff\x00"[..]);
    let refusal =
        AuthenticateRequest::decode(&b"\x0a\x02\xff\x00"[..]).expect_err("a name that is not UTF-8");
    println!("refused: {refusal}");
}

#[test]
fn broken_messages_are_refused() {
    let cases: [(&str, &[u8]); 4] = [
        ("cut off in the key", b"\x0a\x05ab"),
        ("cut off in a number", b"\x18\x80"),
        ("a number where bytes belong", b"\x08\x01"),
        ("field number zero", b"\x00\x01"),
    ];
    for (what, bytes) in cases {
        let refusal = PutRequest::decode(bytes).expect_err(what);
        println!("{what}: {refusal}");
    }
}

#[test]
fn values_share_the_buffer_they_arrived_in() {
    let arrived = Bytes::from_static(b"\x0a\x01a\x12\x05value");
    let decoded = PutRequest::decode(arrived.clone()).expect("a put");
    assert_eq!(
        decoded.value.as_ptr(),
        arrived[5..].as_ptr(),
        "the value was copied"
    );
}
