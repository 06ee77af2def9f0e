//! How large a write request is, as etcd measures it.

use model::Refusal;
use prost::Message;
use prost::encoding::encoded_len_varint;

/// What the header of etcd's internal request takes: its tag (2), its length (1), and inside it a tag (1) and a
/// random 64-bit number whose upper bits are those of the member's identity (9, unless its top bit is set).
const INTERNAL_HEADER_BYTES: usize = 13;

/// The tag of the request inside the internal request; all that are measured have a one-byte tag.
const REQUEST_TAG_BYTES: usize = 1;

/// Bytes of the internal request that etcd would propose for this one: what `--max-request-bytes` bounds.
pub(super) fn internal_size(request: &impl Message) -> usize {
    let len = request.encoded_len();
    INTERNAL_HEADER_BYTES + REQUEST_TAG_BYTES + encoded_len_varint(len as u64) + len
}

/// Refuses a request above the limit.
pub(super) fn check(request: &impl Message, max_request_bytes: usize) -> Result<(), Refusal> {
    if internal_size(request) > max_request_bytes {
        Err(Refusal::RequestTooLarge)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::etcdserverpb::PutRequest;

    use super::*;

    fn put(value_bytes: usize) -> PutRequest {
        PutRequest {
            key: Bytes::from_static(b"k"),
            value: vec![0; value_bytes].into(),
            ..Default::default()
        }
    }

    #[test]
    fn the_envelope_counts() {
        let (limit, overhead) = (1_572_864, 3 + 4 + 4 + 13);
        assert_eq!(internal_size(&put(1_500_000)), 1_500_000 + overhead);
        assert_eq!(check(&put(limit - overhead), limit), Ok(()));
        assert_eq!(
            check(&put(limit - overhead + 1), limit),
            Err(Refusal::RequestTooLarge)
        );
    }
}
