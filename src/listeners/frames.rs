//! Just enough HTTP/2 to see which frames go by: nine octets of header, then a payload to skip.

/// The octets that a frame begins with.
const HEADER_LENGTH: usize = 9;

/// The kinds of frame that keep-alive rules are about (RFC 9113, section 6).
pub(super) mod kind {
    pub(in crate::listeners) const DATA: u8 = 0;
    pub(in crate::listeners) const HEADERS: u8 = 1;
    pub(in crate::listeners) const RST_STREAM: u8 = 3;
    pub(in crate::listeners) const PING: u8 = 6;
    pub(in crate::listeners) const GOAWAY: u8 = 7;
}

/// On a PING: it is an answer. On DATA and HEADERS the same bit says that the stream ends.
pub(super) const FLAG_ACK: u8 = 1;
/// See [`FLAG_ACK`].
pub(super) const FLAG_END_STREAM: u8 = 1;
/// ENHANCE_YOUR_CALM, RFC 9113 section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

/// What a frame's header says, its length aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

/// Follows the frames of one direction of a connection, however its bytes are cut.
#[derive(Debug, Default)]
pub(super) struct FrameWalker {
    header: [u8; HEADER_LENGTH],
    have: usize,
    payload: usize,
}

impl FrameWalker {
    /// Whether the bytes so far end where a frame ends.
    pub(super) fn at_border(&self) -> bool {
        self.have == 0 && self.payload == 0
    }

    /// Takes the next bytes and hands on every frame whose header they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER_LENGTH - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER_LENGTH {
                self.have = 0;
                let [a, b, c, kind, flags, s @ ..] = self.header;
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                seen(Frame {
                    kind,
                    flags,
                    stream: u32::from_be_bytes(s) & 0x7fff_ffff,
                });
            }
        }
    }
}

/// A GOAWAY frame that sends an impolite client away.
pub(super) fn calm_down(last_stream: u32, reason: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_LENGTH + 8 + reason.len());
    let length = u32::try_from(8 + reason.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_be_bytes()[1..]);
    frame.extend_from_slice(&[kind::GOAWAY, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(&last_stream.to_be_bytes());
    frame.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
    frame.extend_from_slice(reason);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn frames_are_seen_however_the_bytes_are_cut() {
        let mut bytes = frame(kind::HEADERS, 4, 1, &[7; 300]);
        bytes.extend(frame(kind::PING, 0, 0, &[0; 8]));
        bytes.extend(frame(kind::DATA, FLAG_END_STREAM, 3, &[]));
        for cut in [1, 2, 8, 9, 10, 100, 1000] {
            let (mut walker, mut seen) = (FrameWalker::default(), Vec::new());
            bytes
                .chunks(cut)
                .for_each(|chunk| walker.feed(chunk, |frame| seen.push(frame.kind)));
            assert_eq!(seen, [kind::HEADERS, kind::PING, kind::DATA], "cut {cut}");
            assert!(walker.at_border());
        }
    }

    #[test]
    fn a_border_is_known() {
        let mut walker = FrameWalker::default();
        let bytes = frame(kind::DATA, 0, 1, &[1, 2, 3]);
        walker.feed(&bytes[..5], |_| {});
        assert!(!walker.at_border());
        walker.feed(&bytes[5..10], |_| {});
        assert!(!walker.at_border());
        walker.feed(&bytes[10..], |_| {});
        assert!(walker.at_border());
    }

    #[test]
    fn the_farewell_is_a_whole_frame() {
        let (mut walker, mut seen) = (FrameWalker::default(), Vec::new());
        walker.feed(&calm_down(5, b"too_many_pings"), |frame| seen.push(frame.kind));
        assert!(walker.at_border() && seen == [kind::GOAWAY]);
    }
}
