//! A page of events: whole revisions up to a budget.

use model::{Event, Revision};

/// What of a page is still free, and where it may end.
pub(crate) struct Budget {
    left: usize,
    last: Option<Revision>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let last = None;
        Self { left: bytes, last }
    }

    /// Whether the page is full and a row of this revision would begin a new one.
    pub(crate) fn ends_before(&self, revision: Revision) -> bool {
        self.left == 0 && self.last.is_some_and(|last| last != revision)
    }

    /// Counts a row of this revision and size.
    pub(crate) fn take(&mut self, revision: Revision, size: usize) {
        self.left = self.left.saturating_sub(size);
        self.last = Some(revision);
    }
}

/// Events in order until about `budget` bytes are full; the revision in which that happens is finished.
pub(crate) struct Page {
    events: Vec<Event>,
    budget: Budget,
}

impl Page {
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            events: Vec::new(),
            budget: Budget::new(budget),
        }
    }

    /// Whether the page is full and a row of this revision would begin a new one.
    pub(crate) fn ends_before(&self, revision: Revision) -> bool {
        self.budget.ends_before(revision)
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.budget.take(event.version.mod_revision, event.size());
        self.events.push(event);
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }
}
