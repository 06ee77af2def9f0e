//! The log read beside its writer: connections that only read, shared by all threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use model::{Effect, Position, Revision};
use parking_lot::Mutex;
use rusqlite::{Connection, Result, Transaction};

use super::activity::Counters;
use super::fault::read_error;
use super::{connection, select, snapshot};
use crate::{Activity, History, Identity, ReadError, Reader, Size};

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
        self.at_one_point(|log| select::replay(log, sink))
    }

    fn values(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        self.at_one_point(|log| select::values(log, positions))
    }

    fn events(&self, from: Revision, budget: usize) -> Result<History, ReadError> {
        self.at_one_point(|log| select::history(log, from, budget))
    }

    fn size(&self) -> Result<Size, ReadError> {
        let (count, free) = self.at_one_point(|log| {
            Ok((
                select::pages(log, "PRAGMA page_count")?,
                select::pages(log, "PRAGMA freelist_count")?,
            ))
        })?;
        let page = u64::from(connection::PAGE_SIZE);
        Ok(Size {
            allocated: count * page + self.counters.logged(),
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
