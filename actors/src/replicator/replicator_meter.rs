//! The replicator's numbers, kept where anybody may read them without asking it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::cluster::Progress;

/// What the replicator shows of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplicatorReport {
    /// The epoch under which this member leads; zero while it does not.
    pub epoch: i64,
    /// The newest batch of that epoch.
    pub sequence: u64,
    /// Followers in the live flow.
    pub followers: u64,
    /// Batches that the slowest of them has not acknowledged. They say every 20 ms how far they are.
    pub lag: u64,
}

/// Gauges of the replicator.
#[derive(Debug, Default)]
pub(crate) struct ReplicatorMeter {
    epoch: AtomicI64,
    sequence: AtomicU64,
    followers: AtomicU64,
    lag: AtomicU64,
}

impl ReplicatorMeter {
    pub(super) fn show(&self, progress: Progress, followers: usize, lag: u64) {
        self.epoch.store(progress.epoch.0, Relaxed);
        self.sequence.store(progress.sequence, Relaxed);
        self.followers.store(followers as u64, Relaxed);
        self.lag.store(lag, Relaxed);
    }

    /// The gauges of this moment.
    pub(crate) fn report(&self) -> ReplicatorReport {
        ReplicatorReport {
            epoch: self.epoch.load(Relaxed),
            sequence: self.sequence.load(Relaxed),
            followers: self.followers.load(Relaxed),
            lag: self.lag.load(Relaxed),
        }
    }
}
