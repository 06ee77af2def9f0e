//! A stretch of history that watchers catch up with together.

use std::collections::HashMap;
use std::sync::Arc;

use model::{KeyRange, Revision, Value};

use super::registry::Variant;
use crate::committed::Change;
use crate::watch::WatchEvent;

/// Bytes of events in one page, hence of one response to a watcher that catches up, if its revisions are
/// not larger themselves. With the pairs before it stays well below the 4 MiB that most clients accept.
pub(super) const PAGE_BYTES: usize = 512 << 10;

/// Events that watchers share, and the bytes they hold.
#[derive(Clone, Debug)]
pub(super) struct SharedEvents {
    pub(super) events: Arc<[WatchEvent]>,
    pub(super) bytes: usize,
}

impl SharedEvents {
    /// Those of `changes` that pass the filters; none if nothing passes.
    pub(super) fn of<'a>(changes: impl Iterator<Item = &'a Change>, variant: Variant) -> Option<Self> {
        let admitted = changes.filter(|change| variant.admits(&change.event));
        let events: Arc<[WatchEvent]> = admitted.map(|change| watch_event(change, variant)).collect();
        let bytes = events.iter().map(size_of_event).sum();
        (!events.is_empty()).then_some(Self { events, bytes })
    }
}

/// A change as a watcher sees it. A pair before whose value is not at hand was compacted.
fn watch_event(change: &Change, variant: Variant) -> WatchEvent {
    let wanted = change.previous.as_ref().filter(|_| variant.prev_kv);
    let prev_kv = wanted
        .filter(|pair| matches!(pair.value, Value::Resident(_)))
        .cloned();
    WatchEvent {
        event: change.event.clone(),
        prev_kv,
    }
}

fn size_of_event(event: &WatchEvent) -> usize {
    let previous = event.prev_kv.as_ref().map_or(0, |pair| match &pair.value {
        Value::Resident(value) => size_of_val(pair) + pair.key.len() + value.len(),
        Value::Stored(_) => 0,
    });
    event.event.size() + previous
}

/// All events of a stretch of revisions, findable by key.
#[derive(Debug)]
pub(super) struct Page {
    from: Revision,
    to: Revision,
    previous: bool,
    /// How far the log was compacted when it was read.
    compact_revision: Revision,
    changes: Vec<Change>,
    /// Indices into `changes`, by key and then by order.
    by_key: Vec<usize>,
}

impl Page {
    /// The page of all changes between two revisions, both included; `previous` says whether the pairs
    /// before are in it.
    pub(super) fn new(from: Revision, to: Revision, previous: bool, changes: Vec<Change>) -> Self {
        let mut by_key: Vec<usize> = (0..changes.len()).collect();
        by_key.sort_by(|left, right| changes[*left].event.key.cmp(&changes[*right].event.key));
        Self {
            from,
            to,
            previous,
            compact_revision: Revision::NEVER_COMPACTED,
            changes,
            by_key,
        }
    }

    /// The page as it was read from a log that was compacted so far.
    pub(super) fn compacted_at(self, compact_revision: Revision) -> Self {
        Self {
            compact_revision,
            ..self
        }
    }

    /// How far the log was compacted when the page was read; never, if it comes from memory.
    pub(super) fn compact_revision(&self) -> Revision {
        self.compact_revision
    }

    /// The first revision of which the page has everything.
    pub(super) fn from(&self) -> Revision {
        self.from
    }

    /// The last revision of which the page has everything.
    pub(super) fn to(&self) -> Revision {
        self.to
    }

    /// Whether watchers that want the pairs before can be served from it.
    pub(super) fn has_previous(&self) -> bool {
        self.previous
    }

    /// Leaves out the pairs before that a compaction at `compacted` took, though they may still be at hand:
    /// etcd reads a pair before at the revision before its event.
    pub(super) fn forget_before(&mut self, compacted: Revision) {
        let reached = self
            .changes
            .partition_point(|change| change.event.version.mod_revision <= compacted);
        self.changes[..reached]
            .iter_mut()
            .for_each(|change| change.previous = None);
    }

    #[cfg(test)]
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The events for a watcher of this range that goes on at `next`, in order.
    fn select(&self, range: &KeyRange, variant: Variant, next: Revision) -> Option<SharedEvents> {
        let key_of = |index: &usize| &self.changes[*index].event.key;
        let begin = self.by_key.partition_point(|index| key_of(index) < range.start());
        let reached = self.by_key[begin..]
            .iter()
            .take_while(|index| !range.is_past(key_of(index)));
        let newer = |index: &usize| self.changes[*index].event.version.mod_revision >= next;
        let mut wanted: Vec<usize> = reached.copied().filter(newer).collect();
        wanted.sort_unstable();
        SharedEvents::of(wanted.into_iter().map(|index| &self.changes[index]), variant)
    }
}

/// What was selected from a page, so that watchers who want the same share it.
#[derive(Debug)]
pub(super) struct Selections<'page> {
    page: &'page Page,
    made: HashMap<(KeyRange, Variant, Revision), Option<SharedEvents>>,
}

impl<'page> Selections<'page> {
    pub(super) fn of(page: &'page Page) -> Self {
        Self {
            page,
            made: HashMap::new(),
        }
    }

    /// The events for a watcher of this range that goes on at `next`; none if there are none.
    pub(super) fn get(&mut self, range: &KeyRange, variant: Variant, next: Revision) -> Option<SharedEvents> {
        let wanted = (range.clone(), variant, next.max(self.page.from));
        self.made
            .entry(wanted)
            .or_insert_with(|| self.page.select(range, variant, next))
            .clone()
    }
}
