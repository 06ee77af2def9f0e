//! What travels between a watch stream and the hub.

use model::{Event, KeyRange, KeyValue, Revision};

/// A request to start a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchCreate {
    /// The wanted identity on its stream; zero lets the hub choose the smallest unused.
    pub watch_id: i64,
    /// The keys to watch.
    pub range: KeyRange,
    /// The first revision to deliver; zero means after the newest one at creation.
    pub start_revision: Revision,
    /// Whether events carry the pair before.
    pub prev_kv: bool,
    /// Whether an idle watch is told the newest revision from time to time.
    pub progress_notify: bool,
    /// Whether a large response may be split.
    pub fragment: bool,
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletes out.
    pub no_delete: bool,
}

/// What a client asks on a watch stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchRequest {
    /// Start a watch.
    Create(WatchCreate),
    /// End a watch; an unknown one is ignored.
    Cancel(i64),
    /// Say the newest revision, if everything up to it has been delivered on this stream.
    Progress,
}

/// One event as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// The change.
    pub event: Event,
    /// The pair before, resident, if the watch asked for it, there was one and it is not compacted.
    pub prev_kv: Option<KeyValue>,
}

/// Why a watch ended by the server's will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The client asked for it.
    Requested,
    /// The revision to go on from is compacted; clients are told the compact revision, and a header revision of 0.
    Compacted(Revision),
    /// The watch was never started, for this reason; its id is -1 and `created` is set too.
    Refused(String),
}

/// What a watch stream is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchResponse {
    /// The watch exists; no event of it came before this.
    Created {
        /// The watch.
        watch_id: i64,
        /// The store's revision when it was created.
        revision: Revision,
    },
    /// The watch is gone; no event of it follows.
    Canceled {
        /// The watch, -1 if it was refused.
        watch_id: i64,
        /// The store's revision.
        revision: Revision,
        /// Why.
        reason: CancelReason,
    },
    /// Events of one or more whole revisions, in order.
    Events {
        /// The watch.
        watch_id: i64,
        /// The events' revision when live, the store's revision when catching up.
        revision: Revision,
        /// Whether this response may be split on its way.
        fragment: bool,
        /// The events, at least one.
        events: std::sync::Arc<[WatchEvent]>,
    },
    /// Everything up to `revision` has been delivered, on this watch or (id -1) on every watch of the stream.
    Progress {
        /// The watch, or -1.
        watch_id: i64,
        /// The revision vouched for.
        revision: Revision,
    },
}
