//! A consistent copy of the log in one plain file.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, Result};

use crate::directory::{parent, sync_directory};

/// Makes the file that the copy goes to. It must not exist, and only its owner may read it: it holds secrets.
pub(crate) fn create(to: &Path) -> io::Result<()> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map(drop)
}

/// Fills the file with a copy. The writer goes on meanwhile; only the restart of the write-ahead log waits.
pub(super) fn copy(connection: &Connection, to: &Path) -> Result<()> {
    let name = to
        .to_str()
        .ok_or_else(|| rusqlite::Error::InvalidPath(to.to_owned()))?;
    connection.execute("VACUUM INTO ?1", [name]).map(drop)
}

/// Makes the copy and its name durable. VACUUM INTO syncs the content as the connection is set to, and
/// never the name; a snapshot is a promise, so neither is left to a setting.
pub(crate) fn sync(to: &Path) -> io::Result<()> {
    File::open(to)?.sync_all()?;
    sync_directory(parent(to))
}

/// Removes a copy that did not become whole.
pub(crate) fn discard(to: &Path) {
    if let Err(error) = std::fs::remove_file(to) {
        tracing::warn!(path = %to.display(), %error, "an unfinished snapshot stays behind");
    }
}
