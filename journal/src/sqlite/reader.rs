//! The log read beside its writer: connections that only read, shared by all threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use model::{Effect, Event, Position, Revision};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Result, Transaction};

use super::activity::Counters;
use super::fault::read_error;
use super::{connection, row, snapshot};
use crate::page::Page;
use crate::{Activity, Identity, ReadError, Reader, Size};

/// The reading side of a log on disk.
pub(super) struct SqliteReader {
    path: PathBuf,
    identity: Identity,
    idle: Mutex<Vec<Connection>>,
    kept: usize,
    counters: Arc<Counters>,
}

impl SqliteReader {
    /// A reader that keeps up to `kept` connections open between uses.
    pub(super) fn open(path: &Path, kept: usize, counters: &Arc<Counters>) -> Result<Self> {
        let connection = connection::open_reader(path)?;
        let identity = read_identity(&connection)?;
        Ok(Self {
            path: path.to_owned(),
            identity,
            idle: Mutex::new(vec![connection]),
            kept,
            counters: Arc::clone(counters),
        })
    }

    /// Runs `read` at one point in the history of the file, whatever the writer does meanwhile.
    fn at_one_point<T>(&self, read: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T, ReadError> {
        self.with_connection(|connection| {
            let transaction = connection.unchecked_transaction()?;
            read(&transaction)
        })
    }

    fn with_connection<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T, ReadError> {
        let idle = self.idle.lock().pop();
        let connection = idle.map_or_else(|| connection::open_reader(&self.path), Ok);
        let connection = connection.map_err(|error| read_error(&error))?;
        let _counted = self.counters.reading();
        let outcome = read(&connection).map_err(|error| read_error(&error))?;
        self.give_back(connection);
        Ok(outcome)
    }

    /// Keeps a connection that has just served well.
    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < self.kept {
            idle.push(connection);
        }
    }
}

fn read_identity(connection: &Connection) -> Result<Identity> {
    connection.query_row("SELECT cluster_id, member_id FROM meta", (), |row| {
        let id = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Identity {
            cluster_id: id(0)?,
            member_id: id(1)?,
        })
    })
}

impl Reader for SqliteReader {
    fn replay(&self, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError> {
        self.at_one_point(|log| {
            replay_meta(log, sink)?;
            each(log, "SELECT id, ttl, deadline_ms FROM lease", |row| {
                sink(Effect::LeaseGranted(row::lease(row)?));
                Ok(())
            })?;
            each(log, "SELECT kind, member_id FROM alarm", |row| {
                sink(Effect::AlarmRaised(row::alarm(row)?));
                Ok(())
            })?;
            each(log, "SELECT * FROM log ORDER BY position", |row| {
                sink(Effect::Key(row::event(row)?));
                Ok(())
            })
        })
    }

    fn values(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        self.at_one_point(|log| {
            let mut select = log.prepare_cached("SELECT value FROM log WHERE position = ?1")?;
            let mut value =
                |position: &Position| select.query_row([position.0], |row| row::blob(row, 0)).optional();
            positions.iter().map(&mut value).collect()
        })
    }

    fn events(&self, from: Revision, budget: usize) -> Result<Vec<Event>, ReadError> {
        self.at_one_point(|log| {
            let Some(start) = first_of(log, from)? else {
                return Ok(Vec::new());
            };
            let mut select =
                log.prepare_cached("SELECT * FROM log WHERE position >= ?1 ORDER BY position")?;
            let mut rows = select.query([start.0])?;
            let mut page = Page::new(budget);
            while let Some(row) = rows.next()? {
                if page.ends_before(Revision(row.get(1)?)) {
                    break;
                }
                page.push(row::event(row)?);
            }
            Ok(page.into_events())
        })
    }

    fn size(&self) -> Result<Size, ReadError> {
        let (count, free) = self.at_one_point(|log| {
            Ok((
                pages(log, "PRAGMA page_count")?,
                pages(log, "PRAGMA freelist_count")?,
            ))
        })?;
        let wal = std::fs::metadata(connection::wal_path(&self.path)).map_or(0, |wal| wal.len());
        let page = u64::from(connection::PAGE_SIZE);
        Ok(Size {
            allocated: count * page + wal,
            in_use: (count - free) * page,
        })
    }

    fn activity(&self) -> Activity {
        self.counters.activity()
    }

    fn snapshot(&self, to: &Path) -> Result<(), ReadError> {
        let failed = |error| ReadError::Failed(format!("{}: {error}", to.display()));
        snapshot::create(to).map_err(failed)?;
        let copied = self
            .with_connection(|connection| snapshot::copy(connection, to))
            .and_then(|()| snapshot::sync(to).map_err(failed));
        if copied.is_err() {
            snapshot::discard(to);
        }
        copied
    }

    fn identity(&self) -> Identity {
        self.identity
    }
}

fn pages(log: &Connection, pragma: &str) -> Result<u64> {
    log.prepare_cached(pragma)?
        .query_row((), |row| row.get::<_, u32>(0))
        .map(u64::from)
}

fn replay_meta(log: &Connection, sink: &mut dyn FnMut(Effect)) -> Result<()> {
    let compacted = Revision(log.query_row("SELECT compact_revision FROM meta", (), |row| row.get(0))?);
    if compacted != Revision::NEVER_COMPACTED {
        sink(Effect::Compacted(compacted));
    }
    Ok(())
}

fn each(log: &Connection, sql: &str, mut visit: impl FnMut(&rusqlite::Row<'_>) -> Result<()>) -> Result<()> {
    let mut statement = log.prepare(sql)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        visit(row)?;
    }
    Ok(())
}

/// The first row of this revision or a newer one.
///
/// Revisions do not fall as positions grow, so halving the span of positions finds it in a few dozen
/// look-ups by primary key, and no index of revisions has to be kept.
fn first_of(log: &Connection, revision: Revision) -> Result<Option<Position>> {
    let edge = |sql| log.query_row(sql, (), |row| row.get::<_, Option<i64>>(0));
    let (Some(start), Some(end)) = (
        edge("SELECT min(position) FROM log")?,
        edge("SELECT max(position) FROM log")?,
    ) else {
        return Ok(None);
    };
    let mut select = log.prepare_cached(
        "SELECT position, revision FROM log WHERE position >= ?1 ORDER BY position LIMIT 1",
    )?;
    // Rows before `low` are too old; the row at or after `high` is not, or there is none.
    let (mut low, mut high) = (start, end + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let (position, found): (i64, i64) =
            select.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if found < revision.0 {
            low = position + 1
        } else {
            high = middle
        }
    }
    Ok((low <= end).then_some(Position(low)))
}
