//! The newest batches, kept in memory for watchers that fell behind a little.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Revision, Value};

use super::page::{PAGE_BYTES, Page};
use crate::committed::{Change, CommittedBatch};

/// Bytes of recent batches that are kept: half a second of 30,000 puts of 1 KiB each second, or what a
/// kube-apiserver writes in minutes. Most of it is held anyway, as the newest values of the keyspace.
pub(super) const RING_BYTES: usize = 16 << 20;

/// A run of batches without a gap, ending with the newest one.
#[derive(Debug)]
pub(super) struct Ring {
    batches: VecDeque<(Arc<CommittedBatch>, usize)>,
    bytes: usize,
    /// Every event from this revision on is here.
    first: Revision,
    /// Every event from this revision on is here with its pair before.
    first_with_previous: Revision,
}

impl Ring {
    /// An empty ring that goes on after `revision`.
    pub(super) fn after(revision: Revision) -> Self {
        let first = revision.next();
        Self {
            batches: VecDeque::new(),
            bytes: 0,
            first,
            first_with_previous: first,
        }
    }

    /// The oldest revision from which a watcher can catch up here, with or without the pairs before.
    pub(super) fn floor(&self, previous: bool) -> Revision {
        if previous {
            self.first_with_previous
        } else {
            self.first
        }
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next batch in and lets the oldest ones go.
    pub(super) fn push(&mut self, batch: Arc<CommittedBatch>) {
        if batch.changes.iter().any(lacks_previous) {
            self.first_with_previous = batch.revision.next();
        }
        let bytes = batch.size();
        self.bytes += bytes;
        self.batches.push_back((batch, bytes));
        while self.bytes > RING_BYTES
            && let Some((oldest, bytes)) = self.batches.pop_front()
        {
            self.bytes -= bytes;
            self.first = oldest.revision.next();
            self.first_with_previous = self.first_with_previous.max(self.first);
        }
    }

    /// The events from `from` on, which must not be below the floor: whole revisions, about a page full.
    pub(super) fn page(&self, from: Revision) -> Page {
        let skipped = self.batches.partition_point(|(batch, _)| batch.revision < from);
        let newer = self
            .batches
            .range(skipped..)
            .flat_map(|(batch, _)| &batch.changes);
        let mut changes: Vec<Change> = Vec::new();
        let mut bytes = 0;
        for change in newer.filter(|change| change.event.version.mod_revision >= from) {
            let revision = change.event.version.mod_revision;
            let last = changes.last().map(|change| change.event.version.mod_revision);
            if bytes >= PAGE_BYTES && last.is_some_and(|last| last < revision) {
                break;
            }
            bytes += change.event.size();
            changes.push(change.clone());
        }
        let to = changes
            .last()
            .map_or(from, |change| change.event.version.mod_revision);
        Page::new(from, to, from >= self.first_with_previous, changes)
    }
}

/// Whether the value before is known to exist and not here.
pub(super) fn lacks_previous(change: &Change) -> bool {
    change
        .previous
        .as_ref()
        .is_some_and(|pair| matches!(pair.value, Value::Stored(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch_hub::testing::batch_of;

    fn revisions(page: &Page) -> Vec<i64> {
        page.changes()
            .iter()
            .map(|change| change.event.version.mod_revision.0)
            .collect()
    }

    #[test]
    fn pages_hold_whole_revisions_in_order() {
        let mut ring = Ring::after(Revision(1));
        ring.push(batch_of(&[(2, "a", 10), (2, "b", 10), (3, "a", PAGE_BYTES)]));
        ring.push(batch_of(&[
            (4, "a", 1),
            (4, "b", PAGE_BYTES),
            (4, "c", 1),
            (5, "a", 1),
        ]));
        assert_eq!(revisions(&ring.page(Revision(2))), [2, 2, 3]);
        assert_eq!(revisions(&ring.page(Revision(4))), [4, 4, 4]);
        let last = ring.page(Revision(5));
        assert_eq!((revisions(&last), last.to()), (vec![5], Revision(5)));
    }

    #[test]
    fn the_oldest_batches_go_and_the_floor_follows() {
        let mut ring = Ring::after(Revision(1));
        for revision in 2..40 {
            ring.push(batch_of(&[(revision, "a", RING_BYTES / 10)]));
            assert!(ring.bytes() <= RING_BYTES);
        }
        let floor = ring.floor(false);
        assert!(floor > Revision(25) && floor < Revision(35), "{floor:?}");
        assert_eq!(revisions(&ring.page(floor)), [floor.0]);
    }

    #[test]
    fn a_batch_larger_than_the_ring_leaves_it_empty() {
        let mut ring = Ring::after(Revision(1));
        ring.push(batch_of(&[(2, "a", RING_BYTES)]));
        assert_eq!(
            (ring.bytes(), ring.floor(false), ring.floor(true)),
            (0, Revision(3), Revision(3))
        );
    }
}
