//! One pass of compaction: over the index from end to end, and every unreachable row out of the log.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Command, Position, Revision};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::CompactorMeter;
use super::unreachable::Unreachable;
use crate::errors::RequestError;
use crate::shared_state::SharedState;
use crate::store::Store;

/// Keys looked at while the state is locked: some ten microseconds.
const KEYS_PER_LOCK: usize = 512;
/// The state is left alone for this long after each look, so that a pass takes a small share of it.
const PAUSE: Duration = Duration::from_millis(1);
/// Rows that are gathered before they are deleted in the order of the log: 2 MiB of positions.
const ROWS_GATHERED: usize = 1 << 18;
/// Rows deleted by one command at least: it shares a commit with the writes of others and must not be felt there.
const ROWS_PER_SCRUB_MIN: usize = 32;
/// And at most.
const ROWS_PER_SCRUB_MAX: usize = 2048;
/// For each row that was written since the last command so many are deleted: a pass ends, however much is written.
const ROWS_PER_ROW_WRITTEN: usize = 2;
/// Bounds of the pause after a scrub, which otherwise lasts as long as the scrub took.
const SCRUB_PAUSE_MAX: Duration = Duration::from_millis(100);
/// When a scrub that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A pass for the compaction at `revision`.
///
/// Many rows are gathered, and scrubbed in the order of the log, one command at a time: rows that lie side by side
/// belong to many keys, and pages that lose all of their rows are not written again. All rows of a key are
/// gathered together and its tombstone is its last one, so a crash in between can leave the tombstone
/// without what it deleted, but never bring a deleted key back. For the same reason, and
/// because the index has forgotten them already, rows whose scrub failed are tried until they are gone.
pub(super) struct Pass {
    pub(super) revision: Revision,
    pub(super) shared: Arc<SharedState>,
    pub(super) unreachable: Arc<Mutex<Unreachable>>,
    pub(super) store: Store,
    pub(super) compactions: Arc<CompactorMeter>,
}

impl Pass {
    /// Makes the pass. Returns whether everything that it found is deleted, which only the leader does.
    ///
    /// # Errors
    /// Only when the server is going down.
    pub(super) async fn run(self) -> Result<bool, RequestError> {
        let begun = Instant::now();
        self.compactions.pass_begun();
        let mut unreachable = self.unreachable.lock().left();
        let (mut next, mut scrubbed) = (Some(Bytes::new()), true);
        while let Some(from) = next {
            next = self.look(&from, &mut unreachable);
            sleep(PAUSE).await;
            if unreachable.len() >= ROWS_GATHERED {
                scrubbed &= self.scrub_all(mem::take(&mut unreachable)).await?;
            }
        }
        scrubbed &= self.scrub_all(unreachable).await?;
        self.compactions.pass_ended(begun.elapsed());
        Ok(scrubbed)
    }

    /// Takes what is unreachable out of the next part of the index; returns where the one after it begins.
    fn look(&self, from: &[u8], unreachable: &mut Vec<Position>) -> Option<Bytes> {
        let (begun, found) = self.shared.write(|state| {
            let begun = Instant::now();
            (
                begun,
                state.index_mut().compact(from, self.revision, KEYS_PER_LOCK),
            )
        });
        let mut left = self.unreachable.lock();
        unreachable.extend(left.found(found.positions));
        self.compactions.looked(begun.elapsed(), left.len());
        found.next
    }

    /// Returns whether the rows are deleted.
    async fn scrub_all(&self, mut rows: Vec<Position>) -> Result<bool, RequestError> {
        rows.sort_unstable();
        let (mut rest, mut scrubbed) = (rows.as_slice(), true);
        let mut written = self.written();
        while !rest.is_empty() {
            let since = self.written() - written;
            written += since;
            let (now, later) = rest.split_at(rows_per_scrub(since).min(rest.len()));
            scrubbed &= self.scrub(now.to_vec()).await?;
            rest = later;
        }
        Ok(scrubbed)
    }

    /// How many rows the log ever had.
    fn written(&self) -> i64 {
        self.shared.read(|state| state.position().0)
    }

    /// Returns whether the rows are deleted.
    async fn scrub(&self, rows: Vec<Position>) -> Result<bool, RequestError> {
        let begun = Instant::now();
        let mut failures = 0;
        while let Err(error) = self.store.submit_own(Command::Scrub(rows.clone())).await {
            match error {
                RequestError::Stopped => return Err(error),
                // Whoever leads makes the same pass.
                RequestError::NotLeader => return Ok(false),
                _ => {}
            }
            if failures == 0 {
                tracing::warn!(%error, rows = rows.len(), "compacted rows were not deleted and will be tried again");
            }
            failures += 1;
            self.compactions.scrub_failed();
            sleep(RETRY).await;
        }
        self.compactions.scrubbed(rows.len());
        sleep(begun.elapsed().min(SCRUB_PAUSE_MAX)).await;
        Ok(true)
    }
}

/// How many rows one command is to delete when so many were written since the one before.
fn rows_per_scrub(written: i64) -> usize {
    let written = usize::try_from(written).unwrap_or(0);
    let rows = written.saturating_mul(ROWS_PER_ROW_WRITTEN);
    rows.clamp(ROWS_PER_SCRUB_MIN, ROWS_PER_SCRUB_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_deleted_than_is_written() {
        assert_eq!(rows_per_scrub(0), ROWS_PER_SCRUB_MIN);
        assert_eq!(rows_per_scrub(400), 800);
        assert_eq!(rows_per_scrub(i64::MAX), ROWS_PER_SCRUB_MAX);
    }
}
