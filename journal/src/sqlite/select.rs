//! What is asked of a database that holds the log, wherever that database is.

use bytes::Bytes;
use model::{Effect, Event, Position, Revision};
use rusqlite::{Connection, OptionalExtension as _, Result};

use super::row;
use crate::History;
use crate::page::Page;

/// Hands every stored effect to `sink`: the compact revision, leases, alarms, then the events.
pub(crate) fn replay(log: &Connection, sink: &mut dyn FnMut(Effect)) -> Result<()> {
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
}

/// The values at these positions, in this order.
pub(crate) fn values(log: &Connection, positions: &[Position]) -> Result<Vec<Option<Bytes>>> {
    let mut select = log.prepare_cached("SELECT value FROM log WHERE position = ?1")?;
    let mut value = |position: &Position| select.query_row([position.0], |row| row::blob(row, 0)).optional();
    positions.iter().map(&mut value).collect()
}

/// The events from this revision on, whole revisions only, until about `budget` bytes are full.
pub(crate) fn history(log: &Connection, from: Revision, budget: usize) -> Result<History> {
    Ok(History {
        events: events(log, from, budget)?,
        compact_revision: compact_revision(log)?,
    })
}

fn events(log: &Connection, from: Revision, budget: usize) -> Result<Vec<Event>> {
    let Some(start) = first_of(log, from)? else {
        return Ok(Vec::new());
    };
    let mut select = log.prepare_cached("SELECT * FROM log WHERE position >= ?1 ORDER BY position")?;
    let mut rows = select.query([start.0])?;
    let mut page = Page::new(budget);
    while let Some(row) = rows.next()? {
        if page.ends_before(Revision(row.get(1)?)) {
            break;
        }
        page.push(row::event(row)?);
    }
    Ok(page.into_events())
}

/// The result of a pragma that counts pages.
pub(crate) fn pages(log: &Connection, pragma: &str) -> Result<u64> {
    log.prepare_cached(pragma)?
        .query_row((), |row| row.get::<_, u32>(0))
        .map(u64::from)
}

fn replay_meta(log: &Connection, sink: &mut dyn FnMut(Effect)) -> Result<()> {
    let compacted = compact_revision(log)?;
    if compacted != Revision::NEVER_COMPACTED {
        sink(Effect::Compacted(compacted));
    }
    Ok(())
}

fn compact_revision(log: &Connection) -> Result<Revision> {
    let mut select = log.prepare_cached("SELECT compact_revision FROM meta")?;
    select.query_row((), |row| row.get(0)).map(Revision)
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
