//! Telling idle watchers how far they are.

use super::StreamId;
use super::hub::Hub;
use crate::watch::WatchResponse;

/// The identity in a progress answer that speaks for all watches of a stream.
const ALL_WATCHES: i64 = -1;

/// Into how many parts the streams are divided for periodic progress, so that they are not all woken at once.
pub(super) const TICK_PARTS: u64 = 16;

impl Hub {
    /// A client asked how far the watches of its stream are.
    ///
    /// The answer speaks of the revision that was readable when it was asked, or a later one: a client asks
    /// because it has read that revision and wants to know that its watches have come to it. If the hub
    /// has not, the answer waits for the batch, which is on its way. It never speaks of a revision whose
    /// events are not in the queue before it. Where it cannot be given there is none, as in etcd.
    pub(super) fn progress_requested(&mut self, stream: usize) {
        let revision = self.shared.revision();
        let first = self.audience.streams[stream]
            .progress_due
            .replace(revision)
            .is_none();
        if self.revision >= revision {
            self.answer_progress(stream);
        } else if first {
            self.awaiting_progress.push(self.audience.streams[stream].id);
        }
    }

    /// The hub came to a new revision.
    pub(super) fn answer_awaiting_progress(&mut self) {
        if self.awaiting_progress.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.awaiting_progress);
        self.awaiting_progress = waiting.into_iter().filter(|id| self.still_awaits(*id)).collect();
    }

    /// Answers a stream if the hub has come to the revision it waits for.
    fn still_awaits(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.by_id.get(&id).copied() else {
            return false;
        };
        let due = self.audience.streams[stream].progress_due;
        if due.is_some_and(|due| due > self.revision) {
            return true;
        }
        if due.is_some() {
            self.answer_progress(stream);
        }
        false
    }

    fn answer_progress(&mut self, stream: usize) {
        self.audience.streams[stream].progress_due = None;
        if self.is_stream_synced(stream) {
            self.say_progress(stream, ALL_WATCHES);
        }
    }

    fn is_stream_synced(&self, stream: usize) -> bool {
        let watches = self.audience.streams[stream].watches.values();
        let mut watchers = watches.map(|watcher| &self.audience.watchers[*watcher]);
        watchers.len() > 0 && watchers.all(|watcher| watcher.is_synced(self.revision))
    }

    /// It is time for the next part of the streams to have their idle watches told how far they are.
    pub(super) fn tick(&mut self) {
        self.tick = (self.tick + 1) % TICK_PARTS;
        let part = self
            .audience
            .streams
            .iter()
            .filter(|(_, stream)| stream.id.0 % TICK_PARTS == self.tick);
        let watchers: Vec<usize> = part
            .flat_map(|(_, stream)| stream.watches.values().copied())
            .collect();
        for watcher in watchers {
            self.tick_watcher(watcher);
        }
    }

    fn tick_watcher(&mut self, key: usize) {
        let watcher = &mut self.audience.watchers[key];
        let idle = !std::mem::take(&mut watcher.active);
        let (stream, watch_id) = (watcher.stream, watcher.watch_id);
        let told = watcher.progress_notify && idle && watcher.is_synced(self.revision);
        // A client may call a watch -1; what is said to it then sounds as if it were said to all.
        if told && (watch_id != ALL_WATCHES || self.is_stream_synced(stream)) {
            self.say_progress(stream, watch_id);
        }
    }

    fn say_progress(&mut self, stream: usize, watch_id: i64) {
        let revision = self.revision;
        self.audience
            .say_if_room(stream, WatchResponse::Progress { watch_id, revision });
    }
}
