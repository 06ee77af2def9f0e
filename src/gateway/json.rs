//! Between JSON and messages, as protobuf maps them: field names as in the .proto files, bytes in base64,
//! 64-bit numbers as strings, defaults left out.

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Deserializer;
use tonic::Status;

/// The message in a request body; an empty body is an empty message. Unknown fields are ignored.
pub(super) fn parse(body: &[u8], input: &MessageDescriptor) -> Result<DynamicMessage, Status> {
    if body.trim_ascii().is_empty() {
        return Ok(DynamicMessage::new(input.clone()));
    }
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(input.clone(), &mut Deserializer::from_slice(body), &options)
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

/// Writes a message as JSON.
pub(super) fn write(message: &DynamicMessage, out: &mut Vec<u8>) -> Result<(), Status> {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(true)
        .stringify_64_bit_integers(true);
    message
        .serialize_with_options(&mut serde_json::Serializer::new(out), &options)
        .map_err(|error| Status::internal(error.to_string()))
}

/// The length of the first JSON value in `buffer`, once it is complete.
///
/// # Errors
/// What begins like no JSON value at all.
pub(super) fn first_value(buffer: &[u8]) -> Result<Option<usize>, Status> {
    let mut values = Deserializer::from_slice(buffer).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Ok(Some(values.byte_offset())),
        Some(Err(error)) if !error.is_eof() => Err(Status::invalid_argument(error.to_string())),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::DESCRIPTORS;
    use super::*;

    fn descriptor(name: &str) -> MessageDescriptor {
        DESCRIPTORS.get_message_by_name(name).expect("a message of ours")
    }

    fn written(message: &DynamicMessage) -> String {
        let mut out = Vec::new();
        write(message, &mut out).expect("writes");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn names_numbers_and_bytes_are_protobufs() {
        let input = descriptor("etcdserverpb.RangeRequest");
        let body =
            br#"{"key":"YQ==","rangeEnd":"AA==","limit":"5","revision":7,"sort_order":"DESCEND","nope":1}"#;
        let message = parse(body, &input).expect("parses");
        let expected =
            r#"{"key":"YQ==","range_end":"AA==","limit":"5","revision":"7","sort_order":"DESCEND"}"#;
        assert_eq!(written(&message), expected);
    }

    #[test]
    fn an_empty_body_is_an_empty_message() {
        let input = descriptor("etcdserverpb.PutRequest");
        assert_eq!(written(&parse(b" \n", &input).expect("parses")), "{}");
    }

    #[test]
    fn bad_bodies_are_invalid_arguments() {
        let input = descriptor("etcdserverpb.PutRequest");
        for body in [&b"{"[..], b"[]", br#"{"key":"!"}"#, br#"{"lease":"x"}"#, b"\xff"] {
            assert_eq!(
                parse(body, &input).expect_err("refused").code(),
                tonic::Code::InvalidArgument
            );
        }
    }

    #[test]
    fn values_are_cut_where_they_end() {
        assert_eq!(first_value(br#"{"a":1}{"b"#).ok(), Some(Some(7)));
        assert_eq!(first_value(br#"{"a":"#).ok(), Some(None));
        assert_eq!(first_value(b"  ").ok(), Some(None));
        assert!(first_value(b"}").is_err());
    }
}
