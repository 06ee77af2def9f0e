//! What goes on at the files, counted where it happens and shown by the reading side.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::connection::PAGE_SIZE;
use crate::Activity;

/// Bytes of a page in the write-ahead log: SQLite puts a header before each.
const FRAME_SIZE: u64 = PAGE_SIZE as u64 + 24;

/// The counters of an open log.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Frames in the write-ahead log as of the last commit, those of earlier rounds not counted.
    frames: AtomicU32,
    written: AtomicU64,
    open_reads: AtomicU64,
}

impl Counters {
    /// The length of the write-ahead log in frames.
    pub(super) fn frames(&self) -> u32 {
        self.frames.load(Ordering::Acquire)
    }

    /// The bytes of the write-ahead log that hold something.
    pub(super) fn logged(&self) -> u64 {
        u64::from(self.frames()) * FRAME_SIZE
    }

    /// Takes note of a commit, after which the write-ahead log has this many frames. There is one writer.
    pub(super) fn committed(&self, frames: u32) {
        let before = self.frames.swap(frames, Ordering::AcqRel);
        // It got shorter: SQLite started it over.
        let added = frames.checked_sub(before).unwrap_or(frames);
        self.written
            .fetch_add(u64::from(added) * FRAME_SIZE, Ordering::Relaxed);
    }

    /// The write-ahead log has just been started over, or is new.
    pub(super) fn begin_round(&self) {
        self.frames.store(0, Ordering::Release);
    }

    /// Counts a read transaction until the answer is dropped.
    pub(super) fn reading(&self) -> Reading<'_> {
        self.open_reads.fetch_add(1, Ordering::Relaxed);
        Reading(self)
    }

    /// The counts of this moment.
    pub(super) fn activity(&self) -> Activity {
        Activity {
            written: self.written.load(Ordering::Relaxed),
            open_reads: self.open_reads.load(Ordering::Relaxed),
        }
    }
}

/// An open read transaction.
pub(super) struct Reading<'a>(&'a Counters);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.open_reads.fetch_sub(1, Ordering::Relaxed);
    }
}
