//! What is read from the log for watchers, on a thread that may block.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use journal::ReadError;
use model::{Event, KeyValue, Position, Revision, Value};

use super::page::{PAGE_BYTES, Page};
use super::ring::lacks_previous;
use crate::committed::{Change, CommittedBatch};
use crate::shared_state::SharedState;

/// A read that the hub wants done.
#[derive(Debug)]
pub(super) enum ReadJob {
    /// A page of history.
    Page {
        /// The first revision wanted.
        from: Revision,
        /// The last revision that the hub has told its live watchers.
        to: Revision,
        /// Whether the pairs before are wanted.
        previous: bool,
    },
    /// These batches, with the pairs before at hand.
    Batches(Vec<Arc<CommittedBatch>>),
}

/// What a read came to.
#[derive(Debug)]
pub(super) enum ReadDone {
    /// A page of history.
    Page(Result<Page, ReadError>),
    /// The batches with the pairs before, in the order they were given.
    Batches(Result<Vec<Arc<CommittedBatch>>, ReadError>),
}

/// The log, and the index that says where in it the pairs before are.
pub(super) struct History(pub(super) Arc<SharedState>);

impl History {
    /// Does a job. Blocks on the disk.
    pub(super) fn run(&self, job: ReadJob) -> ReadDone {
        match job {
            ReadJob::Page { from, to, previous } => ReadDone::Page(self.page(from, to, previous)),
            ReadJob::Batches(batches) => ReadDone::Batches(self.complete(batches)),
        }
    }

    /// The page from one revision to at most another. Revisions that the hub has not come to are left
    /// out: they are durable, but the index may not know them yet.
    ///
    /// Compaction may delete rows while this reads, and of several members another one may have done so long
    /// ago: the page says how far the log was compacted, and the hub cancels every watcher to whom such rows
    /// mattered.
    fn page(&self, from: Revision, to: Revision, previous: bool) -> Result<Page, ReadError> {
        let journal::History {
            mut events,
            compact_revision,
        } = self.0.reader().events(from, PAGE_BYTES)?;
        let reached = events.last().map_or(to, |event| event.version.mod_revision);
        events.truncate(events.partition_point(|event| event.version.mod_revision <= to));
        let mut changes = self.with_pairs_before(events, previous);
        if previous {
            self.read_values(&mut changes)?;
        }
        Ok(Page::new(from, reached.min(to), previous, changes).compacted_at(compact_revision))
    }

    fn with_pairs_before(&self, events: Vec<Event>, previous: bool) -> Vec<Change> {
        if !previous {
            return events
                .into_iter()
                .map(|event| Change {
                    event,
                    previous: None,
                })
                .collect();
        }
        let before = |event: &Event| -> Option<KeyValue> {
            if event.is_create() {
                return None;
            }
            self.0
                .read(|state| state.pair_before(&event.key, event.version.mod_revision))
        };
        events
            .into_iter()
            .map(|event| Change {
                previous: before(&event),
                event,
            })
            .collect()
    }

    fn complete(&self, batches: Vec<Arc<CommittedBatch>>) -> Result<Vec<Arc<CommittedBatch>>, ReadError> {
        let mut batches: Vec<CommittedBatch> = batches.into_iter().map(Arc::unwrap_or_clone).collect();
        for batch in &mut batches {
            self.read_values(&mut batch.changes)?;
        }
        Ok(batches.into_iter().map(Arc::new).collect())
    }

    /// Puts the values before where only their place is known. One that is gone was compacted, and the
    /// pair goes with it.
    fn read_values(&self, changes: &mut [Change]) -> Result<(), ReadError> {
        let places: Vec<Position> = changes.iter().filter_map(place_before).collect();
        if places.is_empty() {
            return Ok(());
        }
        let values = self.0.reader().values(&places)?;
        let values: HashMap<Position, Option<Bytes>> = places.into_iter().zip(values).collect();
        for change in changes.iter_mut().filter(|change| lacks_previous(change)) {
            let value = place_before(change).and_then(|place| values.get(&place)?.clone());
            let known = change.previous.take().zip(value);
            change.previous = known.map(|(pair, value)| KeyValue {
                value: Value::Resident(value),
                ..pair
            });
        }
        Ok(())
    }
}

/// The log row of the value before, if it must be read from there.
fn place_before(change: &Change) -> Option<Position> {
    match change.previous.as_ref()?.value {
        Value::Stored(place) => Some(place),
        Value::Resident(_) => None,
    }
}
