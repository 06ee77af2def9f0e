//! Whether a write is alone: then it is committed where it was decided, instead of waking the writer's thread and being
//! woken by it.
//!
//! Whoever comes meanwhile has to wait for that commit. So nobody must have come for a while, neither to write nor to
//! read, and commits must be short.

use std::sync::Arc;
use std::time::Duration;

use crate::shared_state::SharedState;
use crate::write_batcher::Batch;

/// Writes in a row that were alone before the next one is expected to be.
const ALONE_BEFORE: u32 = 8;
/// How long commits may take for it. A change of threads and back was seen to take 50 to 70 microseconds.
const SHORT_COMMIT: Duration = Duration::from_micros(400);
/// The newest commit counts for one part in so many of the mean.
const MEAN_OF: u32 = 8;

/// What is known of the writes of late.
pub(crate) struct Alone {
    shared: Arc<SharedState>,
    /// Ranges read up to the last write.
    ranges: u64,
    in_a_row: u32,
    /// Of the time that commits took.
    mean: Duration,
}

impl Alone {
    /// Nothing is known yet. Reads are counted in `shared`.
    pub(crate) fn new(shared: Arc<SharedState>) -> Self {
        Self {
            shared,
            ranges: 0,
            in_a_row: 0,
            mean: SHORT_COMMIT,
        }
    }

    /// Whether this write, the next one, is to be committed where it was decided.
    pub(super) fn expects(&mut self, batch: &Batch) -> bool {
        let ranges = self.shared.ranges();
        let alone = batch.is_lone() && ranges == self.ranges;
        self.ranges = ranges;
        self.in_a_row = if alone { self.in_a_row.saturating_add(1) } else { 0 };
        self.in_a_row > ALONE_BEFORE && self.mean < SHORT_COMMIT
    }

    /// Learns how long a commit took.
    pub(super) fn took(&mut self, took: Duration) {
        self.mean = (self.mean * (MEAN_OF - 1) + took) / MEAN_OF;
    }
}

#[cfg(test)]
mod tests {
    use journal::MemoryJournal;
    use model::State;

    use super::*;

    const QUICK: Duration = Duration::from_micros(100);

    fn shared() -> Arc<SharedState> {
        SharedState::new(State::default(), MemoryJournal::new().reader())
    }

    /// How many of these writes are expected to be alone, when each takes so long.
    fn expected(alone: &mut Alone, writes: u32, batch: &Batch, took: Duration) -> usize {
        let expects = |_: &u32| {
            alone.took(took);
            alone.expects(batch)
        };
        (0..writes).filter(expects).count()
    }

    #[test]
    fn who_writes_alone_for_a_while_is_expected_to_go_on_so() {
        let (mut alone, lone) = (Alone::new(shared()), Batch::of_one());
        assert_eq!(expected(&mut alone, ALONE_BEFORE, &lone, QUICK), 0);
        assert_eq!(expected(&mut alone, 10, &lone, QUICK), 10);
    }

    #[test]
    fn whoever_else_comes_ends_it() {
        let shared = shared();
        let (mut alone, lone) = (Alone::new(Arc::clone(&shared)), Batch::of_one());
        let after = |alone: &mut Alone, what: &str| {
            assert_eq!(expected(alone, ALONE_BEFORE, &lone, QUICK), 0, "after {what}");
            assert_eq!(expected(alone, 10, &lone, QUICK), 10, "after {what}");
        };
        after(&mut alone, "nothing");
        assert!(!alone.expects(&Batch::of_one().that_waited()));
        after(&mut alone, "a write that came during another one's commit");
        shared.count_range();
        assert!(!alone.expects(&lone));
        after(&mut alone, "a read");
    }

    #[test]
    fn where_commits_take_long_nobody_is_made_to_wait_for_one() {
        let (mut alone, lone) = (Alone::new(shared()), Batch::of_one());
        assert_eq!(expected(&mut alone, 100, &lone, SHORT_COMMIT * 2), 0);
        let quick_again = expected(&mut alone, 100, &lone, QUICK);
        assert!((1..100).contains(&quick_again), "{quick_again}");
    }
}
