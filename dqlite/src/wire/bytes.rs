//! Numbers, texts and blobs, each padded to whole words.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::{DecodeError, EncodeError, WORD, padded};

/// Appends to a message's body. The body must begin at a multiple of a word.
pub(super) struct Encoder<'a> {
    out: &'a mut BytesMut,
    start: usize,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut BytesMut) -> Self {
        let start = out.len();
        Self { out, start }
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.out.put_u8(number);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.out.put_u32_le(number);
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.out.put_u64_le(number);
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        if text.as_bytes().contains(&0) {
            return Err(EncodeError::NulInText);
        }
        self.out.put_slice(text.as_bytes());
        self.out.put_u8(0);
        self.pad();
        Ok(())
    }

    pub(super) fn blob(&mut self, blob: &[u8]) {
        self.u64(blob.len() as u64);
        self.out.put_slice(blob);
        self.pad();
    }

    /// Whole words that are encoded already.
    pub(super) fn raw(&mut self, words: &[u8]) {
        self.out.put_slice(words);
    }

    /// Zeros up to the next word.
    pub(super) fn pad(&mut self) {
        let length = self.length();
        let missing = length.next_multiple_of(WORD) - length;
        self.out.put_bytes(0, missing);
    }

    pub(super) fn length(&self) -> usize {
        self.out.len() - self.start
    }
}

/// Reads a message's body from its beginning to its end.
pub(super) struct Decoder {
    rest: Bytes,
}

impl Decoder {
    pub(super) fn new(body: Bytes) -> Self {
        Self { rest: body }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.rest.try_get_u8().map_err(|_| DecodeError::CutOff)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.rest.try_get_u32_le().map_err(|_| DecodeError::CutOff)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.rest.try_get_u64_le().map_err(|_| DecodeError::CutOff)
    }

    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.u64().map(u64::cast_signed)
    }

    /// The next word, which stays where it is.
    pub(super) fn peek(&self) -> Result<u64, DecodeError> {
        self.rest
            .first_chunk()
            .map(|word| u64::from_le_bytes(*word))
            .ok_or(DecodeError::CutOff)
    }

    /// So many bytes, and what pads them.
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        match padded(length) {
            Some(all) if all <= self.rest.len() => {
                let taken = self.rest.slice(..length);
                self.rest.advance(all);
                Ok(taken)
            }
            _ => Err(DecodeError::CutOff),
        }
    }

    /// So many bytes, where the caller knows what pads them.
    pub(super) fn unpadded(&mut self, length: usize) -> Result<Vec<u8>, DecodeError> {
        if length > self.rest.len() {
            return Err(DecodeError::CutOff);
        }
        let taken = self.rest[..length].to_vec();
        self.rest.advance(length);
        Ok(taken)
    }

    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let length = end.ok_or(DecodeError::CutOff)?;
        let all = padded(length + 1).filter(|all| *all <= self.rest.len());
        let all = all.ok_or(DecodeError::CutOff)?;
        let text = std::str::from_utf8(&self.rest[..length])
            .map_err(|_| DecodeError::NotUtf8)?
            .to_owned();
        self.rest.advance(all);
        Ok(text)
    }

    pub(super) fn blob(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.u64()?;
        self.take(usize::try_from(length).map_err(|_| DecodeError::CutOff)?)
    }

    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    /// Ends the message here.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(DecodeError::TooLong(more)),
        }
    }
}
