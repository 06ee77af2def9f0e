//! The compactor's numbers, kept where anybody may read them without asking it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::Size;
use serde::Serialize;

use crate::meter::{Histogram, HistogramSnapshot};

/// Counters of the compactor.
#[derive(Debug, Default)]
pub(crate) struct CompactorMeter {
    passing: AtomicBool,
    pending: AtomicU64,
    scrubbed: AtomicU64,
    failed: AtomicU64,
    automatic: AtomicU64,
    allocated: AtomicU64,
    in_use: AtomicU64,
    last_unix_seconds: AtomicU64,
    passes: Histogram,
    locks: Histogram,
}

/// What compaction and space look like.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CompactorReport {
    /// Whether a pass over the index is under way.
    pub passing: bool,
    /// Unreachable rows found and not yet deleted from the log.
    pub pending: u64,
    /// Rows that this member deleted from the log since the start.
    pub scrubbed: u64,
    /// Deletions that failed since the start, and were tried again.
    pub failed: u64,
    /// Automatic compactions since the start.
    pub automatic: u64,
    /// What the log occupied on disk when last measured, bytes.
    pub allocated_bytes: u64,
    /// What of that held data.
    pub in_use_bytes: u64,
    /// When the last pass ended, seconds of Unix time; zero if none has since the start.
    pub last_unix_seconds: u64,
    /// How long passes took, from the first key to the last row deleted.
    pub passes: HistogramSnapshot,
    /// How long passes kept the state locked each time.
    pub locks: HistogramSnapshot,
}

impl CompactorMeter {
    pub(super) fn pass_begun(&self) {
        self.passing.store(true, Relaxed);
    }

    pub(super) fn pass_ended(&self, took: Duration) {
        self.passing.store(false, Relaxed);
        self.passes.record(took);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_unix_seconds.store(now.as_secs(), Relaxed);
    }

    pub(super) fn looked(&self, locked: Duration, pending: usize) {
        self.locks.record(locked);
        self.has_pending(pending);
    }

    pub(super) fn has_pending(&self, rows: usize) {
        self.pending.store(rows as u64, Relaxed);
    }

    pub(super) fn scrubbed(&self, rows: usize) {
        self.scrubbed.fetch_add(rows as u64, Relaxed);
    }

    pub(super) fn scrub_failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn compacted_automatically(&self) {
        self.automatic.fetch_add(1, Relaxed);
    }

    pub(super) fn measured(&self, size: Size) {
        self.allocated.store(size.allocated, Relaxed);
        self.in_use.store(size.in_use, Relaxed);
    }

    /// The numbers of this moment.
    #[must_use]
    pub(crate) fn report(&self) -> CompactorReport {
        CompactorReport {
            passing: self.passing.load(Relaxed),
            pending: self.pending.load(Relaxed),
            scrubbed: self.scrubbed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            automatic: self.automatic.load(Relaxed),
            allocated_bytes: self.allocated.load(Relaxed),
            in_use_bytes: self.in_use.load(Relaxed),
            last_unix_seconds: self.last_unix_seconds.load(Relaxed),
            passes: self.passes.snapshot(),
            locks: self.locks.snapshot(),
        }
    }
}
