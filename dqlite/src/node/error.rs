//! What can go wrong with a node.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a node did not do what it was asked.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Another node, of another program, runs in the data directory.
    #[error("data directory {} is in use by another node", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The abstract socket is taken, or its name is not acceptable.
    #[error("cannot bind to {address}: {reason}")]
    Bind {
        /// The socket.
        address: String,
        /// What the C library says.
        reason: String,
    },
    /// The C library refused or failed.
    #[error("dqlite could not {action}: {reason}")]
    Dqlite {
        /// What was asked.
        action: &'static str,
        /// What the C library says.
        reason: String,
    },
    /// An option or an address is not acceptable. Nothing was done.
    #[error("{0}")]
    Misuse(String),
    /// Leadership or vote could not be given away in time.
    #[error("the handover is not done after {0:?}")]
    HandoverTimeout(Duration),
    /// The operating system gives no thread.
    #[error("cannot begin a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// A thread ended without an answer, which a panic there explains.
    #[error("the thread of a call to dqlite ended without an answer")]
    Lost,
}

impl NodeError {
    pub(super) fn misuse(what: impl Into<String>) -> Self {
        Self::Misuse(what.into())
    }
}
