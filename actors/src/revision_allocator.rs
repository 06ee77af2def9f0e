//! RevisionAllocator: decides every command and numbers its changes. Fed by the router, feeds the write batcher.
//!
//! It decides on the newest state there is, which may be ahead of what is durable: the shared state,
//! and over it an overlay of what it decided since. A refusal depends on that state as much as an
//! acceptance does, so both travel on to the batcher and are told only when what they saw is durable.

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use model::{Command, Decision, Limits, Overlay, Refusal, decide};

use crate::keyspace::KeyspaceMeter;
use crate::mailbox::{Envelope, Mailbox};
use crate::shared_state::SharedState;
use crate::ticket::Ticket;
use crate::write_batcher::{Decided, WriteBatcher};

/// A command to decide.
pub struct Allocate {
    /// What to do.
    pub command: Command,
    /// Who asked.
    pub ticket: Ticket,
}

/// The actor.
pub struct RevisionAllocator {
    shared: Arc<SharedState>,
    limits: Limits,
    overlay: Overlay,
    /// The epoch the overlay belongs to.
    epoch: u64,
    meter: Arc<KeyspaceMeter>,
    batcher: Mailbox<WriteBatcher>,
}

impl RevisionAllocator {
    pub(crate) fn new(
        shared: Arc<SharedState>,
        limits: Limits,
        meter: Arc<KeyspaceMeter>,
        batcher: Mailbox<WriteBatcher>,
    ) -> Self {
        let overlay = shared.read(Overlay::new);
        Self {
            epoch: shared.epoch(),
            overlay,
            shared,
            limits,
            meter,
            batcher,
        }
    }

    fn allocate(&mut self, allocate: Allocate) {
        let outcome = self.decide(allocate.command);
        self.meter.decided(self.overlay.take_tally());
        self.batcher.tell(Decided {
            outcome,
            epoch: self.epoch,
            ticket: allocate.ticket,
        });
    }

    fn decide(&mut self, command: Command) -> Result<Decision, Refusal> {
        let shared = Arc::clone(&self.shared);
        let epoch = shared.epoch();
        shared.read(|state| {
            if epoch == self.epoch {
                self.overlay.settle(state.applied());
            } else {
                self.epoch = epoch;
                self.overlay = Overlay::new(state);
            }
            decide(command, state, &mut self.overlay, shared.as_ref(), self.limits)
        })
    }
}

impl Actor for RevisionAllocator {
    type Context = Context<Self>;
}

impl Handler<Envelope<Allocate>> for RevisionAllocator {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Allocate>, _: &mut Context<Self>) {
        envelope.open(|allocate| self.allocate(allocate));
    }
}
