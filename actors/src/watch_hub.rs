//! WatchHub: tells every watcher what happens to its keys. Fed by the keyspace; feeds the watch streams.
//!
//! Watchers are fed from memory, in revision order. Each stream has a bounded queue; a watcher whose
//! stream is not read stops following live and queues nothing, and when the stream is read again it
//! catches up, from the batches that are still in memory or from the log, until it has joined the live
//! flow: no gap, nothing twice, nothing lost silently. So a client that does not read costs nobody else
//! anything. Reads of the log happen on threads that may block, never on the hub's own.
//!
//! ```text
//! Keyspace -> committed batches -> live watchers ----> outbox -> WatchResponses -> client
//!                   |                ^      | full        |
//!                   v                |      v             | read
//!                 ring, log -> catching up <- parked <----'
//! ```

mod audience;
mod catching_up;
mod client_side;
mod hub;
mod interval_tree;
mod live;
mod log_reads;
mod outbox;
mod page;
mod progress;
mod registry;
mod report;
mod requests;
mod ring;
mod slab;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};

use crate::committed::CommittedBatch;
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
use crate::shared_state::SharedState;
use crate::watch::WatchRequest;

use hub::Hub;
use log_reads::{History, ReadDone, ReadJob};
use outbox::Outbox;
use progress::TICK_PARTS;

pub use client_side::{WatchRequests, WatchResponses, open_stream};
pub use report::{HubMeter, HubReport};

/// How long the hub waits after a failed read of the log before it tries again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The shortest time between two parts of the progress tick.
const SHORTEST_TICK: Duration = Duration::from_millis(1);

/// One watch stream among all that were ever opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct StreamId(u64);

/// What the ends of a stream tell the hub.
enum StreamMessage {
    /// It was opened, and its responses go here.
    Opened(StreamId, Arc<Outbox>),
    /// Its client asked for something.
    Asked(StreamId, WatchRequest),
    /// It was read until little was left, as the hub wanted to know.
    Drained(StreamId),
    /// It is gone.
    Closed(StreamId),
}

/// What the hub tells itself, so that batches and requests get their turn in between.
enum OwnMessage {
    /// Serve the next page from memory.
    Turn,
    /// A read of the log is done.
    Read(ReadDone),
    /// The log may be read again after a failure.
    Retry,
    /// Tell idle watches how far they are.
    Tick,
}

/// The actor.
pub struct WatchHub {
    hub: Hub,
    progress_interval: Duration,
    meter: Arc<Meter>,
    turn_queued: bool,
    retry_set: bool,
}

impl WatchHub {
    /// A hub that goes on from the revision that `shared` is at now. To an idle watch that asks for it, it
    /// tells the newest revision once in each `progress_interval`; `mailbox` measures its own mailbox.
    #[must_use]
    pub fn new(
        shared: Arc<SharedState>,
        progress_interval: Duration,
        meter: Arc<HubMeter>,
        mailbox: Arc<Meter>,
    ) -> Self {
        let hub = Hub::new(shared, meter);
        Self {
            hub,
            progress_interval,
            meter: mailbox,
            turn_queued: false,
            retry_set: false,
        }
    }

    fn mailbox(&self, context: &Context<Self>) -> Mailbox<Self> {
        Mailbox::new(context.address(), Arc::clone(&self.meter))
    }

    /// Ends the handling of a message: hands over what was said and sees to what is left to do.
    fn settle(&mut self, context: &mut Context<Self>) {
        for job in self.hub.settle() {
            self.read(job, context);
        }
        if self.hub.has_turn() && !std::mem::replace(&mut self.turn_queued, true) {
            self.mailbox(context).tell(OwnMessage::Turn);
        }
        if self.hub.needs_retry() && !std::mem::replace(&mut self.retry_set, true) {
            let mailbox = self.mailbox(context);
            context.run_later(RETRY_AFTER, move |_, _| mailbox.tell(OwnMessage::Retry));
        }
    }

    fn read(&self, job: ReadJob, context: &Context<Self>) {
        let history = History(Arc::clone(&self.hub.shared));
        let mailbox = self.mailbox(context);
        drop(tokio::task::spawn_blocking(move || {
            mailbox.tell(OwnMessage::Read(history.run(job)))
        }));
    }

    fn own(&mut self, message: OwnMessage) {
        match message {
            OwnMessage::Turn => {
                self.turn_queued = false;
                self.hub.turn();
            }
            OwnMessage::Read(done) => self.hub.read_done(done),
            OwnMessage::Retry => {
                self.retry_set = false;
                self.hub.retry();
            }
            OwnMessage::Tick => self.hub.tick(),
        }
    }

    fn stream(&mut self, message: StreamMessage) {
        match message {
            StreamMessage::Opened(id, outbox) => self.hub.open(id, outbox),
            StreamMessage::Asked(id, request) => self.hub.request(id, request),
            StreamMessage::Drained(id) => self.hub.drained(id),
            StreamMessage::Closed(id) => self.hub.close(id),
        }
    }
}

impl Actor for WatchHub {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let mailbox = self.mailbox(context);
        let part = self.progress_interval / u32::try_from(TICK_PARTS).unwrap_or(1);
        context.run_interval(part.max(SHORTEST_TICK), move |_, _| {
            mailbox.tell(OwnMessage::Tick)
        });
    }
}

impl Handler<Envelope<Arc<CommittedBatch>>> for WatchHub {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Arc<CommittedBatch>>, context: &mut Self::Context) {
        envelope.open(|batch| {
            self.hub.committed(batch);
            self.settle(context);
        });
    }
}

impl Handler<Envelope<StreamMessage>> for WatchHub {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<StreamMessage>, context: &mut Self::Context) {
        envelope.open(|message| {
            self.stream(message);
            self.settle(context);
        });
    }
}

impl Handler<Envelope<OwnMessage>> for WatchHub {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<OwnMessage>, context: &mut Self::Context) {
        envelope.open(|message| {
            self.own(message);
            self.settle(context);
        });
    }
}
