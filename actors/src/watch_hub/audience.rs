//! The watchers and the streams that they are on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use model::{KeyRange, Revision};

use super::StreamId;
use super::outbox::{Load, Outbox, Parcel};
use super::page::SharedEvents;
use super::registry::{Place, Variant};
use super::slab::Slab;
use crate::watch::WatchResponse;

/// Responses for which a stream keeps room between two flushes: a usual group commit.
const KEPT_STAGED: usize = 256;

/// How a watcher gets its events.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// From each batch as it comes; it stands here in the registry.
    Live(Place),
    /// From the ring or the log.
    CatchingUp,
    /// Not at all, until its stream is read.
    Parked,
}

/// One watch.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) stream: usize,
    pub(super) watch_id: i64,
    pub(super) range: KeyRange,
    pub(super) variant: Variant,
    pub(super) fragment: bool,
    pub(super) progress_notify: bool,
    /// What the client asked for; zero if it asked for nothing.
    pub(super) start_revision: Revision,
    /// Everything below this was handed over; live watchers have been handed everything since, too.
    pub(super) next: Revision,
    pub(super) standing: Standing,
    /// Events were handed over since the last progress tick.
    pub(super) active: bool,
}

impl Watcher {
    /// Whether it has been handed everything up to `revision`, the newest that the hub has come to, and
    /// waits for nothing in the future.
    pub(super) fn is_synced(&self, revision: Revision) -> bool {
        let live = matches!(self.standing, Standing::Live(_));
        live && self.next <= revision.next() && self.start_revision <= revision
    }
}

/// One stream, with what was said on it since the last flush.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) outbox: Arc<Outbox>,
    /// Its watches, by the identity that the client knows.
    pub(super) watches: HashMap<i64, usize>,
    /// Identities of watches that a compaction ended: in use, as in etcd, until the client cancels them.
    pub(super) ended: HashSet<i64>,
    /// Where the search for an unused identity goes on.
    pub(super) next_watch_id: i64,
    /// The watchers that wait for the stream to be read.
    pub(super) parked: BTreeSet<usize>,
    /// Progress was asked for and is answered when the hub has come to this revision.
    pub(super) progress_due: Option<Revision>,
    staged: Vec<Parcel>,
    /// What lies in the outbox and in `staged`, since this turn began.
    load: Option<Load>,
    dirty: bool,
}

impl Stream {
    /// Whether a watch of this identity may not be created.
    pub(super) fn uses(&self, watch_id: i64) -> bool {
        self.watches.contains_key(&watch_id) || self.ended.contains(&watch_id)
    }

    pub(super) fn new(id: StreamId, outbox: Arc<Outbox>) -> Self {
        Self {
            id,
            outbox,
            watches: HashMap::new(),
            ended: HashSet::new(),
            next_watch_id: 0,
            parked: BTreeSet::new(),
            progress_due: None,
            staged: Vec::new(),
            load: None,
            dirty: false,
        }
    }

    fn load(&mut self) -> &mut Load {
        self.load.get_or_insert_with(|| self.outbox.load())
    }

    fn is_full(&mut self) -> bool {
        let watches = self.watches.len();
        self.load().is_full(watches)
    }

    fn stage(&mut self, parcel: Parcel) {
        let load = self.load();
        load.responses += 1;
        load.bytes += parcel.bytes;
        self.staged.push(parcel);
    }

    /// Hands everything over with one wake-up. Returns whether parked watchers may go on already.
    fn flush(&mut self) -> bool {
        self.dirty = false;
        self.load = None;
        let low = self.outbox.push_all(&mut self.staged, !self.parked.is_empty());
        self.staged.shrink_to(KEPT_STAGED);
        low
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// All watchers and all streams.
#[derive(Debug, Default)]
pub(super) struct Audience {
    pub(super) watchers: Slab<Watcher>,
    pub(super) streams: Slab<Stream>,
    dirty: Vec<usize>,
}

impl Audience {
    /// Says something on a stream, full or not: what a client asked for is answered, and the client's
    /// side takes no more questions while answers lie unread.
    pub(super) fn say(&mut self, stream: usize, response: WatchResponse) {
        self.streams[stream].stage(Parcel::control(response));
        self.touch(stream);
    }

    /// Says something on a stream if it has room.
    pub(super) fn say_if_room(&mut self, stream: usize, response: WatchResponse) {
        if !self.streams[stream].is_full() {
            self.say(stream, response);
        }
    }

    /// Hands events to a watcher. Returns false if its stream is full.
    pub(super) fn offer(&mut self, watcher: usize, revision: Revision, shared: &SharedEvents) -> bool {
        let Self {
            watchers, streams, ..
        } = self;
        let watcher = &mut watchers[watcher];
        let stream = &mut streams[watcher.stream];
        if stream.is_full() {
            return false;
        }
        watcher.active = true;
        let response = WatchResponse::Events {
            watch_id: watcher.watch_id,
            revision,
            fragment: watcher.fragment,
            events: Arc::clone(&shared.events),
        };
        stream.stage(Parcel {
            response,
            bytes: size_of::<Parcel>() + shared.bytes,
        });
        let touched = watcher.stream;
        self.touch(touched);
        true
    }

    /// Whether the stream of a watcher takes no more events.
    pub(super) fn is_full(&mut self, watcher: usize) -> bool {
        self.streams[self.watchers[watcher].stream].is_full()
    }

    /// Remembers to flush a stream.
    pub(super) fn touch(&mut self, stream: usize) {
        if !std::mem::replace(&mut self.streams[stream].dirty, true) {
            self.dirty.push(stream);
        }
    }

    /// Hands everything over that was said since the last flush. Returns the streams whose parked
    /// watchers may go on.
    pub(super) fn flush(&mut self) -> Vec<usize> {
        let Self { streams, dirty, .. } = self;
        dirty
            .drain(..)
            .filter(|stream| streams[*stream].flush())
            .collect()
    }
}
