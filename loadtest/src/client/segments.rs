//! A message as the pieces in which it arrived.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::CallError;

/// Bytes of gRPC's prefix: a compression flag and the length of the message.
pub(crate) const PREFIX: usize = 5;

/// Bytes in the order of arrival, never copied together unless a reader asks for a run that spans pieces.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl Segments {
    /// Appends what arrived.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Takes the prefix off a buffer that must hold exactly one message.
    pub(crate) fn strip_frame(&mut self) -> Result<(), CallError> {
        let length = self.take_prefix()?;
        if length == self.remaining {
            return Ok(());
        }
        Err(CallError::Malformed(format!(
            "{length} bytes announced, {} received",
            self.remaining
        )))
    }

    /// Takes one prefix, which must have arrived, and returns the length it announces.
    pub(crate) fn take_prefix(&mut self) -> Result<usize, CallError> {
        if self.remaining < PREFIX {
            return Err(CallError::Malformed("no message".to_owned()));
        }
        match self.get_u8() {
            0 => Ok(self.get_u32() as usize),
            flag => Err(CallError::Malformed(format!("compression flag {flag}"))),
        }
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end");
        self.remaining -= count;
        while let Some(front) = self.pieces.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        assert!(length <= self.remaining, "read past the end");
        if length < self.chunk().len() {
            self.remaining -= length;
            return self.pieces[0].split_to(length);
        }
        let mut joined = Vec::with_capacity(length);
        while joined.len() < length {
            let run = self.chunk().len().min(length - joined.len());
            joined.extend_from_slice(&self.chunk()[..run]);
            self.advance(run);
        }
        joined.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(pieces: &[&'static [u8]]) -> Segments {
        let mut segments = Segments::default();
        pieces
            .iter()
            .for_each(|piece| segments.push(Bytes::from_static(piece)));
        segments
    }

    #[test]
    fn reads_across_pieces_as_if_they_were_one() {
        let mut buffer = segments(&[b"ab", b"", b"cde", b"f"]);
        assert_eq!(buffer.remaining(), 6);
        assert_eq!(buffer.copy_to_bytes(1), "a");
        assert_eq!(buffer.copy_to_bytes(3), "bcd");
        buffer.advance(1);
        assert_eq!(buffer.copy_to_bytes(1), "f");
        assert!(!buffer.has_remaining());
    }

    #[test]
    fn a_frame_must_hold_exactly_what_it_announces() {
        assert!(segments(&[&[0, 0, 0], &[0, 2, 7], &[7]]).strip_frame().is_ok());
        assert!(segments(&[&[0, 0, 0, 0, 2, 7]]).strip_frame().is_err());
        assert!(segments(&[&[0, 0, 0, 0]]).strip_frame().is_err());
        assert!(segments(&[&[1, 0, 0, 0, 0]]).strip_frame().is_err());
    }
}
