//! Watchers on their way to the live flow.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use journal::ReadError;
use model::Revision;

use super::hub::Hub;
use super::log_reads::ReadJob;
use super::page::{Page, Selections};

/// The watchers that catch up, by their next revision. Those that want the pairs before are apart,
/// because the ring may not have them.
#[derive(Debug, Default)]
pub(super) struct Lagging {
    plain: BTreeSet<(Revision, usize)>,
    with_previous: BTreeSet<(Revision, usize)>,
}

impl Lagging {
    fn of(&self, previous: bool) -> &BTreeSet<(Revision, usize)> {
        if previous {
            &self.with_previous
        } else {
            &self.plain
        }
    }

    fn of_mut(&mut self, previous: bool) -> &mut BTreeSet<(Revision, usize)> {
        if previous {
            &mut self.with_previous
        } else {
            &mut self.plain
        }
    }

    pub(super) fn insert(&mut self, previous: bool, next: Revision, watcher: usize) {
        self.of_mut(previous).insert((next, watcher));
    }

    pub(super) fn remove(&mut self, previous: bool, next: Revision, watcher: usize) {
        self.of_mut(previous).remove(&(next, watcher));
    }

    pub(super) fn len(&self) -> usize {
        self.plain.len() + self.with_previous.len()
    }

    /// The smallest next revision from one revision on and below another.
    fn first(&self, previous: bool, from: Revision, below: Revision) -> Option<Revision> {
        if from >= below {
            return None;
        }
        self.of(previous)
            .range((from, 0)..(below, 0))
            .next()
            .map(|(next, _)| *next)
    }

    /// The watchers whose next revision lies in a page that has what they want.
    fn within(&self, page: &Page) -> Vec<usize> {
        let range = (page.from(), 0)..=(page.to(), usize::MAX);
        let with_previous = page
            .has_previous()
            .then(|| self.with_previous.range(range.clone()));
        let found = self.plain.range(range).chain(with_previous.into_iter().flatten());
        found.map(|(_, watcher)| *watcher).collect()
    }

    /// A watcher whose next revision is below this one.
    fn any_below(&self, revision: Revision) -> Option<usize> {
        let below = |set: &BTreeSet<(Revision, usize)>| {
            set.first()
                .filter(|(next, _)| *next < revision)
                .map(|(_, watcher)| *watcher)
        };
        below(&self.plain).or_else(|| below(&self.with_previous))
    }
}

/// How far reading the log for watchers has come.
#[derive(Debug, Default)]
pub(super) struct LogReading {
    /// A page is being read.
    busy: bool,
    /// The last read failed; the next one has to wait.
    failed: bool,
    /// It was said that reads fail, and none has succeeded since: without a leader they fail ten times a second.
    said: bool,
    /// Where the next page begins if somebody needs it: like an elevator, so that those who are nearly
    /// there are not kept waiting by ever new ones who begin far back.
    cursor: Revision,
}

impl Hub {
    /// Whether watchers wait who can be served from memory now.
    pub(super) fn has_turn(&self) -> bool {
        self.first_in_ring().is_some()
    }

    /// One bounded step: serves a page from memory to everybody who can use it.
    pub(super) fn turn(&mut self) {
        self.cancel_compacted();
        if let Some(from) = self.first_in_ring() {
            let page = self.ring.page(from);
            self.meter.pages_from_ring.fetch_add(1, Relaxed);
            self.hand_out(page);
        }
    }

    fn first_in_ring(&self) -> Option<Revision> {
        let reachable = |previous| {
            self.lagging
                .first(previous, self.ring.floor(previous), self.revision.next())
        };
        [false, true].into_iter().filter_map(reachable).min()
    }

    fn first_in_log(&self, from: Revision) -> Option<Revision> {
        let missing = |previous| self.lagging.first(previous, from, self.ring.floor(previous));
        [false, true].into_iter().filter_map(missing).min()
    }

    /// Asks for the next page that somebody needs and that is not in memory.
    pub(super) fn start_log_read(&mut self) {
        if self.log_reading.busy || self.log_reading.failed {
            return;
        }
        self.cancel_compacted();
        let from = self
            .first_in_log(self.log_reading.cursor)
            .or_else(|| self.first_in_log(Revision(0)));
        if let Some(from) = from {
            let previous = self.lagging.first(true, from, self.ring.floor(true)).is_some();
            self.log_reading.busy = true;
            self.jobs.push(ReadJob::Page {
                from,
                to: self.revision,
                previous,
            });
        }
    }

    /// A page was read from the log, or not.
    pub(super) fn page_read(&mut self, page: Result<Page, ReadError>) {
        self.log_reading.busy = false;
        match page {
            Ok(page) => {
                self.meter.pages_from_log.fetch_add(1, Relaxed);
                if std::mem::take(&mut self.log_reading.said) {
                    tracing::info!("history for watchers can be read again");
                }
                self.log_reading.cursor = page.to().next();
                self.log_compacted = self.log_compacted.max(page.compact_revision());
                self.cancel_compacted();
                self.hand_out(page);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.log_reading.said, true) {
                    tracing::warn!(%error, "history for watchers cannot be read, it is tried again and again");
                }
                self.meter.failed_reads.fetch_add(1, Relaxed);
                self.log_reading.failed = true;
            }
        }
    }

    /// Whether the log could not be read, and `retry` is to be called after a while.
    pub(super) fn needs_retry(&self) -> bool {
        self.log_reading.failed
    }

    /// Lets the log be read again.
    pub(super) fn retry(&mut self) {
        self.log_reading.failed = false;
    }

    /// How far history is compacted, as far as this member has heard of it or has seen in the log.
    fn compact_revision(&self) -> Revision {
        self.log_compacted.max(self.shared.compact_revision())
    }

    /// Cancels the watchers whose next revision can no longer be read. This must come between reading
    /// a page and handing it out: rows that compaction took meanwhile are missing in it.
    pub(super) fn cancel_compacted(&mut self) {
        if self.lagging.len() == 0 {
            return;
        }
        let compact_revision = self.compact_revision();
        while let Some(key) = self.lagging.any_below(compact_revision) {
            let watcher = &self.audience.watchers[key];
            let (stream, watch_id) = (watcher.stream, watcher.watch_id);
            self.audience.streams[stream].watches.remove(&watch_id);
            self.remove(key);
            self.meter.compacted.fetch_add(1, Relaxed);
            self.say_compacted(stream, watch_id, compact_revision);
        }
    }

    /// Serves a page to everybody who can use it.
    fn hand_out(&mut self, mut page: Page) {
        page.forget_before(self.compact_revision());
        let mut selections = Selections::of(&page);
        for watcher in self.lagging.within(&page) {
            self.hand_to(watcher, &page, &mut selections);
        }
    }

    fn hand_to(&mut self, key: usize, page: &Page, selections: &mut Selections<'_>) {
        let full = self.audience.is_full(key);
        self.detach(key);
        if full {
            return self.park(key);
        }
        let watcher = &self.audience.watchers[key];
        if let Some(shared) = selections.get(&watcher.range, watcher.variant, watcher.next) {
            self.audience.offer(key, page.to(), &shared);
        }
        self.audience.watchers[key].next = page.to().next();
        if page.to() >= self.revision {
            self.go_live(key)
        } else {
            self.lag(key)
        }
    }
}
