//! How connections to the log are set up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Bytes in a page. Larger pages make large batches cheaper, smaller ones single writes.
pub(super) const PAGE_SIZE: u32 = 8192;

/// How long to wait for a lock that somebody outside this process holds for a moment.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The writer's page cache in KiB (negative, as SQLite wants it): a whole batch stays in it until its commit.
const WRITER_CACHE: i32 = -16 * 1024;

/// A connection that may write. Checkpoints are never run by a commit: see `checkpoint`.
pub(super) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    prepare(&connection)?;
    use_wal(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    Ok(connection)
}

/// A connection that only reads, beside the writer and never in its way.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    prepare(&connection)?;
    Ok(connection)
}

fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A restored file comes from anywhere: nothing in its schema is to be run.
    connection.pragma_update(None, "trusted_schema", "OFF")
}

/// Switches the file to write-ahead logging, which it remembers.
pub(super) fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    match mode.as_str() {
        "wal" => Ok(()),
        // The answer is the mode that stayed: a file system without shared memory mapping.
        _ => Err(rusqlite::Error::InvalidParameterName(format!(
            "journal mode stays {mode}"
        ))),
    }
}

/// Gives so many free pages at the end of the file back, in one transaction.
pub(super) fn give_back(connection: &Connection, pages: u32) -> rusqlite::Result<()> {
    // SQLite takes a number of 31 bits, and anything else for "all".
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut steps = vacuum.query(())?;
    // Each step is one page.
    while steps.next()?.is_some() {}
    Ok(())
}

/// The write-ahead log of a database.
pub(super) fn wal_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}
