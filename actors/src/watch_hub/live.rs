//! Batches as they come, fanned out to the watchers that follow live.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use journal::ReadError;
use model::Revision;

use super::audience::Standing;
use super::hub::Hub;
use super::log_reads::ReadJob;
use super::page::SharedEvents;
use super::ring::{Ring, lacks_previous};
use crate::committed::{Change, CommittedBatch};

/// Revisions that the hub may be behind the store, in its mailbox or waiting for values from the log: two
/// seconds of writes at full speed. Beyond this it lets batches go unseen and sends the watchers to the
/// log, where a page serves many of them at once: late, but complete, and the mailbox stays bounded.
pub(super) const MAX_LAG: i64 = 50_000;

impl Hub {
    /// The next batch is durable and applied.
    pub(super) fn committed(&mut self, batch: Arc<CommittedBatch>) {
        let Some(first) = batch.changes.first().map(revision_of) else {
            // Without changes the revision stays, unless the state was rebuilt from a replica that was ahead.
            if batch.revision > self.newest_queued() {
                self.skip_to(batch.revision);
            }
            return self.cancel_compacted();
        };
        if self.lag_at(&batch, first) > MAX_LAG {
            return self.skip_to(batch.revision);
        }
        if first > self.newest_queued().next() {
            self.skip_to(Revision(first.0 - 1));
        }
        if self.waiting.is_empty() && !self.needs_values(&batch) {
            self.tell(&batch);
        } else {
            self.waiting.push_back(batch);
            self.complete_waiting();
        }
    }

    /// The newest revision that came, told or not.
    fn newest_queued(&self) -> Revision {
        self.waiting.back().map_or(self.revision, |batch| batch.revision)
    }

    /// Revisions behind a batch that the store has already, and before it that were not told yet.
    fn lag_at(&self, batch: &CommittedBatch, first: Revision) -> i64 {
        (self.shared.revision().0 - batch.revision.0) + (first.0 - self.revision.next().0)
    }

    fn needs_values(&self, batch: &CommittedBatch) -> bool {
        self.wanting_previous > 0 && batch.changes.iter().any(lacks_previous)
    }

    /// Has the batches that wait completed from the log, all in one go.
    fn complete_waiting(&mut self) {
        if !self.completing {
            self.completing = true;
            self.jobs
                .push(ReadJob::Batches(self.waiting.iter().cloned().collect()));
        }
    }

    /// The oldest waiting batches have their values now.
    pub(super) fn batches_completed(&mut self, batches: Result<Vec<Arc<CommittedBatch>>, ReadError>) {
        self.completing = false;
        match batches {
            Ok(batches) => batches.into_iter().for_each(|batch| self.tell_completed(&batch)),
            Err(error) => self.give_up_waiting(&error),
        }
        while let Some(batch) = self
            .waiting
            .front()
            .filter(|batch| !self.needs_values(batch))
            .cloned()
        {
            self.waiting.pop_front();
            self.tell(&batch);
        }
        if !self.waiting.is_empty() {
            self.complete_waiting();
        }
    }

    /// Tells a completed batch in place of the one that waited for it, unless that was given up meanwhile.
    fn tell_completed(&mut self, completed: &Arc<CommittedBatch>) {
        if self
            .waiting
            .front()
            .is_some_and(|batch| batch.revision == completed.revision)
        {
            self.waiting.pop_front();
            self.tell(completed);
        }
    }

    fn give_up_waiting(&mut self, error: &ReadError) {
        tracing::warn!(%error, "values for watchers could not be read, they will catch up from the log");
        self.meter.failed_reads.fetch_add(1, Relaxed);
        self.skip_to(self.newest_queued());
    }

    /// Goes on at a revision without having told what led to it: the watchers catch up from the log.
    pub(super) fn skip_to(&mut self, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        self.meter.skips.fetch_add(1, Relaxed);
        self.waiting.retain(|batch| batch.revision > revision);
        let live = |standing: &Standing| matches!(standing, Standing::Live(_));
        let watchers = self.audience.watchers.iter();
        let missed = watchers.filter(|(_, watcher)| live(&watcher.standing) && watcher.next <= revision);
        let missed: Vec<usize> = missed.map(|(key, _)| key).collect();
        for watcher in missed {
            self.detach(watcher);
            self.missed_from(watcher, self.revision.next());
            self.lag(watcher);
        }
        self.revision = revision;
        self.ring = Ring::after(revision);
    }

    /// Notes that a detached watcher has been handed everything it wants below a revision.
    fn missed_from(&mut self, watcher: usize, revision: Revision) {
        let watcher = &mut self.audience.watchers[watcher];
        watcher.next = watcher.next.max(revision);
    }

    /// Tells the live watchers of a batch that follows on what they were told.
    fn tell(&mut self, batch: &Arc<CommittedBatch>) {
        let same = |left: &Change, right: &Change| revision_of(left) == revision_of(right);
        for changes in batch.changes.chunk_by(same) {
            self.tell_revision(changes);
        }
        self.revision = batch.revision;
        self.ring.push(Arc::clone(batch));
        self.answer_awaiting_progress();
    }

    /// All events of one revision go to a watcher in one response.
    fn tell_revision(&mut self, changes: &[Change]) {
        let mut hits: Vec<(usize, usize)> = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            self.registry
                .matches(&change.event.key, &mut |group| hits.push((group, index)));
        }
        if changes.len() > 1 {
            hits.sort_unstable();
        }
        let mut stalled = Vec::new();
        for hits in hits.chunk_by(|left, right| left.0 == right.0) {
            self.tell_group(hits, changes, &mut stalled);
        }
        for watcher in stalled {
            self.stall(watcher, revision_of(&changes[0]));
        }
    }

    /// Makes what the members of a group share once, and hands it to each of them.
    fn tell_group(&mut self, hits: &[(usize, usize)], changes: &[Change], stalled: &mut Vec<usize>) {
        let revision = revision_of(&changes[0]);
        for members in self.registry.members(hits[0].0) {
            let matching = hits.iter().map(|(_, index)| &changes[*index]);
            let Some(shared) = SharedEvents::of(matching, members.variant) else {
                continue;
            };
            for watcher in &members.watchers {
                let starts_later = self.audience.watchers[*watcher].next > revision;
                if !starts_later && !self.audience.offer(*watcher, revision, &shared) {
                    stalled.push(*watcher);
                }
            }
        }
    }

    /// The stream of a live watcher had no room for this revision.
    fn stall(&mut self, watcher: usize, revision: Revision) {
        self.meter.stalls.fetch_add(1, Relaxed);
        self.detach(watcher);
        self.missed_from(watcher, revision);
        self.park(watcher);
    }
}

fn revision_of(change: &Change) -> Revision {
    change.event.version.mod_revision
}
