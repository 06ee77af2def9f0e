//! One process per data directory.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::Path;

use crate::OpenError;
use crate::directory::make_directory;

const LOCK_FILE: &str = "LOCK";

/// The right to write in a data directory, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory where it is missing, for its owner only, and takes the lock in it.
    pub(super) fn acquire(data_dir: &Path) -> Result<Self, OpenError> {
        make_directory(data_dir).map_err(|error| OpenError::io(data_dir, error))?;
        let path = data_dir.join(LOCK_FILE);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| OpenError::io(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
                path: data_dir.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(OpenError::io(&path, error)),
        }
    }
}

/// Whether a file is the lock, which an otherwise empty data directory may hold.
pub(super) fn is_lock_file(name: &OsStr) -> bool {
    name == LOCK_FILE
}
