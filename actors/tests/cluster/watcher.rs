//! A client that watches everything and checks that it hears each event once, in order.

use std::sync::Arc;

use actors::{CancelReason, Store, WatchCreate, WatchRequest, WatchRequests, WatchResponse, WatchResponses};
use bytes::Bytes;
use model::{Event, KeyRange, Revision};
use parking_lot::Mutex;

use crate::cluster::{Cluster, eventually};

#[derive(Debug, Default)]
struct Heard {
    created: bool,
    events: Vec<Event>,
    ended: Option<CancelReason>,
    fault: Option<String>,
}

impl Heard {
    fn take(&mut self, response: WatchResponse) {
        match response {
            WatchResponse::Created { .. } => self.created = true,
            WatchResponse::Canceled { reason, .. } => self.ended = Some(reason),
            WatchResponse::Events { events, .. } => self.hear(events.iter().map(|told| told.event.clone())),
            WatchResponse::Progress { .. } => {}
        }
    }

    fn hear(&mut self, events: impl Iterator<Item = Event>) {
        for event in events {
            let last = self.events.last().map(|last| last.version.position);
            if last.is_some_and(|last| event.version.position <= last) {
                self.fault = Some(format!("{event:?} came after position {last:?}"));
            }
            self.events.push(event);
        }
    }
}

/// The watch, until it is dropped.
pub struct Watcher {
    heard: Arc<Mutex<Heard>>,
    /// The first revision that it wants.
    from: Revision,
    _requests: WatchRequests,
    listening: tokio::task::JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(mut responses: WatchResponses, heard: Arc<Mutex<Heard>>) {
    while let Some(response) = responses.next().await {
        heard.lock().take(response);
    }
}

impl Watcher {
    /// Watches everything on this member from a revision on, and waits until the watch stands.
    pub async fn start(store: &Store, from: Revision) -> Self {
        let (requests, responses) = store.open_watch_stream();
        requests.send(WatchRequest::Create(WatchCreate {
            watch_id: 0,
            range: KeyRange::From(Bytes::from_static(b"\0")),
            start_revision: from,
            prev_kv: false,
            progress_notify: false,
            fragment: false,
            no_put: false,
            no_delete: false,
        }));
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let watcher = Self {
            from,
            _requests: requests,
            listening: tokio::spawn(listen(responses, Arc::clone(&heard))),
            heard,
        };
        eventually("a watch", || watcher.heard.lock().created).await;
        watcher
    }

    /// What it heard so far.
    pub fn events(&self) -> Vec<Event> {
        self.heard.lock().events.clone()
    }

    /// Why it was ended by the server, if it was.
    pub fn ended(&self) -> Option<CancelReason> {
        self.heard.lock().ended.clone()
    }

    /// What was stored and this watch wants.
    fn wanted(&self, cluster: &Cluster) -> Vec<Event> {
        let mut events = cluster.record.events();
        events.retain(|event| event.version.mod_revision >= self.from);
        events
    }

    /// Whether it has heard as much as was stored.
    pub fn has_heard_everything(&self, cluster: &Cluster) -> bool {
        self.heard.lock().events.len() >= self.wanted(cluster).len()
    }

    /// Waits until it has heard everything that was stored, and nothing else.
    pub async fn hears_everything(&self, cluster: &Cluster) {
        let wanted = self.wanted(cluster);
        let length = || self.heard.lock().events.len();
        let done = || length() >= wanted.len() || self.heard.lock().ended.is_some();
        eventually("a watch is complete", done).await;
        self.check_against(&wanted);
        assert_eq!(length(), wanted.len(), "ended: {:?}", self.ended());
    }

    /// Checks that what it heard is what was stored, as far as it got.
    pub fn is_right(&self, cluster: &Cluster) {
        self.check_against(&self.wanted(cluster));
    }

    fn check_against(&self, wanted: &[Event]) {
        let heard = self.heard.lock();
        assert_eq!(heard.fault, None);
        assert!(heard.events.len() <= wanted.len(), "it heard more than there is");
        for (heard, stored) in heard.events.iter().zip(wanted) {
            assert_eq!(heard, stored);
        }
    }
}
