//! What the hub shows of itself.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use crate::shared_state::SharedState;

/// The hub's numbers, kept where anybody may read them without asking the hub.
#[derive(Default)]
pub struct HubMeter {
    store: OnceLock<Arc<SharedState>>,
    pub(super) streams: AtomicUsize,
    pub(super) watchers: AtomicUsize,
    pub(super) catching_up: AtomicUsize,
    pub(super) parked: AtomicUsize,
    pub(super) events_sent: AtomicU64,
    pub(super) responses_sent: AtomicU64,
    pub(super) pending_events: AtomicUsize,
    pub(super) pending_bytes: AtomicUsize,
    pub(super) ring_bytes: AtomicUsize,
    pub(super) pages_from_ring: AtomicU64,
    pub(super) pages_from_log: AtomicU64,
    pub(super) failed_reads: AtomicU64,
    pub(super) stalls: AtomicU64,
    pub(super) compacted: AtomicU64,
    pub(super) skips: AtomicU64,
    pub(super) revision: AtomicI64,
}

impl HubMeter {
    /// Names the store that the hub follows.
    pub(super) fn follow(&self, store: &Arc<SharedState>) {
        self.store.get_or_init(|| Arc::clone(store));
    }

    /// The numbers of this moment.
    #[must_use]
    pub fn report(&self) -> HubReport {
        let store = self.store.get().map_or(0, |store| store.revision().0);
        let revision = self.revision.load(Relaxed);
        let [catching_up, parked] = [&self.catching_up, &self.parked].map(|count| count.load(Relaxed));
        HubReport {
            streams: self.streams.load(Relaxed),
            watchers: self.watchers.load(Relaxed),
            slow_watchers: catching_up + parked,
            parked_watchers: parked,
            events_sent: self.events_sent.load(Relaxed),
            responses_sent: self.responses_sent.load(Relaxed),
            pending_events: self.pending_events.load(Relaxed),
            pending_bytes: self.pending_bytes.load(Relaxed),
            ring_bytes: self.ring_bytes.load(Relaxed),
            pages_from_ring: self.pages_from_ring.load(Relaxed),
            pages_from_log: self.pages_from_log.load(Relaxed),
            failed_reads: self.failed_reads.load(Relaxed),
            stalls: self.stalls.load(Relaxed),
            compacted: self.compacted.load(Relaxed),
            skips: self.skips.load(Relaxed),
            revision,
            lag: store.saturating_sub(revision).max(0),
        }
    }
}

/// What the watch hub looks like.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HubReport {
    /// Open watch streams.
    pub streams: usize,
    /// Watches on them.
    pub watchers: usize,
    /// Watchers that do not follow live: they catch up, or wait for their stream to be read.
    pub slow_watchers: usize,
    /// Those of the slow watchers that wait for their stream to be read.
    pub parked_watchers: usize,
    /// Events put into streams since the start.
    pub events_sent: u64,
    /// Responses put into streams since the start.
    pub responses_sent: u64,
    /// Events that lie in streams and were not read yet.
    pub pending_events: usize,
    /// Bytes that lie in streams and were not read yet; events shared by several streams count in each.
    pub pending_bytes: usize,
    /// Bytes of recent batches kept for watchers that fell behind.
    pub ring_bytes: usize,
    /// Pages that were served to watchers catching up from memory since the start.
    pub pages_from_ring: u64,
    /// Pages that were served to watchers catching up from the log since the start.
    pub pages_from_log: u64,
    /// Reads of the log that failed since the start; each is tried again.
    pub failed_reads: u64,
    /// How often a watcher stopped following live because its stream was not read.
    pub stalls: u64,
    /// Watches cancelled because compaction overtook them, since the start.
    pub compacted: u64,
    /// How often the hub gave batches up and sent every watcher to the log, since the start.
    pub skips: u64,
    /// The revision up to which the hub has told its watchers.
    pub revision: i64,
    /// How many revisions the hub is behind the store.
    pub lag: i64,
}
