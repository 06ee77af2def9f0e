//! The append that matters: events only, in one statement that is prepared.
//!
//! A statement commits by itself, so a batch of events is one request and one entry of the replicated
//! log. Statements are kept for some numbers of rows only; what is left of one's places is filled with
//! NULL and passed over.

use std::fmt::Write as _;

use dqlite::client::Error;
use dqlite::wire::Value;
use model::{Effect, Event, Position};

use super::kept::Kept;
use super::row::{COLUMNS, of_event};
use super::session::Prepared;

/// Numbers of rows for which there are statements. A step is a half at most, and an empty place costs
/// little more than the 64 bytes it is sent in.
const PLACES: &[usize] = &[
    1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
];

/// The events of a batch that holds nothing else and that one statement can take.
pub(super) fn only_events(effects: &[Effect]) -> Option<Vec<&Event>> {
    if effects.len() > *PLACES.last()? {
        return None;
    }
    effects.iter().map(event).collect()
}

fn event(effect: &Effect) -> Option<&Event> {
    match effect {
        Effect::Key(event) => Some(event),
        _ => None,
    }
}

/// The state in which an append finds the log if nobody else has written it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// The claim's epoch.
    pub(super) epoch: i64,
    /// The last row; there may be less where rows were scrubbed, never more.
    pub(super) newest: Position,
}

/// Stores the events. Returns whether the log was as expected: if not, nothing was stored.
pub(super) async fn insert(log: &mut Prepared, events: &[&Event], expected: Expected) -> Result<bool, Error> {
    let places = PLACES.iter().copied().find(|places| *places >= events.len());
    let places = places.ok_or_else(|| Error::Misuse(format!("{} events at once", events.len())))?;
    let mut values = Vec::with_capacity(places * COLUMNS + 2);
    values.extend(events.iter().copied().flat_map(of_event));
    values.resize(places * COLUMNS, Value::Null);
    values.extend([expected.epoch, expected.newest.0].map(Value::Integer));
    let stored = log.execute(Kept::Insert(places), &values).await?.rows_affected;
    match usize::try_from(stored) {
        Ok(0) => Ok(false),
        Ok(all) if all == events.len() => Ok(true),
        _ => Err(Error::Unknown(format!(
            "{stored} of {} rows stored",
            events.len()
        ))),
    }
}

pub(super) fn text(places: usize) -> String {
    let place = "(?, ?, ?, ?, ?, ?, ?)";
    let mut sql = format!("INSERT INTO log SELECT * FROM (VALUES {place}");
    for _ in 1..places {
        let _infallible = write!(sql, ", {place}");
    }
    sql + ") WHERE column1 IS NOT NULL AND (SELECT epoch FROM fence) = ?
        AND coalesce((SELECT max(position) FROM log), 0) <= ?"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_events_is_told_from_others() {
        let event = Effect::Key(Event {
            key: Default::default(),
            value: Default::default(),
            version: Default::default(),
        });
        assert_eq!(
            only_events(&vec![event.clone(); 4096]).map(|all| all.len()),
            Some(4096)
        );
        assert_eq!(only_events(&vec![event.clone(); 4097]), None);
        assert_eq!(only_events(&[event, Effect::Scrubbed(vec![])]), None);
    }
}
