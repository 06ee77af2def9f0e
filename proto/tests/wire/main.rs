//! The wire facts, pinned by bytes written by hand from the protobuf encoding: a wrong number, type or name
//! in a .proto file makes one of these fail.

mod auth;
mod cluster;
mod concurrency;
mod decoding;
mod kv;
mod lease;
mod maintenance;
mod peer;
mod services;
mod watch;

use std::any::type_name;
use std::fmt::Debug;

use prost::Message;
use proto::etcdserverpb::ResponseHeader;

/// Joins byte strings, so that a message reads one field a line.
macro_rules! wire {
    ($($piece:expr),+ $(,)?) => {
        [$(&$piece[..]),+].concat()
    };
}
pub(crate) use wire;

/// The bytes must mean the message, and the message must become the bytes.
pub(crate) fn pin<M>(wire: &[u8], message: M)
where
    M: Message + Default + PartialEq + Debug,
{
    println!("{}: {} bytes, both ways", type_name::<M>(), wire.len());
    let decoded = M::decode(wire).expect("the hand-written bytes decode");
    assert_eq!(decoded, message, "decoding {wire:02x?}");
    assert_eq!(message.encode_to_vec(), wire, "encoding {message:?}");
}

/// A header with a number in every field; [`HEADER_BODY`] on the wire.
pub(crate) fn header() -> ResponseHeader {
    ResponseHeader {
        cluster_id: u64::MAX,
        member_id: 1,
        revision: 300,
        raft_term: 2,
    }
}

/// What [`header`] is on the wire: 18 bytes.
pub(crate) const HEADER_BODY: &[u8; 18] =
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01\x18\xac\x02\x20\x02";

/// Every answer carries the header as field 1.
pub(crate) const HEADER_FIELD: &[u8; 2] = b"\x0a\x12";

#[test]
fn response_header() {
    pin(HEADER_BODY, header());
}
