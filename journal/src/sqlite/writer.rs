//! Effects made durable: one transaction a batch.

use model::{Effect, Event, Lease, LeaseId, Position, Revision};
use rusqlite::{CachedStatement, Connection, Params, Result, params};

use super::fault::Stage;
use super::row::alarm_columns;

const INSERT: &str = "INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const DELETE: &str = "DELETE FROM log WHERE position = ?1";
const LEASE: &str = "INSERT INTO lease VALUES (?1, ?2, ?3)
    ON CONFLICT (id) DO UPDATE SET ttl = excluded.ttl, deadline_ms = excluded.deadline_ms";
const REVOKE: &str = "DELETE FROM lease WHERE id = ?1";
/// With the compaction goes how far history had come: rows that said so may be scrubbed from now on.
pub(crate) const COMPACT: &str =
    "UPDATE meta SET compact_revision = ?1, newest_revision = max(newest_revision, ?1,
    coalesce((SELECT revision FROM log ORDER BY position DESC LIMIT 1), 1))";
const RAISE: &str = "INSERT INTO alarm VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const CLEAR: &str = "DELETE FROM alarm WHERE kind = ?1 AND member_id = ?2";

/// As many statements as a writer uses, all kept compiled.
pub(super) const STATEMENTS: usize = 16;

/// Writes the effects in one transaction. On an error the transaction may still be open.
pub(super) fn write(connection: &Connection, effects: &[Effect]) -> Result<(), (Stage, rusqlite::Error)> {
    run(connection, "BEGIN IMMEDIATE")
        .and_then(|()| Batch::new(connection)?.store_all(effects))
        .map_err(|error| (Stage::Open, error))?;
    run(connection, "COMMIT").map_err(|error| (Stage::Commit, error))
}

/// Leaves no transaction open. Fails when SQLite cannot give it up, and the connection is then useless.
pub(super) fn roll_back(connection: &Connection) -> Result<()> {
    // SQLite rolls back by itself on some errors, a full disk among them, and not on others.
    if connection.is_autocommit() {
        Ok(())
    } else {
        run(connection, "ROLLBACK")
    }
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute(()).map(drop)
}

/// A transaction being filled; the statement that nearly every effect needs is at hand.
struct Batch<'a> {
    connection: &'a Connection,
    insert: CachedStatement<'a>,
}

impl<'a> Batch<'a> {
    fn new(connection: &'a Connection) -> Result<Self> {
        Ok(Self {
            connection,
            insert: connection.prepare_cached(INSERT)?,
        })
    }

    fn store_all(mut self, effects: &[Effect]) -> Result<()> {
        effects.iter().try_for_each(|effect| self.store(effect))
    }

    fn store(&mut self, effect: &Effect) -> Result<()> {
        match effect {
            Effect::Key(event) => self.append(event),
            Effect::LeaseGranted(lease) | Effect::LeaseRenewed(lease) => self.put_lease(lease),
            Effect::LeaseRevoked(LeaseId(id)) => self.change(REVOKE, [*id]),
            Effect::Compacted(Revision(revision)) => self.change(COMPACT, [*revision]),
            Effect::Scrubbed(positions) => self.scrub(positions),
            Effect::AlarmRaised(alarm) => self.change(RAISE, alarm_columns(*alarm)),
            Effect::AlarmCleared(alarm) => self.change(CLEAR, alarm_columns(*alarm)),
        }
    }

    fn append(&mut self, event: &Event) -> Result<()> {
        let version = &event.version;
        let row = params![
            version.position.0,
            version.mod_revision.0,
            version.create_revision.0,
            version.version,
            version.lease.0,
            &event.key[..],
            &event.value[..],
        ];
        self.insert.execute(row).map(drop)
    }

    fn put_lease(&self, lease: &Lease) -> Result<()> {
        let row = [lease.id.0, lease.ttl, lease.deadline_ms];
        self.connection.prepare_cached(LEASE)?.execute(row).map(drop)
    }

    fn scrub(&self, positions: &[Position]) -> Result<()> {
        let mut delete = self.connection.prepare_cached(DELETE)?;
        positions
            .iter()
            .try_for_each(|position| delete.execute([position.0]).map(drop))
    }

    fn change(&self, sql: &str, values: impl Params) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute(values).map(drop)
    }
}
