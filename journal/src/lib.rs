//! The log: effects made durable in order, and read back.
//!
//! One writer appends batches of effects, each batch all or nothing; any number of readers look rows
//! up by position beside it. The log is the truth of the store. Nothing here knows a rule of etcd, and
//! nothing above this crate knows SQL.

mod directory;
#[cfg(feature = "dqlite")]
mod dqlite;
mod errors;
mod memory;
mod memory_shared;
mod page;
mod shared;
mod sqlite;

use std::path::Path;

use bytes::Bytes;
use model::{Effect, Event, Position, Revision};

#[cfg(feature = "dqlite")]
pub use crate::dqlite::{DqliteLog, DqliteOptions, Horizon, Image, SchemaRule};
pub use directory::{make_directory, replace_file, sync_directory};
pub use errors::{AppendError, OpenError, ReadError, RestoreError};
pub use memory::MemoryJournal;
pub use memory_shared::{MemoryCluster, MemorySharedLog};
pub use shared::{Appending, Claim, Schemas, SharedJournal, SharedLog};
pub use sqlite::{Problem, RestoreOptions, SqliteJournal, SqliteOptions, Verification, restore, verify};

/// The writing side of a log. There is one, and one thread owns it.
pub trait Journal: Send + 'static {
    /// Makes the effects durable, all of them or none: when this returns `Ok` they survive power loss.
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError>;

    /// Does at most a few milliseconds of upkeep that only the writer can do (giving free pages back,
    /// restarting a write-ahead log that has grown too long). Returns whether more is waiting.
    fn upkeep(&mut self) -> Result<bool, AppendError>;
}

/// The reading side of a log: shared by all threads, never in the way of the writer. Calls may block on the disk.
pub trait Reader: Send + Sync + 'static {
    /// Hands every stored effect to `sink`, in an order that rebuilds the state: the compact revision,
    /// the leases and alarms, then the events by position.
    fn replay(&self, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError>;

    /// The values at these positions, in this order; none for a row that was scrubbed.
    fn values(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError>;

    /// The events from this revision on, whole revisions only, until about `budget` bytes are full.
    /// A single revision is never cut, however large. Empty when the log holds nothing that new.
    fn events(&self, from: Revision, budget: usize) -> Result<History, ReadError>;

    /// As [`events`](Self::events), but only from what this member itself has on disk, or holds as its replica:
    /// for comparing the members with each other. It is waited for, for some seconds, until that reaches the revision
    /// `up_to`.
    fn own_events(&self, from: Revision, up_to: Revision, budget: usize) -> Result<History, ReadError> {
        let _reached_already = up_to;
        self.events(from, budget)
    }

    /// This process has seen the log up to this row: from now on nothing is read from where that is missing.
    fn reached(&self, _: Position) {}

    /// How much space the log takes.
    fn size(&self) -> Result<Size, ReadError>;

    /// What goes on at the files of the log; nothing where there are none.
    fn activity(&self) -> Activity {
        Activity::default()
    }

    /// Writes a consistent copy of the log to a new file, without holding up the writer.
    fn snapshot(&self, to: &Path) -> Result<(), ReadError>;

    /// Who this log says that it belongs to.
    fn identity(&self) -> Identity;
}

/// A stretch of what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The events, in order.
    pub events: Vec<Event>,
    /// How far the log was compacted when the last of them had been read. Up to this revision rows may be
    /// missing: a reader that has not heard of the compaction must not take the rest for all there was.
    pub compact_revision: Revision,
}

/// The space that a log takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// What it occupies on disk, but for room that nothing was written to yet.
    pub allocated: u64,
    /// What of that holds data; the rest is given back by upkeep.
    pub in_use: u64,
}

/// What goes on at the files of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Bytes appended to the write-ahead log since the log was opened.
    pub written: u64,
    /// Read transactions that are open.
    pub open_reads: u64,
}

/// The numbers by which clients know a member and its cluster; drawn once, when the log is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's identity, not zero.
    pub cluster_id: u64,
    /// The member's identity, not zero.
    pub member_id: u64,
}

impl Journal for Box<dyn Journal> {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        self.as_mut().append(effects)
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        self.as_mut().upkeep()
    }
}
