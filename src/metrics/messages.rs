//! Counts gRPC messages as they pass, however the transport cuts them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actors::{Histogram, HistogramSnapshot};

/// The octets in front of every gRPC message: a flag and the length.
const PREFIX_LENGTH: usize = 5;

/// Follows the messages of one direction of a call.
#[derive(Debug, Default)]
pub(super) struct MessageWalker {
    prefix: [u8; PREFIX_LENGTH],
    have: usize,
    left: usize,
}

impl MessageWalker {
    /// Takes the next bytes and returns how many messages begin in them.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let taken = (PREFIX_LENGTH - self.have).min(bytes.len());
            self.prefix[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == PREFIX_LENGTH {
                let [_flag, length @ ..] = self.prefix;
                self.have = 0;
                self.left = u32::from_be_bytes(length) as usize;
                begun += 1;
            }
        }
        begun
    }
}

/// gRPC's status codes, in the order of their numbers, as Prometheus labels name them.
pub(super) const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The kind of a method that streams nothing.
pub(super) const UNARY: &str = "unary";

/// The counters of one method.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) started: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) handled: [AtomicU64; CODES.len()],
    /// How long calls took that succeeded, and that did not.
    pub(super) handling: [Histogram; 2],
}

impl Method {
    /// A method that was never called, which may stream what it asks and what it answers.
    pub(super) fn new(service: &str, name: &str, (asks, answers): (bool, bool)) -> Self {
        Self {
            service: service.to_owned(),
            name: name.to_owned(),
            kind: match (asks, answers) {
                (false, false) => UNARY,
                (true, false) => "client_stream",
                (false, true) => "server_stream",
                (true, true) => "bidi_stream",
            },
            started: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            handled: std::array::from_fn(|_| AtomicU64::new(0)),
            handling: Default::default(),
        }
    }

    /// Counts the end of a call that took so long.
    pub(super) fn end(&self, code: usize, took: Duration) {
        self.handled[code.min(CODES.len() - 1)].fetch_add(1, Relaxed);
        self.handling[usize::from(code != 0)].record(took);
    }

    /// How many calls are under way.
    pub(super) fn under_way(&self) -> u64 {
        let ended: u64 = self.handled.iter().map(|count| count.load(Relaxed)).sum();
        self.started.load(Relaxed).saturating_sub(ended)
    }

    /// How long calls took, however they ended.
    pub(super) fn all_handling(&self) -> HistogramSnapshot {
        let [mut all, failed] = self.handling.each_ref().map(Histogram::snapshot);
        all.buckets
            .iter_mut()
            .zip(failed.buckets)
            .for_each(|(all, failed)| *all += failed);
        all.sum_nanos += failed.sum_nanos;
        all.count += failed.count;
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let mut bytes = vec![0, 0, 0, 0, 3, 7, 7, 7];
        bytes.extend([0, 0, 0, 0, 0]);
        bytes.extend([1, 0, 0, 0, 1, 9]);
        for cut in 1..=bytes.len() {
            let mut walker = MessageWalker::default();
            assert_eq!(
                bytes.chunks(cut).map(|chunk| walker.feed(chunk)).sum::<u64>(),
                3,
                "cut {cut}"
            );
        }
    }
}
