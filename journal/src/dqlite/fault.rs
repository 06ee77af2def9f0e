//! What an error of a node means for the log.

use dqlite::client::Error;
use model::Position;
use thiserror::Error;

use crate::{AppendError, ReadError};

/// SQLite's code for a database that may not grow.
const FULL: u64 = 13;

/// SQLite's code for a missing value: how a fenced transaction ends.
const NOT_NULL: u64 = 1299;

/// Names the outcome of a failed append, of which nothing is tried again.
pub(super) fn append_error(error: Error) -> AppendError {
    let text = error.to_string();
    match error {
        Error::Sqlite { code: FULL, .. } => AppendError::Full,
        Error::Sqlite { code: NOT_NULL, .. } => fenced(),
        Error::Busy { .. } | Error::Sqlite { .. } | Error::Misuse(_) => AppendError::Failed(text),
        // Not sent, but over a connection that is gone and with it the place in the leader's term.
        Error::NotLeader(_) | Error::Io(_) => AppendError::NotLeader(text),
        Error::Unknown(_) | Error::Protocol(_) => AppendError::Lost(text),
    }
}

/// The log belongs to a later leader.
pub(super) fn fenced() -> AppendError {
    AppendError::NotLeader("a later leader has claimed the log".to_owned())
}

/// Why a node did not give what the log was asked for.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// The node was not reached or refused.
    #[error(transparent)]
    Node(#[from] Error),
    /// What it gave is not what a log holds.
    #[error("the log is corrupt: {0}")]
    Corrupt(String),
    /// What it has ends before a row that this process has seen.
    #[error("it ends at position {}, before {}", .found.0, .wanted.0)]
    Behind {
        /// The last row it has.
        found: Position,
        /// A row that was seen.
        wanted: Position,
    },
    /// Nobody is known to lead.
    #[error("no leader is known")]
    NoLeader,
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Corrupt(what) => Self::Corrupt(what),
            other => Self::Failed(other.to_string()),
        }
    }
}
