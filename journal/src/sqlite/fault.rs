//! What an error of SQLite means for the caller.
//!
//! The rule for a failed append: a transaction whose commit frame cannot be whole in the write-ahead
//! log was not written; anything that failed after that frame may have been complete is unknown.
//! SQLite writes the frames in order, the commit frame last, and then syncs. So a write that failed or
//! found no space left the log without a valid commit frame. A failed sync proves nothing: the frame
//! may be on disk, and the kernel has marked the pages clean, so that no later sync says more. What
//! SQLite does after the sync (growing the shared index of the log) can fail too, and then the commit
//! frame is durable though SQLite reports an error: unknown again.

use std::io;
use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::{AppendError, OpenError, ReadError};

/// How far an append had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The transaction was open, its commit not yet asked for.
    Open,
    /// The commit was asked for.
    Commit,
}

/// Names the outcome of a failed append. `has_space` is asked when SQLite cannot tell why a write failed.
pub(super) fn append_error(error: &Error, stage: Stage, has_space: impl Fn() -> bool) -> AppendError {
    let text = error.to_string();
    match (extended_code(error), stage) {
        (ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC, _) => AppendError::Unknown(text),
        (code, _) if primary(code) == ffi::SQLITE_FULL => AppendError::Full,
        (ffi::SQLITE_IOERR_WRITE, _) | (ffi::SQLITE_IOERR_SHMSIZE, Stage::Open) => {
            if has_space() {
                AppendError::Failed(text)
            } else {
                AppendError::Full
            }
        }
        (_, Stage::Open) => AppendError::Failed(text),
        (code, Stage::Commit) if is_refusal(code) => AppendError::Failed(text),
        (_, Stage::Commit) => AppendError::Unknown(text),
    }
}

/// Errors by which SQLite declines a commit before it writes anything.
fn is_refusal(code: i32) -> bool {
    matches!(
        primary(code),
        ffi::SQLITE_BUSY | ffi::SQLITE_CONSTRAINT | ffi::SQLITE_READONLY | ffi::SQLITE_MISUSE
    )
}

/// Whether a small file can still be written in this directory.
pub(super) fn has_space(directory: &Path) -> bool {
    let path = directory.join("SPACE");
    let written = std::fs::write(&path, [1_u8; 16 * 1024]);
    let removed = std::fs::remove_file(&path);
    let full = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    };
    !written.and(removed).is_err_and(|error| full(&error))
}

pub(crate) fn read_error(error: &Error) -> ReadError {
    if is_corruption(error) {
        ReadError::Corrupt(error.to_string())
    } else {
        ReadError::Failed(error.to_string())
    }
}

pub(super) fn open_error(path: &Path, error: Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::foreign(path, error.to_string()),
        _ if is_corruption(&error) => OpenError::corrupt(path, error.to_string()),
        _ => OpenError::io(path, error),
    }
}

/// Damage that SQLite noticed, or a value of a type that the schema does not allow.
fn is_corruption(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::FromSqlConversionFailure(..)
    ) || matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn extended_code(error: &Error) -> i32 {
    error
        .sqlite_error()
        .map_or(ffi::SQLITE_OK, |error| error.extended_code)
}

fn primary(code: i32) -> i32 {
    code & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    fn outcome(code: i32, stage: Stage, space: bool) -> AppendError {
        append_error(&failure(code), stage, || space)
    }

    #[test]
    fn no_space_is_full_at_every_stage() {
        for stage in [Stage::Open, Stage::Commit] {
            assert_eq!(outcome(ffi::SQLITE_FULL, stage, true), AppendError::Full);
            assert_eq!(outcome(ffi::SQLITE_IOERR_WRITE, stage, false), AppendError::Full);
        }
        assert_eq!(
            outcome(ffi::SQLITE_IOERR_SHMSIZE, Stage::Open, false),
            AppendError::Full
        );
    }

    #[test]
    fn a_failed_write_is_a_failure() {
        for stage in [Stage::Open, Stage::Commit] {
            assert!(matches!(
                outcome(ffi::SQLITE_IOERR_WRITE, stage, true),
                AppendError::Failed(_)
            ));
        }
    }

    #[test]
    fn a_failed_sync_is_unknown() {
        for stage in [Stage::Open, Stage::Commit] {
            assert!(matches!(
                outcome(ffi::SQLITE_IOERR_FSYNC, stage, true),
                AppendError::Unknown(_)
            ));
            assert!(matches!(
                outcome(ffi::SQLITE_IOERR_DIR_FSYNC, stage, true),
                AppendError::Unknown(_)
            ));
        }
    }

    #[test]
    fn what_fails_after_the_commit_frame_is_unknown() {
        for code in [
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_IOERR_SHMMAP,
            ffi::SQLITE_NOMEM,
        ] {
            assert!(matches!(
                outcome(code, Stage::Commit, false),
                AppendError::Unknown(_)
            ));
            assert!(!matches!(
                outcome(code, Stage::Open, true),
                AppendError::Unknown(_)
            ));
        }
    }
}
