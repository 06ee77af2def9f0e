//! The one way to send a message to an actor of the pipeline.
//!
//! actix bounds nothing (each clone of an address has a guaranteed slot, `do_send` ignores capacity)
//! and can tell neither depth nor waiting time. So every message travels in an [`Envelope`] that a
//! [`Meter`] counts, and what bounds the pipeline is the [`Gate`](crate::gate::Gate) at its door.

use std::sync::Arc;
use std::time::Instant;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

use crate::meter::Meter;

/// A message on its way, with what is needed to measure it.
pub struct Envelope<M> {
    message: Option<M>,
    queued: Instant,
    meter: Arc<Meter>,
}

impl<M> Message for Envelope<M> {
    type Result = ();
}

impl<M> Envelope<M> {
    fn seal(message: M, meter: Arc<Meter>) -> Self {
        meter.enter();
        Self {
            message: Some(message),
            queued: Instant::now(),
            meter,
        }
    }

    /// Takes the message out and measures the work done with it.
    pub fn open(mut self, work: impl FnOnce(M)) {
        let begun = Instant::now();
        if let Some(message) = self.message.take() {
            work(message);
        }
        self.meter.handled(self.queued, begun);
    }
}

impl<M> Drop for Envelope<M> {
    /// A message that dies with its actor leaves the mailbox too.
    fn drop(&mut self) {
        self.meter.leave();
    }
}

/// The address of an actor, and the meter of its mailbox.
pub struct Mailbox<A: Actor> {
    address: Addr<A>,
    meter: Arc<Meter>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self {
            address: self.address.clone(),
            meter: Arc::clone(&self.meter),
        }
    }
}

impl<A: Actor> Mailbox<A> {
    /// The mailbox of the actor at `address`, counted by `meter`.
    pub fn new(address: Addr<A>, meter: Arc<Meter>) -> Self {
        Self { address, meter }
    }

    /// Queues a message. It is lost only if the actor is gone, and then so is the process.
    pub fn tell<M>(&self, message: M)
    where
        M: Send + 'static,
        A: Handler<Envelope<M>>,
        A::Context: ToEnvelope<A, Envelope<M>>,
    {
        #[expect(clippy::disallowed_methods, reason = "the only place that may")]
        self.address
            .do_send(Envelope::seal(message, Arc::clone(&self.meter)));
    }
}
