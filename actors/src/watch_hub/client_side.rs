//! The two ends of a stream that the front door holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::outbox::{Outbox, Taken};
use super::{StreamId, StreamMessage, WatchHub};
use crate::mailbox::Mailbox;
use crate::watch::{WatchRequest, WatchResponse};

/// Closes the stream when both ends are gone.
struct Lifeline {
    id: StreamId,
    outbox: Arc<Outbox>,
    hub: Mailbox<WatchHub>,
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.hub.tell(StreamMessage::Closed(self.id));
    }
}

/// Opens a watch stream. It is closed when both of its ends are dropped.
#[must_use]
pub fn open_stream(hub: &Mailbox<WatchHub>) -> (WatchRequests, WatchResponses) {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let id = StreamId(OPENED.fetch_add(1, Relaxed));
    let outbox = Arc::new(Outbox::default());
    hub.tell(StreamMessage::Opened(id, Arc::clone(&outbox)));
    let lifeline = Arc::new(Lifeline {
        id,
        outbox,
        hub: hub.clone(),
    });
    (WatchRequests(Arc::clone(&lifeline)), WatchResponses(lifeline))
}

/// The end of a watch stream into which the client's requests go.
pub struct WatchRequests(Arc<Lifeline>);

impl WatchRequests {
    /// Sends a request to the hub. Requests are answered in order.
    pub fn send(&self, request: WatchRequest) {
        self.0.outbox.asked();
        self.0.hub.tell(StreamMessage::Asked(self.0.id, request));
    }

    /// Waits until the stream may ask for more. To be awaited before each request is read from the client:
    /// a client that asks and never reads the answers then fills its own connection, not the server.
    pub async fn ready(&self) {
        self.0.outbox.room().await;
    }
}

/// The end of a watch stream out of which the responses for the client come.
pub struct WatchResponses(Arc<Lifeline>);

impl WatchResponses {
    /// The next response; none if the hub is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<WatchResponse> {
        loop {
            match self.try_next() {
                Taken::Response(response, _) => return Some(response),
                Taken::Closed => return None,
                Taken::Empty => self.0.outbox.filled().await,
            }
        }
    }

    /// The next response, if it is there already: lets a caller send several at once.
    pub fn next_if_ready(&mut self) -> Option<WatchResponse> {
        match self.try_next() {
            Taken::Response(response, _) => Some(response),
            Taken::Closed | Taken::Empty => None,
        }
    }

    fn try_next(&self) -> Taken {
        let taken = self.0.outbox.take();
        if matches!(taken, Taken::Response(_, true)) {
            self.0.hub.tell(StreamMessage::Drained(self.0.id));
        }
        taken
    }
}
