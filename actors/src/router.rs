//! Router: the first actor a request meets. Fed by [`Store`](crate::Store), feeds the revision allocator.
//!
//! It alone watches the space quota: a request that would pass it raises the alarm first, in the same
//! queue, so that the refusal and everything behind it see the alarm. Reads do not come here: they are
//! answered from the shared state.

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use model::{AlarmAction, Command, space_cost};

use crate::gate::Permit;
use crate::mailbox::{Envelope, Mailbox};
use crate::revision_allocator::{Allocate, RevisionAllocator};
use crate::space::Space;
use crate::ticket::{Answer, Ticket};

/// A command on its way in.
pub struct Submit {
    /// What to do; it is valid in itself.
    pub command: Command,
    /// Its room in the pipeline.
    pub permit: Permit,
    /// Where the answer goes.
    pub answer: Answer,
}

/// The actor.
pub struct Router {
    space: Arc<Space>,
    allocator: Mailbox<RevisionAllocator>,
}

impl Router {
    pub(crate) fn new(space: Arc<Space>, allocator: Mailbox<RevisionAllocator>) -> Self {
        Self { space, allocator }
    }

    fn route(&self, submit: Submit) {
        let cost = space_cost(&submit.command);
        if cost > 0 && !self.space.take(cost) {
            let raise = Command::Alarm(AlarmAction::Activate(self.space.alarm()));
            self.allocator.tell(Allocate {
                command: raise,
                ticket: Ticket::unanswered(),
            });
        }
        let ticket = Ticket::new(submit.permit, submit.answer);
        self.allocator.tell(Allocate {
            command: submit.command,
            ticket,
        });
    }
}

impl Actor for Router {
    type Context = Context<Self>;
}

impl Handler<Envelope<Submit>> for Router {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Submit>, _: &mut Context<Self>) {
        envelope.open(|submit| self.route(submit));
    }
}
