//! What only the writer can do for the file, a little at a time.

use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{DEFAULT_NAME, ErrorCode};

use super::SqliteJournal;
use super::connection::{BUSY_TIMEOUT, PAGE_SIZE, give_back};
use super::fault::Stage;
use crate::AppendError;

/// Frames that the writer copies itself when it starts the log over, at the limit. The further the log
/// is past its limit, the more it takes on, so that the log does not grow on for a handful of frames.
const RESTART_GAP: u32 = 128;

/// The most that it ever takes on: a disk that cannot keep up makes the log longer, not the pause.
const LARGEST_GAP: u32 = 2048;

/// How long the writer rests, at twice the limit, when the disk cannot keep up.
const PAUSE: Duration = Duration::from_millis(2);

/// Pages given back in one call, for which a write may have to wait.
const VACUUM_PAGES: u32 = 4;

impl SqliteJournal {
    /// The write-ahead log has just been started over, or is new.
    pub(super) fn begin_round(&mut self) {
        self.counters.begin_round();
        self.checkpointer.forget();
        self.wake_at = pages(self.options.checkpoint);
        self.restart_at = pages(self.options.wal_limit);
    }

    /// After a commit: lets the checkpointer run when there is a piece for it.
    pub(super) fn wake_checkpointer(&mut self) {
        let frames = self.counters.frames();
        let piece = pages(self.options.checkpoint);
        if frames.saturating_add(piece) < self.wake_at {
            // SQLite started the log over by itself: everything in it was copied and nobody read it.
            self.begin_round();
        } else if frames >= self.wake_at {
            self.checkpointer.wake();
            // Over the limit it comes more often, so that little is left for the writer to copy.
            let step = if frames < self.restart_at {
                piece
            } else {
                piece / 8
            };
            self.wake_at = frames.saturating_add(step);
        }
    }

    /// Starts the write-ahead log over when it is long and nearly all of it is in the database.
    pub(super) fn restart_wal(&mut self) -> Result<(), AppendError> {
        let frames = self.counters.frames();
        let left = frames.saturating_sub(self.checkpointer.copied());
        let over = frames.saturating_sub(self.restart_at);
        if frames < self.restart_at {
            return Ok(());
        }
        if left > (RESTART_GAP + over / 2).min(LARGEST_GAP) {
            self.let_checkpointer_catch_up(over);
            return Ok(());
        }
        match self.restart_now() {
            Ok(_) => self.begin_round(),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                // A reader needs an old state. Trying again costs a sync, so not before the log has grown.
                self.restart_at = frames.saturating_add(pages(self.options.checkpoint));
            }
            Err(error) => return Err(self.fail(Stage::Open, &error)),
        }
        Ok(())
    }

    /// A writer that outruns the disk is slowed down a little at a time, instead of being stopped for
    /// long or of filling the disk with a log. One that waits for a reader is not: that ends by itself.
    fn let_checkpointer_catch_up(&self, over: u32) {
        if over > pages(self.options.wal_limit) && !self.checkpointer.held_back() {
            std::thread::sleep(PAUSE);
        }
    }

    /// Never waits for a reader.
    fn restart_now(&self) -> rusqlite::Result<(i32, i32)> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let outcome = self
            .connection
            .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::RESTART);
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        outcome
    }

    /// Gives some free pages back to the file system. Returns whether there are more.
    pub(super) fn give_pages_back(&mut self) -> Result<bool, AppendError> {
        if self.scrubbed {
            self.scrubbed = self.vacuum().map_err(|error| self.fail(Stage::Open, &error))?;
            self.wake_checkpointer();
        }
        Ok(self.scrubbed)
    }

    fn vacuum(&self) -> rusqlite::Result<bool> {
        let surplus = self.free_pages()?.saturating_sub(pages(self.options.spare));
        if surplus == 0 {
            return Ok(false);
        }
        let count = surplus.min(VACUUM_PAGES);
        give_back(&self.connection, count)?;
        Ok(surplus > count)
    }

    fn free_pages(&self) -> rusqlite::Result<u32> {
        self.connection
            .prepare_cached("PRAGMA freelist_count")?
            .query_row((), |row| row.get(0))
    }
}

/// Whole pages in so many bytes; a frame of the write-ahead log holds one.
fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes / u64::from(PAGE_SIZE)).unwrap_or(u32::MAX)
}
