//! What clients ask of the hub.

use bytes::Bytes;
use model::{KeyRange, Refusal, Revision};

use super::StreamId;
use super::audience::{Standing, Watcher};
use super::hub::Hub;
use super::registry::Variant;
use crate::watch::{CancelReason, WatchCreate, WatchRequest, WatchResponse};

/// etcd's words for a range that cannot hold a key.
const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
/// etcd's words for an identity that is in use.
const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
/// The identity of a watch that was refused.
const REFUSED_ID: i64 = -1;

impl Hub {
    /// A client asked something on a stream.
    pub(super) fn request(&mut self, id: StreamId, request: WatchRequest) {
        let Some(stream) = self.by_id.get(&id).copied() else {
            return;
        };
        match request {
            WatchRequest::Create(create) => self.create(stream, create),
            WatchRequest::Cancel(watch_id) => self.cancel(stream, watch_id),
            WatchRequest::Progress => self.progress_requested(stream),
        }
        self.audience.streams[stream].outbox.answered();
    }

    fn create(&mut self, stream: usize, create: WatchCreate) {
        let range = from_smallest_key(create.range);
        let (revision, compact_revision) = (self.shared.revision(), self.shared.compact_revision());
        let watch_id = match self.admit(stream, create.watch_id, &range, create.start_revision) {
            Ok(watch_id) => watch_id,
            Err(reason) => return self.say_canceled(stream, REFUSED_ID, CancelReason::Refused(reason)),
        };
        self.audience
            .say(stream, WatchResponse::Created { watch_id, revision });
        let starts_anywhere = create.start_revision == Revision(0);
        if !starts_anywhere && create.start_revision < compact_revision {
            return self.say_compacted(stream, watch_id, compact_revision);
        }
        let watcher = Watcher {
            stream,
            watch_id,
            range,
            variant: Variant {
                prev_kv: create.prev_kv,
                no_put: create.no_put,
                no_delete: create.no_delete,
            },
            fragment: create.fragment,
            progress_notify: create.progress_notify,
            start_revision: create.start_revision,
            next: if starts_anywhere {
                revision.next()
            } else {
                create.start_revision
            },
            standing: Standing::CatchingUp,
            active: false,
        };
        self.add(watcher);
    }

    fn add(&mut self, watcher: Watcher) {
        let (stream, watch_id, next) = (watcher.stream, watcher.watch_id, watcher.next);
        let key = self.audience.watchers.insert(watcher);
        self.audience.streams[stream].watches.insert(watch_id, key);
        if next > self.revision {
            self.go_live(key)
        } else {
            self.lag(key)
        }
    }

    /// The identity of a watch that may be created, or why it may not, checked in etcd's order.
    fn admit(
        &mut self,
        stream: usize,
        wanted: i64,
        range: &KeyRange,
        start: Revision,
    ) -> Result<i64, String> {
        if start < Revision(0) {
            return Err(Refusal::Compacted.to_string());
        }
        if range.is_empty() {
            return Err(EMPTY_RANGE.into());
        }
        let stream = &mut self.audience.streams[stream];
        if wanted == 0 {
            while stream.uses(stream.next_watch_id) {
                stream.next_watch_id += 1;
            }
            stream.next_watch_id += 1;
            return Ok(stream.next_watch_id - 1);
        }
        if stream.uses(wanted) {
            Err(DUPLICATE_ID.into())
        } else {
            Ok(wanted)
        }
    }

    fn cancel(&mut self, stream: usize, watch_id: i64) {
        if let Some(watcher) = self.audience.streams[stream].watches.remove(&watch_id) {
            self.remove(watcher);
        } else if !self.audience.streams[stream].ended.remove(&watch_id) {
            return;
        }
        self.say_canceled(stream, watch_id, CancelReason::Requested);
    }

    /// Says that compaction ended a watch. Its identity stays in use until the client cancels it too.
    pub(super) fn say_compacted(&mut self, stream: usize, watch_id: i64, compact_revision: Revision) {
        self.audience.streams[stream].ended.insert(watch_id);
        self.say_canceled(stream, watch_id, CancelReason::Compacted(compact_revision));
    }

    /// Says that a watch is gone, which was refused or has been removed.
    pub(super) fn say_canceled(&mut self, stream: usize, watch_id: i64, reason: CancelReason) {
        let revision = self.shared.revision();
        self.audience.say(
            stream,
            WatchResponse::Canceled {
                watch_id,
                revision,
                reason,
            },
        );
    }
}

/// An empty first key means the smallest key there is.
fn from_smallest_key(range: KeyRange) -> KeyRange {
    let key = |key: Bytes| {
        if key.is_empty() {
            Bytes::from_static(&[0])
        } else {
            key
        }
    };
    match range {
        KeyRange::Single(only) => KeyRange::Single(key(only)),
        KeyRange::Between(start, end) => KeyRange::Between(key(start), end),
        KeyRange::From(start) => KeyRange::From(key(start)),
    }
}
