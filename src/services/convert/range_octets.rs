//! A range's answer, written while the state is looked at: no pair is made, kept and copied again for it.

use bytes::{Buf, BufMut, Bytes};
use model::{Found, PairRef, RangeReply};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::ResponseHeader;

/// What a message on a stream begins with: whether it is compressed, and its length.
const PREFIX_LENGTH: usize = 5;
/// Tags, lengths and numbers that follow each other take no more than this: four of each.
const SMALL: usize = 4 * 11;
/// Room before the pairs, for what is only known behind them: the prefix, two tags with lengths, and the header's fields.
const FRONT: usize = PREFIX_LENGTH + 2 * 11 + SMALL;
/// The octets of a long answer lie in pieces, so that none are moved when there are more than was thought. They should be
/// few: another thread sends them, and has to be waited for with each. This is the size of the first one at least.
const PIECE: usize = 128 << 10;
/// The largest piece.
const LARGEST_PIECE: usize = 4 << 20;

/// The numbers of `RangeStreamResponse.range_response`, of `RangeResponse.kvs` and of the fields of `KeyValue`.
mod field {
    pub(super) const RANGE_RESPONSE: u32 = 1;
    pub(super) const KVS: u32 = 2;
    pub(super) const KEY: u32 = 1;
    pub(super) const CREATE_REVISION: u32 = 2;
    pub(super) const MOD_REVISION: u32 = 3;
    pub(super) const VERSION: u32 = 4;
    pub(super) const VALUE: u32 = 5;
    pub(super) const LEASE: u32 = 6;
}

/// The octets of a `RangeResponse`, as far as its pairs were found.
#[derive(Debug, Default)]
pub(in crate::services) struct RangeOctets {
    /// Pieces that are full.
    full: Vec<Vec<u8>>,
    piece: Vec<u8>,
    /// Octets in the full ones.
    length: usize,
    /// Pairs that there can be; zero if nobody knows.
    limit: usize,
}

impl RangeOctets {
    /// Room for an answer with so many pairs at most, if that is known.
    pub(in crate::services) fn of(limit: Option<usize>) -> Self {
        Self {
            limit: limit.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// The whole `RangeResponse` with its prefix, in pieces; none if it is longer than a message can be.
    pub(in crate::services) fn end(
        self,
        header: Option<ResponseHeader>,
        rest: &RangeReply,
    ) -> Option<Vec<Bytes>> {
        self.finish(header, rest, |_| Small::default())
    }

    /// The same as a `RangeStreamResponse`.
    pub(in crate::services) fn end_part(
        self,
        header: Option<ResponseHeader>,
        rest: &RangeReply,
    ) -> Option<Vec<Bytes>> {
        self.finish(header, rest, |length| {
            Small::default().tag_and_length(field::RANGE_RESPONSE, length)
        })
    }

    /// Writes what follows the pairs and then what precedes them. `wrapped` is what a message around this one begins
    /// with, which depends on the length of this one.
    fn finish(
        mut self,
        header: Option<ResponseHeader>,
        rest: &RangeReply,
        wrapped: impl FnOnce(usize) -> Small,
    ) -> Option<Vec<Bytes>> {
        self.close(rest);
        let beginning = pb::RangeResponse {
            header,
            ..pb::RangeResponse::default()
        };
        let length = beginning.encoded_len() + self.length - FRONT;
        let wrapped = wrapped(length);
        let prefix = prefix_of(wrapped.octets().len() + length)?;
        let begin = FRONT - PREFIX_LENGTH - wrapped.octets().len() - beginning.encoded_len();
        let mut front = &mut self.full[0][begin..FRONT];
        front.put_slice(&prefix);
        front.put_slice(wrapped.octets());
        beginning.encode_raw(&mut front);
        let mut pieces: Vec<Bytes> = self.full.into_iter().map(Bytes::from).collect();
        pieces[0].advance(begin);
        Some(pieces)
    }

    /// Writes what follows the pairs, and has the last piece be full.
    fn close(&mut self, rest: &RangeReply) {
        let end = pb::RangeResponse {
            more: rest.more,
            count: rest.count,
            ..pb::RangeResponse::default()
        };
        self.make_room(end.encoded_len());
        end.encode_raw(&mut self.piece);
        self.fill(Vec::new());
    }

    fn make_room(&mut self, octets: usize) {
        if self.length + self.piece.len() == 0 {
            self.piece.reserve_exact(FRONT + octets);
            self.piece.put_bytes(0, FRONT);
        }
        if self.piece.capacity() - self.piece.len() >= octets {
            return;
        }
        if self.full.is_empty() && self.piece.len() < PIECE {
            // One pair was found, which lies in no more room than it needs. This is the second one.
            let expected = self.limit.saturating_mul(octets + octets / 8);
            self.piece
                .reserve_exact(octets.max(expected.clamp(PIECE, LARGEST_PIECE)));
        } else {
            let size = LARGEST_PIECE.min(2 * self.piece.capacity());
            self.fill(Vec::with_capacity(octets.max(size)));
        }
    }

    fn fill(&mut self, next: Vec<u8>) {
        let full = std::mem::replace(&mut self.piece, next);
        self.length += full.len();
        self.full.push(full);
    }
}

/// A message with its prefix, as it is sent; none if it is longer than a message can be.
pub(in crate::services) fn octets(message: &impl Message) -> Option<Vec<Bytes>> {
    let mut octets = Vec::with_capacity(PREFIX_LENGTH + message.encoded_len());
    octets.put_slice(&prefix_of(message.encoded_len())?);
    message.encode_raw(&mut octets);
    Some(vec![octets.into()])
}

/// The prefix of a message of this length that is not compressed.
fn prefix_of(length: usize) -> Option<[u8; PREFIX_LENGTH]> {
    let mut prefix = [0; PREFIX_LENGTH];
    prefix[1..].copy_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    Some(prefix)
}

impl Found for RangeOctets {
    fn add(&mut self, pair: PairRef<'_>) {
        let value = pair.value.map_or(&[][..], |value| value);
        let numbers = Small::default()
            .number(field::CREATE_REVISION, pair.version.create_revision.0)
            .number(field::MOD_REVISION, pair.version.mod_revision.0)
            .number(field::VERSION, pair.version.version)
            .length(field::VALUE, value.len());
        let lease = Small::default().number(field::LEASE, pair.version.lease.0);
        let key = Small::default().length(field::KEY, pair.key.len());
        let parts = [key.octets(), pair.key, numbers.octets(), value, lease.octets()];
        let length = parts.iter().map(|part| part.len()).sum();
        let begin = Small::default().tag_and_length(field::KVS, length);
        self.make_room(begin.octets().len() + length);
        self.piece.extend_from_slice(begin.octets());
        parts.iter().for_each(|part| self.piece.extend_from_slice(part));
    }

    fn copied(&self) -> usize {
        self.length + self.piece.len()
    }
}

/// Fields without the octets of keys and values.
struct Small {
    octets: [u8; SMALL],
    length: usize,
}

impl Default for Small {
    fn default() -> Self {
        Self {
            octets: [0; SMALL],
            length: 0,
        }
    }
}

impl Small {
    fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// A number; as everywhere in proto3, none if it is zero.
    fn number(self, field: u32, number: i64) -> Self {
        match number {
            0 => self,
            number => self.field(field, WireType::Varint, number.cast_unsigned()),
        }
    }

    /// The length of the octets that come next, if any do.
    fn length(self, field: u32, length: usize) -> Self {
        match length {
            0 => self,
            length => self.tag_and_length(field, length),
        }
    }

    /// The length of a message that comes next, which may be empty.
    fn tag_and_length(self, field: u32, length: usize) -> Self {
        self.field(field, WireType::LengthDelimited, length as u64)
    }

    fn field(mut self, field: u32, wire_type: WireType, number: u64) -> Self {
        let mut rest = &mut self.octets[self.length..];
        encode_key(field, wire_type, &mut rest);
        encode_varint(number, &mut rest);
        self.length = SMALL - rest.len();
        self
    }
}

#[cfg(test)]
mod tests {
    use model::{KeyValue, LeaseId, Position, Revision, Value, Version};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::services::convert::range_response;

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![Just(0), 1..200_i64, any::<i64>()]
    }

    fn pair() -> impl Strategy<Value = KeyValue> {
        let octets =
            |longest| (any::<u8>(), 0..longest).prop_map(|(octet, length)| vec![octet; length].into());
        let value = prop_oneof![20 => octets(300), 1 => octets(2 * PIECE)];
        let numbers = (number(), number(), number(), number());
        (octets(200), value, numbers).prop_map(|(key, value, (create, changed, version, lease))| KeyValue {
            key,
            value: Value::Resident(value),
            version: Version {
                position: Position(0),
                mod_revision: Revision(changed),
                create_revision: Revision(create),
                version,
                lease: LeaseId(lease),
            },
        })
    }

    fn header() -> impl Strategy<Value = Option<ResponseHeader>> {
        prop::option::of((any::<u64>(), any::<u64>(), number(), any::<u64>()).prop_map(
            |(cluster_id, member_id, revision, raft_term)| ResponseHeader {
                cluster_id,
                member_id,
                revision,
                raft_term,
            },
        ))
    }

    fn sent(message: &impl Message) -> Vec<u8> {
        octets(message).expect("a short message").concat()
    }

    proptest! {
        /// The octets are those that the generated code writes, of an answer and of a part of one.
        #[test]
        fn octets_are_those_of_the_message(
            header in header(),
            kvs in vec(pair(), 0..40),
            more in any::<bool>(),
            count in number(),
        ) {
            let mut octets = [RangeOctets::default(), RangeOctets::default()];
            for octets in &mut octets {
                kvs.iter().for_each(|pair| octets.add(pair.into()));
                prop_assert!(octets.copied() >= kvs.iter().map(|pair| pair.key.len()).sum());
            }
            let rest = RangeReply { more, count, ..RangeReply::default() };
            let [whole, part] = octets;
            let written = whole.end(header, &rest).expect("a short message").concat();
            let message = range_response(header, RangeReply { kvs, ..rest.clone() });
            prop_assert!(written == sent(&message));
            let written = part.end_part(header, &rest).expect("a short message").concat();
            let message = pb::RangeStreamResponse { range_response: Some(message) };
            prop_assert!(written == sent(&message));
        }
    }
}
