//! What can go wrong with a log, named for what the caller does next.

use std::error::Error;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a log was not opened. Nothing was changed on disk in any of these cases.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or another journal of this one, uses the data directory.
    #[error("data directory {} is in use by another process (it holds the lock on {})", path.display(), path.join("LOCK").display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The file was not made by Taffrail, or what lies beside it does not belong to it.
    #[error("{} does not belong to Taffrail: {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// The file was made by Taffrail but cannot be trusted any more.
    #[error("{} is corrupt: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file was written by a newer Taffrail.
    #[error("{} has schema version {found}, this program knows versions up to {known}", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version that the file carries.
        found: i64,
        /// The newest version that this program can read.
        known: i64,
    },
    /// The operating system or SQLite refused: permissions, space, limits.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was refused.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl OpenError {
    pub(crate) fn foreign(path: &Path, what: impl Into<String>) -> Self {
        Self::Foreign {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn io(path: &Path, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Io {
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// Why a batch is not known to be durable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// There is no space. Nothing of the batch was written; the log can be read, and written once there is space.
    #[error("no space left for the log")]
    Full,
    /// Nothing of the batch was written.
    #[error("the log was not written: {0}")]
    Failed(String),
    /// The batch may or may not be durable, and nothing more will be appended: the process must end and
    /// read the log again, since only a fresh look at the disk can tell.
    #[error("it is not known whether the log was written: {0}")]
    Unknown(String),
    /// Nothing of the batch was written: another member leads, or none does, and this writer appends nothing more.
    #[error("this member does not lead: {0}")]
    NotLeader(String),
    /// The batch may or may not be durable, and this writer appends nothing more: leadership was lost
    /// meanwhile. Whoever leads next finds the batch in the log, or not.
    #[error("leadership was lost while the log was written: {0}")]
    Lost(String),
}

/// Why the log could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The file is damaged: reading on would serve wrong data.
    #[error("the log is corrupt: {0}")]
    Corrupt(String),
    /// The operating system or SQLite refused; the log itself is not known to be damaged.
    #[error("the log cannot be read: {0}")]
    Failed(String),
}

/// Why a snapshot was not restored. The data directory is left empty.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The data directory holds something already.
    #[error("data directory {} is not empty", path.display())]
    NotEmpty {
        /// The data directory.
        path: PathBuf,
    },
    /// The options contradict each other or the snapshot.
    #[error("{0}")]
    Options(String),
    /// The snapshot, or the new log made of it, cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The snapshot is an intact file whose content breaks a rule of the log; the first problem is named.
    #[error("snapshot {} is not a sound log: {problem}", path.display())]
    Unsound {
        /// The snapshot.
        path: PathBuf,
        /// The first problem that verification found.
        problem: String,
    },
}
