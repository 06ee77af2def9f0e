//! Messages as bytes: framing requests once, and reading of an answer only what is asked about.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint};
use prost::{DecodeError, Message};

use super::CallError;
use super::segments::PREFIX;

/// Encodes a message with gRPC's prefix in front, as [`super::Route::call`] wants it.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut buffer = BytesMut::with_capacity(PREFIX + length);
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(length).expect("messages stay far below 4 GiB"));
    message
        .encode(&mut buffer)
        .expect("the buffer has the room that the message asked for");
    buffer.freeze()
}

/// One field of a message, unread if it is bytes.
pub(crate) enum Value {
    /// A varint.
    Number(u64),
    /// Bytes, a string or a message.
    Bytes,
}

/// Visits the top-level fields of an encoded message without copying or allocating.
pub(crate) fn scan(mut message: impl Buf, mut visit: impl FnMut(u32, Value)) -> Result<(), CallError> {
    while message.has_remaining() {
        let (field, wire) = decode_key(&mut message)?;
        match wire {
            WireType::Varint => visit(field, Value::Number(decode_varint(&mut message)?)),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut message)?;
                skip(&mut message, length)?;
                visit(field, Value::Bytes);
            }
            WireType::SixtyFourBit => skip(&mut message, 8)?,
            WireType::ThirtyTwoBit => skip(&mut message, 4)?,
            WireType::StartGroup | WireType::EndGroup => {
                return Err(CallError::Malformed(
                    "a group, which proto3 does not have".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

fn skip(message: &mut impl Buf, length: u64) -> Result<(), CallError> {
    match usize::try_from(length) {
        Ok(length) if length <= message.remaining() => {
            message.advance(length);
            Ok(())
        }
        _ => Err(CallError::Malformed("a field is cut short".to_owned())),
    }
}

/// What a `RangeResponse` says, without its keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSummary {
    /// Number of keys that came.
    pub(crate) keys: usize,
    /// Number of keys in the range.
    pub(crate) count: u64,
    /// The limit cut keys off.
    pub(crate) more: bool,
}

/// Counts the keys of an encoded `RangeResponse`.
pub(crate) fn range_summary(answer: impl Buf) -> Result<RangeSummary, CallError> {
    let mut summary = RangeSummary::default();
    scan(answer, |field, value| match (field, value) {
        (2, Value::Bytes) => summary.keys += 1,
        (3, Value::Number(more)) => summary.more = more != 0,
        (4, Value::Number(count)) => summary.count = count,
        _ => {}
    })?;
    Ok(summary)
}

/// Counts the keys of an encoded `RangeStreamResponse`, whose only field is a `RangeResponse`.
pub(crate) fn piece_summary(mut piece: Bytes) -> Result<RangeSummary, CallError> {
    if piece.is_empty() {
        return Ok(RangeSummary::default());
    }
    let (field, wire) = decode_key(&mut piece)?;
    let length = decode_varint(&mut piece)?;
    if (field, wire, length) != (1, WireType::LengthDelimited, piece.len() as u64) {
        return Err(CallError::Malformed("no piece of a range".to_owned()));
    }
    range_summary(piece)
}

/// What a `WatchResponse` says, without its events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WatchSummary {
    /// The watch has begun.
    pub(crate) created: bool,
    /// The watch has ended.
    pub(crate) canceled: bool,
    /// Number of events that came.
    pub(crate) events: usize,
}

/// Counts the events of an encoded `WatchResponse`.
pub(crate) fn watch_summary(answer: impl Buf) -> Result<WatchSummary, CallError> {
    let mut summary = WatchSummary::default();
    scan(answer, |field, value| match (field, value) {
        (3, Value::Number(created)) => summary.created = created != 0,
        (4, Value::Number(canceled)) => summary.canceled = canceled != 0,
        (11, Value::Bytes) => summary.events += 1,
        _ => {}
    })?;
    Ok(summary)
}

/// The revision that the first event of an encoded `WatchResponse` was made at, read without decoding the rest; `None` if
/// it has no event.
pub(crate) fn event_revision(answer: &[u8]) -> Result<Option<u64>, CallError> {
    let Some(event) = inside(answer, 11)? else {
        return Ok(None);
    };
    let pair = inside(event, 2)?.unwrap_or_default();
    let mut revision = 0;
    scan(pair, |field, value| {
        if let (3, Value::Number(number)) = (field, value) {
            revision = number;
        }
    })?;
    Ok(Some(revision))
}

/// The first field of this number in a message, which is bytes, a string or a message.
fn inside(mut message: &[u8], wanted: u32) -> Result<Option<&[u8]>, CallError> {
    while !message.is_empty() {
        let (field, wire) = decode_key(&mut message)?;
        match wire {
            WireType::Varint => drop(decode_varint(&mut message)?),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut message)?;
                let bytes = message;
                skip(&mut message, length)?;
                if field == wanted {
                    return Ok(Some(&bytes[..bytes.len() - message.len()]));
                }
            }
            _ => {
                return Err(CallError::Malformed(
                    "a field that watches do not have".to_owned(),
                ));
            }
        }
    }
    Ok(None)
}

/// Decodes a whole answer.
pub(crate) fn decode<M: Message + Default>(answer: impl Buf) -> Result<M, DecodeError> {
    M::decode(answer)
}

#[cfg(test)]
mod tests {
    use proto::etcdserverpb::{RangeResponse, RangeStreamResponse, ResponseHeader, WatchResponse};
    use proto::mvccpb::{Event, KeyValue};

    use super::*;

    fn pair(key: &'static [u8]) -> KeyValue {
        KeyValue {
            key: Bytes::from_static(key),
            value: vec![7; 300].into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_frame_is_the_prefix_and_the_message() {
        let framed = frame(&pair(b"a"));
        let length = u32::from_be_bytes(framed[1..5].try_into().expect("four bytes"));
        assert_eq!((framed[0], length as usize), (0, framed.len() - PREFIX));
        assert_eq!(
            KeyValue::decode(framed.slice(PREFIX..)).expect("a message"),
            pair(b"a")
        );
    }

    #[test]
    fn a_summary_agrees_with_the_decoded_range() {
        let answer = RangeResponse {
            header: Some(ResponseHeader {
                revision: 9,
                ..Default::default()
            }),
            kvs: vec![pair(b"a"), pair(b"b")],
            more: true,
            count: 500,
        };
        let summary = range_summary(Bytes::from(answer.encode_to_vec())).expect("a summary");
        assert_eq!(
            summary,
            RangeSummary {
                keys: 2,
                count: 500,
                more: true
            }
        );
    }

    #[test]
    fn a_piece_of_a_stream_is_summed_up_like_a_range() {
        let piece = RangeStreamResponse {
            range_response: Some(RangeResponse {
                kvs: vec![pair(b"a"), pair(b"b")],
                ..Default::default()
            }),
        };
        let bytes = Bytes::from(piece.encode_to_vec());
        assert_eq!(piece_summary(bytes.clone()).expect("a summary").keys, 2);
        assert!(piece_summary(bytes.slice(..bytes.len() - 1)).is_err());
        assert_eq!(piece_summary(Bytes::new()).expect("a summary").keys, 0);
    }

    #[test]
    fn a_summary_agrees_with_the_decoded_watch_answer() {
        let event = Event {
            kv: Some(pair(b"a")),
            ..Default::default()
        };
        let answer = WatchResponse {
            created: true,
            events: vec![event.clone(), event],
            ..Default::default()
        };
        let summary = watch_summary(Bytes::from(answer.encode_to_vec())).expect("a summary");
        assert_eq!(
            summary,
            WatchSummary {
                created: true,
                canceled: false,
                events: 2
            }
        );
    }

    #[test]
    fn the_revision_of_an_event_is_read_where_it_is() {
        let event = |revision| Event {
            kv: Some(KeyValue {
                mod_revision: revision,
                create_revision: 3,
                version: 4,
                ..pair(b"a")
            }),
            prev_kv: Some(pair(b"b")),
            ..Default::default()
        };
        let answer = |events| WatchResponse {
            header: Some(ResponseHeader {
                revision: 99,
                ..Default::default()
            }),
            watch_id: 7,
            events,
            ..Default::default()
        };
        let read = |events| event_revision(&answer(events).encode_to_vec()).expect("a revision");
        assert_eq!(read(vec![event(1 << 40), event(8)]), Some(1 << 40));
        assert_eq!(read(Vec::new()), None);
        let whole = answer(vec![event(5)]).encode_to_vec();
        assert!(event_revision(&whole[..whole.len() - 1]).is_err());
    }

    #[test]
    fn a_field_that_is_cut_short_is_refused() {
        let mut bytes = pair(b"a").encode_to_vec();
        bytes.truncate(bytes.len() - 1);
        assert!(matches!(
            scan(Bytes::from(bytes), |_, _| {}),
            Err(CallError::Malformed(_))
        ));
    }
}
