//! What stands before every message: its length, its type and the version of its form.

use bytes::{BufMut as _, BytesMut};

use super::bytes::Encoder;
use super::{EncodeError, WORD};

/// Bytes in a header.
pub const HEADER_LENGTH: usize = WORD;

/// A message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The length of the body in words of 8 bytes.
    pub words: u32,
    /// The type of the message; requests and responses count apart.
    pub kind: u8,
    /// The version of the body's form.
    pub schema: u8,
}

impl Header {
    /// Reads a header. Its last two bytes are not used.
    #[must_use]
    pub fn decode(bytes: [u8; HEADER_LENGTH]) -> Self {
        let [w0, w1, w2, w3, kind, schema, _, _] = bytes;
        let words = u32::from_le_bytes([w0, w1, w2, w3]);
        Self { words, kind, schema }
    }

    /// The length of the body, bytes.
    #[must_use]
    pub fn body_length(self) -> u64 {
        u64::from(self.words) * WORD as u64
    }
}

/// Appends a message: `body` fills it, and the header in front of it tells its length. On an error
/// nothing is appended.
pub(super) fn message(
    out: &mut BytesMut,
    (kind, schema): (u8, u8),
    body: impl FnOnce(&mut Encoder<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_bytes(0, HEADER_LENGTH);
    let mut encoder = Encoder::new(out);
    let written = body(&mut encoder).and_then(|()| words(encoder.length()));
    match written {
        Ok(words) => {
            out[start..start + 4].copy_from_slice(&words.to_le_bytes());
            out[start + 4..start + 6].copy_from_slice(&[kind, schema]);
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn words(length: usize) -> Result<u32, EncodeError> {
    let body = u32::try_from(length).map_err(|_| EncodeError::TooLong(length))?;
    Ok(body / WORD as u32)
}
