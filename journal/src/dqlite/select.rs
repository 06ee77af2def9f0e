//! What is asked of the node that leads.

use std::collections::HashMap;

use bytes::Bytes;
use dqlite::wire::Value;
use model::{Event, Position, Revision};

use super::fault::Fault;
use super::kept::Kept;
use super::row;
use super::session::{Prepared, Session};
use crate::page::Budget;
use crate::{History, Size};

/// Rows looked up in one statement; what is left of its places is NULL, which no row has.
const PLACES: [usize; 4] = [1, 8, 64, 512];

/// Rows whose sizes are asked at a time, to know how many of them a page takes.
const SIZES: i64 = 512;

/// The size of a page of the database, which dqlite does not let anybody choose.
pub(super) const PAGE_SIZE: u64 = 4096;

/// Where the rows of a revision or a newer one begin, and the last row of all.
///
/// Revisions do not fall as positions grow, so halving the span of positions finds it in a few dozen
/// look-ups by primary key, all in one statement.
const FIRST_OF: &str = "WITH RECURSIVE span (low, high) AS (
        SELECT coalesce((SELECT min(position) FROM log), 1), coalesce((SELECT max(position) FROM log), 0) + 1
        UNION ALL
        SELECT iif(revision < ?1, position + 1, low), iif(revision < ?1, high, low + (high - low) / 2)
        FROM span JOIN log ON position =
            (SELECT position FROM log WHERE position >= low + (high - low) / 2 ORDER BY position LIMIT 1)
        WHERE low < high
    )
    SELECT low, coalesce((SELECT max(position) FROM log), 0) FROM span WHERE low >= high";

impl Session {
    /// The values at these positions, in this order. A row that is missing is gone only if the node has
    /// come as far as this process has.
    pub(super) fn values(
        &mut self,
        positions: &[Position],
        horizon: Position,
    ) -> Result<Vec<Option<Bytes>>, Fault> {
        self.run(async |log| {
            let mut found = HashMap::with_capacity(positions.len());
            for some in positions.chunks(PLACES[PLACES.len() - 1]) {
                look_up(log, some, horizon, &mut found).await?;
            }
            Ok(positions
                .iter()
                .map(|position| found.get(position).cloned())
                .collect())
        })
    }

    /// The events from this revision on, whole revisions only, until about `budget` bytes are full. How far the
    /// log is compacted is asked last: whatever row was scrubbed by then had been compacted before.
    pub(super) fn events(
        &mut self,
        from: Revision,
        budget: usize,
        horizon: Position,
    ) -> Result<History, Fault> {
        self.run(async |log| {
            let row = log
                .query_row(Kept::Text(FIRST_OF), &[Value::Integer(from.0)])
                .await?;
            let [mut next, newest] = row::integers(row)?;
            refuse_behind(Position(newest), horizon)?;
            let mut budget = Budget::new(budget);
            let mut events = Vec::new();
            loop {
                let sizes = sizes(log, next).await?;
                let take = sizes.iter().take_while(|row| row.fits(&mut budget)).count();
                let Some(last) = take.checked_sub(1).map(|last| sizes[last].position) else {
                    break;
                };
                read(log, next, last, &mut events).await?;
                next = last + 1;
                if take < sizes.len() || (take as i64) < SIZES {
                    break;
                }
            }
            let select = "SELECT compact_revision FROM meta";
            let row = log.query_row(Kept::Text(select), &[]).await?;
            let [compacted] = row::integers(row)?;
            Ok(History {
                events,
                compact_revision: Revision(compacted),
            })
        })
    }

    /// How much space the database takes in each node's memory.
    pub(super) fn size(&mut self) -> Result<Size, Fault> {
        let select = "SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count";
        let row = self.run(async |log| log.query_row(Kept::Text(select), &[]).await)?;
        let [count, free] = row::integers(row)?.map(|number: i64| number.unsigned_abs());
        Ok(Size {
            allocated: count * PAGE_SIZE,
            in_use: count.saturating_sub(free) * PAGE_SIZE,
        })
    }
}

/// Adds the values that there are. The last row comes from the same state of the database as the values.
async fn look_up(
    log: &mut Prepared,
    positions: &[Position],
    horizon: Position,
    found: &mut HashMap<Position, Bytes>,
) -> Result<(), Fault> {
    let places = PLACES
        .into_iter()
        .find(|places| *places >= positions.len())
        .unwrap_or_default();
    let mut values: Vec<_> = positions
        .iter()
        .map(|position| Value::Integer(position.0))
        .collect();
    values.resize(places, Value::Null);
    let mut newest = Position(0);
    for row in log.query(Kept::Values(places), &values).await? {
        let [position, value] = row::exactly(row)?;
        let position = Position(row::integer(position)?);
        match value {
            Value::Null => newest = position,
            value => drop(found.insert(position, row::blob(value)?)),
        }
    }
    let missing = positions.iter().filter(|position| !found.contains_key(position));
    let wanted = missing.copied().max().unwrap_or_default().min(horizon);
    refuse_behind(newest, wanted)
}

pub(super) fn text_of_values(places: usize) -> String {
    let list = vec!["?"; places].join(", ");
    format!(
        "SELECT coalesce(max(position), 0), NULL FROM log
         UNION ALL SELECT position, value FROM log WHERE position IN ({list})"
    )
}

/// A node that lacks what this process has seen already does not lead, whatever it says.
pub(super) fn refuse_behind(found: Position, wanted: Position) -> Result<(), Fault> {
    if found < wanted {
        Err(Fault::Behind { found, wanted })
    } else {
        Ok(())
    }
}

/// A row before it is read.
struct Sized {
    position: i64,
    revision: Revision,
    size: usize,
}

impl Sized {
    fn fits(&self, budget: &mut Budget) -> bool {
        if budget.ends_before(self.revision) {
            return false;
        }
        budget.take(self.revision, self.size);
        true
    }
}

/// The sizes of the next rows, in order.
async fn sizes(log: &mut Prepared, from: i64) -> Result<Vec<Sized>, Fault> {
    let select = "SELECT position, revision, length(key) + length(value) FROM log
        WHERE position >= ?1 ORDER BY position LIMIT ?2";
    let rows = log
        .query(Kept::Text(select), &[from, SIZES].map(Value::Integer))
        .await?;
    let sized = |row| {
        let [position, revision, size] = row::integers(row)?;
        Ok(Sized {
            position,
            revision: Revision(revision),
            size: usize::try_from(size).unwrap_or_default() + size_of::<Event>(),
        })
    };
    rows.into_iter().map(sized).collect()
}

async fn read(log: &mut Prepared, from: i64, to: i64, events: &mut Vec<Event>) -> Result<(), Fault> {
    let select = "SELECT * FROM log WHERE position BETWEEN ?1 AND ?2 ORDER BY position";
    for row in log
        .query(Kept::Text(select), &[from, to].map(Value::Integer))
        .await?
    {
        events.push(row::event(row)?);
    }
    Ok(())
}
