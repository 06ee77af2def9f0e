//! The log on SQLite: one file in a data directory, one writer, any number of readers.

mod activity;
mod checkpoint;
mod connection;
mod draft;
pub(crate) mod fault;
mod lineage;
mod lock;
mod reader;
mod restore;
mod room;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod select;
pub(crate) mod snapshot;
mod upkeep;
mod verify;
pub(crate) mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Effect;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME, ErrorCode};

use self::activity::Counters;
use self::checkpoint::Checkpointer;
use self::fault::{append_error, has_space, open_error};
use self::lock::DirectoryLock;
use self::reader::SqliteReader;
pub use self::restore::{RestoreOptions, restore};
pub use self::verify::{Problem, Verification, verify};
use crate::{AppendError, Journal, OpenError, Reader};

/// What can be chosen about a log on disk, in bytes unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// How much the write-ahead log grows before another piece of it is brought into the database. Commits wait
    /// for their disk while a piece is synced: pieces of 8 MiB doubled the p99 of writes, those of 256 KiB cost a
    /// quarter of their number.
    pub checkpoint: u64,
    /// The length that the write-ahead log has from the beginning, and at which it is started over: with 64 MiB that
    /// were not there, a lone write took a third longer. It is passed while a reader holds on to an old state of the
    /// log, a snapshot for example, and returned to afterwards.
    pub wal_limit: u64,
    /// Free space that the file keeps for rows to come instead of giving it back.
    pub spare: u64,
    /// How many connections are kept open for reading. More readers than that open their own.
    pub readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            checkpoint: 1 << 20,
            wal_limit: 16 << 20,
            spare: 8 << 20,
            readers: 8,
        }
    }
}

/// The writing side of a log on disk. Holds the data directory's lock until it is dropped.
#[derive(Debug)]
pub struct SqliteJournal {
    // Fields are dropped in this order: the lock goes last.
    connection: Connection,
    checkpointer: Checkpointer,
    counters: Arc<Counters>,
    /// The length in frames at which the checkpointer is woken next.
    wake_at: u32,
    /// The length in frames below which starting the log over is not tried again.
    restart_at: u32,
    /// Whether there may be more free pages than are to be kept.
    scrubbed: bool,
    /// Why nothing more may be appended.
    unknown: Option<AppendError>,
    options: SqliteOptions,
    data_dir: PathBuf,
    _lock: DirectoryLock,
}

impl SqliteJournal {
    /// Opens the log `taffrail.db` of a data directory, or makes both.
    ///
    /// Whatever an earlier process left in the write-ahead log is brought into the database first. So
    /// what is read from now on is on disk even if the sync that failed under the earlier process left
    /// it in the page cache only.
    pub fn open(data_dir: &Path, options: SqliteOptions) -> Result<(Self, Arc<dyn Reader>), OpenError> {
        let lock = DirectoryLock::acquire(data_dir)?;
        schema::create_if_missing(data_dir)?;
        let path = data_dir.join(schema::DATABASE_FILE);
        schema::check_header(&path)?;
        let sqlite = |error| open_error(&path, error);
        let mut connection = connection::open_writer(&path).map_err(sqlite)?;
        schema::migrate(&connection, &path)?;
        schema::check_shape(&connection, &path)?;
        settle(&connection).map_err(sqlite)?;
        room::make(&path, options.wal_limit);
        let counters = count_frames(&mut connection, &options).map_err(sqlite)?;
        let reader = SqliteReader::open(&path, options.readers, &counters).map_err(sqlite)?;
        let checkpointer = Checkpointer::start(&path).map_err(sqlite)?;
        let mut journal = Self {
            connection,
            checkpointer,
            counters,
            wake_at: 0,
            restart_at: 0,
            scrubbed: true,
            unknown: None,
            options,
            data_dir: data_dir.to_owned(),
            _lock: lock,
        };
        journal.begin_round();
        Ok((journal, Arc::new(reader)))
    }

    fn refuse_if_unknown(&self) -> Result<(), AppendError> {
        self.unknown.clone().map_or(Ok(()), Err)
    }

    /// Gives an error its name, and remembers it if nothing may follow it.
    fn fail(&mut self, stage: fault::Stage, error: &rusqlite::Error) -> AppendError {
        let named = append_error(error, stage, || has_space(&self.data_dir));
        match writer::roll_back(&self.connection) {
            Ok(()) => self.note(named),
            Err(rollback) => self.note(AppendError::Unknown(format!(
                "{error}; and no rollback: {rollback}"
            ))),
        }
    }

    fn note(&mut self, error: AppendError) -> AppendError {
        match error {
            AppendError::Unknown(_) => self.unknown = Some(error.clone()),
            // Once all of the write-ahead log is in the database its space serves for what comes next.
            AppendError::Full => self.checkpointer.wake(),
            AppendError::Failed(_) | AppendError::NotLeader(_) | AppendError::Lost(_) => {}
        }
        error
    }
}

impl Drop for SqliteJournal {
    /// Leaves everything in the one file, as far as no reader is in the way.
    fn drop(&mut self) {
        if self.unknown.is_some() {
            return;
        }
        let settled = self
            .connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| settle(&self.connection));
        if let Err(error) = settled {
            tracing::warn!(%error, "the write-ahead log stays behind for the next start");
        }
    }
}

impl Journal for SqliteJournal {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        self.refuse_if_unknown()?;
        if effects.is_empty() {
            return Ok(());
        }
        writer::write(&self.connection, effects).map_err(|(stage, error)| self.fail(stage, &error))?;
        self.scrubbed |= effects.iter().any(|effect| matches!(effect, Effect::Scrubbed(_)));
        self.wake_checkpointer();
        Ok(())
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        self.refuse_if_unknown()?;
        if let Some(failure) = self.checkpointer.take_failure() {
            return Err(self.note(failure));
        }
        self.restart_wal()?;
        self.give_pages_back()
    }
}

/// Empties the write-ahead log into the database, durably.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    match connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::TRUNCATE) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            // `taffrail verify`, for example. What is in the log stays valid there.
            tracing::warn!("the write-ahead log could not be emptied: the file is being read");
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}

/// Has every commit tell how long the write-ahead log is, and prepares the connection for appends.
fn count_frames(connection: &mut Connection, options: &SqliteOptions) -> rusqlite::Result<Arc<Counters>> {
    connection.set_prepared_statement_cache_capacity(writer::STATEMENTS);
    // What the log grew far beyond its limit, a snapshot long, is cut off when it is started over.
    connection.pragma_update_and_check(
        None,
        "journal_size_limit",
        options.wal_limit.saturating_mul(2).cast_signed(),
        |_| Ok(()),
    )?;
    let counters = Arc::new(Counters::default());
    let seen = Arc::clone(&counters);
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames: i32| {
        seen.committed(frames.unsigned_abs());
        Ok(())
    }))?;
    Ok(counters)
}
