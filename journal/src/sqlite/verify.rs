//! Every row of a log looked at, the file under it too.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use model::{LeaseId, Position, Revision};
use rusqlite::{Connection, Result, Row};

use super::fault::open_error;
use super::lineage::Lineage;
use super::{connection, row, schema};
use crate::OpenError;

/// Problems that are told; of more, only the number.
const TOLD: usize = 100;

/// What a look at a whole log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Rows of the log: changes that are kept.
    pub rows: u64,
    /// Keys that exist at the newest revision.
    pub keys: u64,
    /// Leases.
    pub leases: u64,
    /// History below this revision may no longer be read.
    pub compact_revision: Revision,
    /// The newest revision: of a row, or of a compaction that left no newer row.
    pub newest_revision: Revision,
    /// The first problems, in the order found.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub problems_not_told: u64,
}

/// One thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The row, if it is about one.
    pub position: Option<Position>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position(position)) => write!(out, "position {position}: {}", self.what),
            None => out.write_str(&self.what),
        }
    }
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, position: Option<Position>, what: impl Into<String>) {
        if self.problems.len() < TOLD {
            self.problems.push(Problem {
                position,
                what: what.into(),
            });
        } else {
            self.problems_not_told += 1;
        }
    }
}

/// Looks at all of a log: the file's structure, then every rule that its rows obey.
///
/// `path` is a data directory or a snapshot. Only reads, and may run beside the server that writes the
/// log; what is looked at is the log of one moment. Takes memory for every key, without the values.
pub fn verify(path: &Path) -> Result<Verification, OpenError> {
    let file = if path.is_dir() {
        path.join(schema::DATABASE_FILE)
    } else {
        path.to_owned()
    };
    let connection = open(&file)?;
    inspect(&connection, &file)
}

/// What `verify` does with an open file.
pub(super) fn inspect(connection: &Connection, file: &Path) -> Result<Verification, OpenError> {
    let mut found = Verification::default();
    let outcome = connection.unchecked_transaction().and_then(|log| {
        look_at_file(&log, &mut found)?;
        look_at_rows(&log, &mut found)
    });
    match outcome.map_err(|error| open_error(file, error)) {
        Ok(()) => {}
        Err(OpenError::Corrupt { what, .. }) => found.add(None, format!("cannot be read on: {what}")),
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Opens a file for reading that is a log of this program or an older one.
pub(super) fn open(file: &Path) -> Result<Connection, OpenError> {
    // Not by way of SQLite alone: it would take an empty file for an empty database.
    let length = std::fs::metadata(file)
        .map_err(|error| OpenError::io(file, error))?
        .len();
    if length == 0 {
        return Err(OpenError::corrupt(file, "it is empty"));
    }
    let sqlite = |error| open_error(file, error);
    let connection = connection::open_reader(file).map_err(sqlite)?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    schema::check_application(application.map_err(sqlite)?, file)?;
    schema::refuse_newer(&connection, file)?;
    schema::check_shape(&connection, file)?;
    Ok(connection)
}

fn look_at_file(log: &Connection, found: &mut Verification) -> Result<()> {
    let mut check = log.prepare(&format!("PRAGMA integrity_check({TOLD})"))?;
    let mut rows = check.query(())?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if text != "ok" {
            found.add(None, text);
        }
    }
    Ok(())
}

fn look_at_rows(log: &Connection, found: &mut Verification) -> Result<()> {
    found.compact_revision = Revision(number(log, "SELECT compact_revision FROM meta")?);
    let mut lineage = Lineage::new(found.compact_revision);
    let columns = "SELECT position, revision, create_revision, version, lease, key, length(value)";
    let mut select = log.prepare(&format!("{columns} FROM log ORDER BY position"))?;
    let mut rows = select.query(())?;
    while let Some(row) = rows.next()? {
        found.rows += 1;
        if let Some(what) = look_at_row(row, &mut lineage)? {
            found.add(Some(Position(row.get(0)?)), what);
        }
    }
    found.keys = lineage.live().count() as u64;
    found.newest_revision = lineage.newest().max(found.compact_revision);
    look_at_leases(log, &lineage, found)?;
    look_at_compaction(log, &lineage, found)
}

fn look_at_row(row: &Row<'_>, lineage: &mut Lineage) -> Result<Option<String>> {
    Ok(lineage.follow(row::blob(row, 5)?, row::version(row)?, row.get(6)?))
}

fn look_at_leases(log: &Connection, lineage: &Lineage, found: &mut Verification) -> Result<()> {
    let mut known = HashSet::from([LeaseId::NONE]);
    let mut select = log.prepare("SELECT id, ttl, deadline_ms FROM lease")?;
    let mut rows = select.query(())?;
    while let Some(row) = rows.next()? {
        let lease = row::lease(row)?;
        found.leases += 1;
        if lease.id == LeaseId::NONE || lease.ttl <= 0 {
            found.add(
                None,
                format!("lease {:x} with a time to live of {} s", lease.id.0, lease.ttl),
            );
        }
        known.insert(lease.id);
    }
    for version in lineage.live().filter(|version| !known.contains(&version.lease)) {
        let what = format!(
            "the key is attached to lease {:x}, which does not exist",
            version.lease.0
        );
        found.add(Some(version.position), what);
    }
    Ok(())
}

fn look_at_compaction(log: &Connection, lineage: &Lineage, found: &mut Verification) -> Result<()> {
    let (Revision(compacted), Revision(newest)) = (found.compact_revision, lineage.newest());
    let reached = number(log, "SELECT newest_revision FROM meta")?.max(newest);
    if compacted < Revision::NEVER_COMPACTED.0 || compacted > reached {
        found.add(
            None,
            format!("compacted at revision {compacted}, but history reached {reached}"),
        );
    }
    Ok(())
}

fn number(log: &Connection, sql: &str) -> Result<i64> {
    log.query_row(sql, (), |row| row.get(0))
}
