//! A page of events: whole revisions up to a budget.

use model::{Event, Revision};

/// Events in order until about `budget` bytes are full; the revision in which that happens is finished.
pub(crate) struct Page {
    events: Vec<Event>,
    left: usize,
}

impl Page {
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            events: Vec::new(),
            left: budget,
        }
    }

    /// Whether the page is full and a row of this revision would begin a new one.
    pub(crate) fn ends_before(&self, revision: Revision) -> bool {
        self.left == 0
            && self
                .events
                .last()
                .is_some_and(|last| last.version.mod_revision != revision)
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.left = self.left.saturating_sub(event.size());
        self.events.push(event);
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }
}
