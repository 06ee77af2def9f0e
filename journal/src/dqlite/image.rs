//! A replica of the log as a database in memory: what a node answers DUMP with.

use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use model::{Effect, Position, Revision};
use parking_lot::Mutex;
use rusqlite::{Connection, MAIN_DB, Result};

use super::SchemaRule;
use super::select::PAGE_SIZE;
use crate::sqlite::fault::read_error;
use crate::sqlite::schema::{self, APPLICATION_ID};
use crate::sqlite::{select, snapshot};
use crate::{History, ReadError, Size};

/// The places in an SQLite header that say whether there is a write-ahead log, which a database in memory
/// cannot have. All of the log is in an image already.
const WAL_MARKS: std::ops::Range<usize> = 18..20;

/// A replica of the log, as it was at one moment. It takes as much memory as the database.
#[derive(Debug)]
pub struct Image {
    log: Mutex<Connection>,
    cluster_id: u64,
    newest: Position,
    revision: Revision,
    /// Its schema's.
    version: u32,
}

impl Image {
    /// The image that these bytes are, one piece after another. Pieces are given up as they are copied.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if the bytes are no log, [`ReadError::Failed`] if a newer program wrote it.
    pub fn from_parts(parts: Vec<Bytes>) -> std::result::Result<Self, ReadError> {
        Self::under(&SchemaRule::alone(), parts)
    }

    /// The same for a member that goes by this rule, and takes note of the version.
    pub(super) fn under(rule: &SchemaRule, parts: Vec<Bytes>) -> std::result::Result<Self, ReadError> {
        let length = parts.iter().map(Bytes::len).sum();
        check_header(&parts, length)?;
        let parts = Parts {
            parts: parts.into_iter(),
            current: Bytes::new(),
            offset: 0,
        };
        Self::open(rule, parts, length).map_err(|error| read_error(&error))?
    }

    fn open(rule: &SchemaRule, parts: Parts, length: usize) -> Result<std::result::Result<Self, ReadError>> {
        let mut log = Connection::open_in_memory()?;
        log.deserialize_read_exact(MAIN_DB, parts, length, true)?;
        log.pragma_update(None, "trusted_schema", "OFF")?;
        let version = match schema_version(&log)? {
            Ok(version) => version,
            Err(foreign) => return Ok(Err(foreign)),
        };
        if let Err(newer) = rule.see(version) {
            return Ok(Err(ReadError::Failed(newer)));
        }
        let newest = "SELECT coalesce(max(position), 0) FROM log";
        let newest = Position(log.query_row(newest, (), |row| row.get(0))?);
        let revision = "SELECT max(newest_revision, coalesce((SELECT revision FROM log ORDER BY position DESC LIMIT 1), 1))
            FROM meta";
        let revision = Revision(log.query_row(revision, (), |row| row.get(0))?);
        let cluster_id: i64 = log.query_row("SELECT cluster_id FROM meta", (), |row| row.get(0))?;
        Ok(Ok(Self {
            log: Mutex::new(log),
            cluster_id: cluster_id.cast_unsigned(),
            newest,
            revision,
            version,
        }))
    }

    /// The identity of the cluster whose log this is.
    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// The last row.
    #[must_use]
    pub fn newest(&self) -> Position {
        self.newest
    }

    /// The newest revision.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Hands every stored effect to `sink`, as [`Reader::replay`](crate::Reader::replay) does.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if it holds what no log holds.
    pub fn replay(&self, sink: &mut dyn FnMut(Effect)) -> std::result::Result<(), ReadError> {
        self.ask(|log| select::replay(log, sink))
    }

    pub(super) fn values(
        &self,
        positions: &[Position],
    ) -> std::result::Result<Vec<Option<Bytes>>, ReadError> {
        self.ask(|log| select::values(log, positions))
    }

    pub(super) fn events(&self, from: Revision, budget: usize) -> std::result::Result<History, ReadError> {
        self.ask(|log| select::history(log, from, budget))
    }

    pub(super) fn size(&self) -> std::result::Result<Size, ReadError> {
        let (count, free) = self.ask(|log| {
            Ok((
                select::pages(log, "PRAGMA page_count")?,
                select::pages(log, "PRAGMA freelist_count")?,
            ))
        })?;
        Ok(Size {
            allocated: count * PAGE_SIZE,
            in_use: (count - free) * PAGE_SIZE,
        })
    }

    /// Writes the log to a new file, as a log on one machine is: it can be verified and restored.
    pub(super) fn save(&self, to: &Path) -> std::result::Result<(), ReadError> {
        let failed = |error| ReadError::Failed(format!("{}: {error}", to.display()));
        snapshot::create(to).map_err(failed)?;
        let saved = self
            .ask(|log| copy(log, self.version, to))
            .and_then(|()| snapshot::sync(to).map_err(failed));
        if saved.is_err() {
            snapshot::discard(to);
        }
        saved
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> std::result::Result<T, ReadError> {
        question(&self.log.lock()).map_err(|error| read_error(&error))
    }
}

/// Fills an empty file with a log of its own, then with the rows of this one.
fn copy(log: &Connection, version: u32, to: &Path) -> Result<()> {
    let file = Connection::open(to)?;
    schema::lay_out_version(&file, version)?;
    file.close().map_err(|(_, error)| error)?;
    let name = to
        .to_str()
        .ok_or_else(|| rusqlite::Error::InvalidPath(to.to_owned()))?;
    log.execute("ATTACH ?1 AS copy", [name])?;
    let copied = log.execute_batch(
        "BEGIN;
         INSERT INTO copy.log SELECT * FROM main.log ORDER BY position;
         INSERT INTO copy.lease SELECT * FROM main.lease;
         INSERT INTO copy.alarm SELECT * FROM main.alarm;
         UPDATE copy.meta SET cluster_id = own.cluster_id, compact_revision = own.compact_revision,
            newest_revision = own.newest_revision FROM main.meta AS own;
         COMMIT;",
    );
    if copied.is_err() && !log.is_autocommit() {
        log.execute_batch("ROLLBACK")?;
    }
    log.execute_batch("DETACH copy")?;
    copied
}

/// The version of a log's schema, or what shows that a database is no log.
fn schema_version(log: &Connection) -> Result<std::result::Result<u32, ReadError>> {
    let pragma = |name| log.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application != i64::from(APPLICATION_ID) {
        let what = format!("a database of application {application:#010x}");
        return Ok(Err(ReadError::Corrupt(what)));
    }
    let known = u32::try_from(version).ok().filter(|version| *version > 0);
    Ok(known.ok_or_else(|| ReadError::Corrupt(format!("schema version {version}"))))
}

fn check_header(parts: &[Bytes], length: usize) -> std::result::Result<(), ReadError> {
    let magic = b"SQLite format 3\0";
    let start: Vec<u8> = parts.iter().flatten().take(magic.len()).copied().collect();
    if start != magic || !(length as u64).is_multiple_of(PAGE_SIZE) {
        return Err(ReadError::Corrupt(format!("{length} bytes that are no database")));
    }
    Ok(())
}

/// Pieces of a database, without the mark that it has a write-ahead log.
struct Parts {
    parts: std::vec::IntoIter<Bytes>,
    current: Bytes,
    offset: usize,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.parts.next() {
                Some(part) => self.current = part,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        for mark in WAL_MARKS {
            if let Some(byte) = mark
                .checked_sub(self.offset)
                .and_then(|at| buffer[..length].get_mut(at))
            {
                *byte = 1;
            }
        }
        self.offset += length;
        Ok(length)
    }
}
