//! Measurements of the write batcher: how large batches are and how long commits take.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

use crate::meter::{Histogram, HistogramSnapshot};

/// Bucket `n` counts batches of fewer than `2^n` effects.
const SIZE_BUCKETS: usize = 16;

/// Counters of the write batcher.
#[derive(Debug, Default)]
pub struct BatchMeter {
    sizes: [AtomicU64; SIZE_BUCKETS],
    effects: AtomicU64,
    failures: AtomicU64,
    commit: Histogram,
}

impl BatchMeter {
    /// Counts a committed batch.
    pub fn record(&self, effects: usize, took: Duration) {
        let bucket = (usize::BITS - effects.leading_zeros()) as usize;
        self.sizes[bucket.min(SIZE_BUCKETS - 1)].fetch_add(1, Relaxed);
        self.effects.fetch_add(effects as u64, Relaxed);
        self.commit.record(took);
    }

    /// Counts a batch that could not be stored.
    pub fn record_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// The counts of this moment.
    #[must_use]
    pub fn report(&self) -> BatchReport {
        BatchReport {
            sizes: self.sizes.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            effects: self.effects.load(Relaxed),
            failures: self.failures.load(Relaxed),
            commit: self.commit.snapshot(),
        }
    }
}

/// What the write batcher shows of its batches.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BatchReport {
    /// How many batches had fewer than `2^n` effects and belong to no smaller bucket.
    pub sizes: Vec<u64>,
    /// Effects committed since the start.
    pub effects: u64,
    /// Batches that could not be stored.
    pub failures: u64,
    /// How long commits took.
    pub commit: HistogramSnapshot,
}
