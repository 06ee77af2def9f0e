//! What can go wrong with a call, named for what the caller does next.

use std::io;

use thiserror::Error;

use crate::wire::{DecodeError, EncodeError, Request, Response};

/// Why a call did not succeed.
#[derive(Debug, Error)]
pub enum Error {
    /// The node does not lead, or has led anew since the database was opened. Nothing was done: find the
    /// leader and ask it.
    #[error("the node does not lead: {0}")]
    NotLeader(String),
    /// The request may or may not have been carried out, now or later: leadership was lost meanwhile, the
    /// connection broke, or time ran out. Look at the data before deciding anything.
    #[error("it is not known whether the request was carried out: {0}")]
    Unknown(String),
    /// Something was in the way for the moment. The statement did nothing: try again, in a transaction
    /// from its beginning.
    #[error("busy ({code}): {message}")]
    Busy {
        /// SQLite's extended result code.
        code: u64,
        /// The reason in words.
        message: String,
    },
    /// The node refused the request. The statement that failed did nothing; of several in one request,
    /// those before it stand, and a transaction that they began is still open.
    #[error("refused ({code}): {message}")]
    Sqlite {
        /// SQLite's extended result code, or one of dqlite's own, from 1000 on.
        code: u64,
        /// The reason in words.
        message: String,
    },
    /// The node's answer makes no sense. Nothing was changed by the request; the connection is closed.
    #[error("the node breaks the protocol: {0}")]
    Protocol(String),
    /// The call cannot be sent: a fault of the program. Nothing was sent.
    #[error("a call that cannot be sent: {0}")]
    Misuse(String),
    /// The node was not reached, or did not answer in time to a request that changes nothing. Nothing was
    /// done; the connection, if there was one, is closed.
    #[error("the node was not reached: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// Whether the connection can still be used after this error.
    #[must_use]
    pub fn leaves_connection(&self) -> bool {
        !matches!(self, Self::Unknown(_) | Self::Protocol(_) | Self::Io(_))
    }

    pub(super) fn closed() -> Self {
        let what = "the connection was closed by a call that failed or was given up";
        Self::Io(io::Error::new(io::ErrorKind::NotConnected, what))
    }

    /// What a failure that the node reported means.
    pub(super) fn from_failure(code: u64, message: String, risk: Risk) -> Self {
        match (code, risk) {
            (NOT_LEADER | NOT_FOUND, _) => Self::NotLeader(message),
            (LEADERSHIP_LOST, _) => Self::Unknown(message),
            // Without a code of SQLite the replicated log failed, at a point that is not told.
            (IO_ERROR, Risk::MayWrite) => Self::Unknown(message),
            (code, _) if code & 0xff == BUSY => Self::Busy { code, message },
            (code, _) => Self::Sqlite { code, message },
        }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Misuse(error.to_string())
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// SQLite's IOERR with what dqlite adds to it.
const IO_ERROR: u64 = 10;
const NOT_LEADER: u64 = IO_ERROR | 40 << 8;
const LEADERSHIP_LOST: u64 = IO_ERROR | 41 << 8;
const BUSY: u64 = 5;
/// No database is open, or no such statement is prepared: what a node says that forgot both when it lost
/// its leadership. The client never asks with a number that it was not given on the same connection.
const NOT_FOUND: u64 = 12;

/// What is at stake when no answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Risk {
    /// Nothing: the request changes nothing that lasts.
    Harmless,
    /// It may have been carried out.
    MayWrite,
}

impl Risk {
    pub(super) fn of(request: &Request<'_>) -> Self {
        match request {
            Request::Execute { .. }
            | Request::ExecuteSql { .. }
            | Request::Query { .. }
            | Request::QuerySql { .. }
            | Request::Add { .. }
            | Request::Assign { .. }
            | Request::Remove { .. }
            | Request::Transfer { .. }
            | Request::Weight { .. } => Self::MayWrite,
            _ => Self::Harmless,
        }
    }

    /// The error for a request that was sent and not, or not sensibly, answered.
    pub(super) fn unanswered(self, error: Error) -> Error {
        match self {
            Self::MayWrite => Error::Unknown(error.to_string()),
            Self::Harmless => error,
        }
    }

    /// The error for an answer of a kind that does not belong to the request.
    pub(super) fn unexpected(self, response: &Response) -> Error {
        let name = match response {
            Response::Failure { .. } => "a failure",
            Response::Server(_) => "a server",
            Response::Welcome { .. } => "a welcome",
            Response::Servers(_) => "servers",
            Response::Database { .. } => "a database",
            Response::Statement { .. } => "a statement",
            Response::Result { .. } => "a result",
            Response::Rows(_) => "rows",
            Response::Empty => "nothing",
            Response::Files(_) => "files",
            Response::Metadata { .. } => "metadata",
        };
        self.unanswered(Error::Protocol(format!("{name} is no answer to this request")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u64, risk: Risk) -> Error {
        Error::from_failure(code, String::new(), risk)
    }

    #[test]
    fn codes_say_what_to_do_next() {
        for risk in [Risk::Harmless, Risk::MayWrite] {
            assert!(matches!(failure(10250, risk), Error::NotLeader(_)));
            assert!(matches!(failure(12, risk), Error::NotLeader(_)));
            assert!(matches!(failure(10506, risk), Error::Unknown(_)));
            assert!(matches!(failure(5, risk), Error::Busy { code: 5, .. }));
            assert!(matches!(failure(261, risk), Error::Busy { code: 261, .. }));
            assert!(matches!(failure(1555, risk), Error::Sqlite { code: 1555, .. }));
            assert!(matches!(failure(1002, risk), Error::Sqlite { code: 1002, .. }));
        }
        assert!(matches!(failure(10, Risk::MayWrite), Error::Unknown(_)));
        assert!(matches!(
            failure(10, Risk::Harmless),
            Error::Sqlite { code: 10, .. }
        ));
    }
}
