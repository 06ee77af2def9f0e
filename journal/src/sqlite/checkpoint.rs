//! The write-ahead log brought back into the database, without holding up the writer.
//!
//! A thread with a connection of its own copies committed pages into the database (a passive
//! checkpoint, which takes no lock that the writer wants) whenever the log has grown by a piece. That
//! alone never lets the log begin anew, because under load a few frames are always newer than the
//! copy. So when the log is over its limit the thread runs more often, which leaves little, and the
//! writer copies that little itself and starts the log over: see `upkeep`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME, ErrorCode};

use super::connection;
use super::fault::{Stage, append_error, has_space};
use crate::AppendError;
use crate::directory::parent;

/// The thread that checkpoints, as the writer sees it.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
}

/// What the thread has done.
#[derive(Debug, Default)]
struct Progress {
    /// Frames of the log that are in the database, as of the last checkpoint.
    copied: AtomicU32,
    /// Whether it had to leave frames because a reader needs the state before them.
    held_back: AtomicBool,
    /// The last checkpoint's error.
    failure: Mutex<Option<AppendError>>,
}

impl Progress {
    fn report(&self, all: u32, copied: u32) {
        self.copied.store(copied, Ordering::Release);
        self.held_back.store(copied < all, Ordering::Release);
    }
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(path: &Path) -> rusqlite::Result<Self> {
        let connection = connection::open_writer(path)?;
        let progress = Arc::new(Progress::default());
        let (wake, woken) = bounded(1);
        let seen = Arc::clone(&progress);
        let directory = parent(path).to_owned();
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || run(&connection, &woken, &seen, &directory))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
            progress,
        })
    }

    /// Asks for a checkpoint; one that waits already will do.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // Full means asked for already; disconnected means that the thread ended, which drop reports.
            let _ = wake.try_send(());
        }
    }

    /// Frames that need not be copied any more.
    pub(super) fn copied(&self) -> u32 {
        self.progress.copied.load(Ordering::Acquire)
    }

    /// Whether a reader, not the disk, keeps the log from being copied.
    pub(super) fn held_back(&self) -> bool {
        self.progress.held_back.load(Ordering::Acquire)
    }

    /// The log begins anew: nothing of it is copied.
    pub(super) fn forget(&self) {
        self.progress.copied.store(0, Ordering::Release);
    }

    /// The error of the last checkpoint that failed, once.
    pub(super) fn take_failure(&self) -> Option<AppendError> {
        self.progress.failure.lock().take()
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

fn run(connection: &Connection, woken: &Receiver<()>, progress: &Progress, directory: &Path) {
    for () in woken {
        match connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
            Ok((all, copied)) => progress.report(all.unsigned_abs(), copied.unsigned_abs()),
            // The writer is restarting the log at this moment.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            Err(error) => {
                *progress.failure.lock() = Some(append_error(&error, Stage::Open, || has_space(directory)));
            }
        }
    }
}
