//! The newest batches of one leadership, kept in memory for followers whose connection broke.

use std::collections::VecDeque;

use super::Replicate;
use crate::cluster::{Epoch, Followed, Progress};

/// Bytes of recent batches that are kept: seconds of writes at full speed. The keyspace and the watch hub
/// hold most of it anyway.
const RECENT_BYTES: usize = 32 << 20;

/// A run of batches without a gap, ending with the newest one.
#[derive(Debug)]
pub(super) struct Recent {
    epoch: Epoch,
    /// The newest batch; zero before the first.
    newest: u64,
    batches: VecDeque<(u64, Followed)>,
    bytes: usize,
}

impl Recent {
    /// The beginning of a leadership.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            newest: 0,
            batches: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Where somebody stands who has everything.
    pub(super) fn progress(&self) -> Progress {
        self.progress_at(self.newest)
    }

    fn progress_at(&self, sequence: u64) -> Progress {
        Progress {
            epoch: self.epoch,
            sequence,
            ..Progress::default()
        }
    }

    /// Takes the next batch in, lets the oldest ones go, and returns what followers are told of it.
    pub(super) fn push(&mut self, batch: Replicate, lease_clock_ms: i64) -> Followed {
        let Replicate { sequence, effects } = batch;
        debug_assert_eq!(sequence, self.newest + 1, "batches come one after the other");
        let followed = Followed::Batch {
            sequence,
            effects,
            lease_clock_ms,
        };
        self.newest = sequence;
        self.bytes += followed.size();
        self.batches.push_back((sequence, followed.clone()));
        while self.bytes > RECENT_BYTES
            && let Some((_, oldest)) = self.batches.pop_front()
        {
            self.bytes -= oldest.size();
        }
        followed
    }

    /// What a follower misses, each with where it stands then; none if that is not all here.
    pub(super) fn after(&self, progress: Progress) -> Option<Vec<(Progress, Followed)>> {
        let complete = progress.epoch == self.epoch
            && progress.sequence <= self.newest
            && self
                .batches
                .front()
                .map_or(progress.sequence == self.newest, |(oldest, _)| {
                    progress.sequence + 1 >= *oldest
                });
        if !complete {
            return None;
        }
        let missed = self
            .batches
            .iter()
            .filter(|(sequence, _)| *sequence > progress.sequence)
            .map(|(sequence, followed)| (self.progress_at(*sequence), followed.clone()));
        let first = (progress, Followed::Continued);
        Some(std::iter::once(first).chain(missed).collect())
    }
}
