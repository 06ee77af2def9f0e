//! Router: the first actor a request meets. Fed by [`Store`](crate::Store), feeds the revision allocator.
//!
//! It alone watches the space quota: a request that would pass it raises the alarm first, in the same
//! queue, so that the refusal and everything behind it see the alarm. Reads do not come here: they are
//! answered from the shared state.
//!
//! On a member that follows another one it sends requests to the leader instead. While nobody leads they
//! wait, with their room in the pipeline, until somebody does or their time is over.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use model::{AlarmAction, Command, LeaseGrant, space_cost};
use tokio::time::Instant;

use crate::clock::LeaseClock;
use crate::cluster::{Ask, Epoch, Peer, Role, Roles, Told};
use crate::errors::RequestError;
use crate::gate::Permit;
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
use crate::revision_allocator::{Allocate, RevisionAllocator};
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::ticket::{Answer, Committed, Ticket};

/// A command on its way in.
pub struct Submit {
    /// What to do; it is valid in itself.
    pub command: Command,
    /// Its room in the pipeline.
    pub permit: Permit,
    /// Where the answer goes.
    pub answer: Answer,
    /// For a command of the server's own: the leadership it belongs to. It is worth nothing in another one,
    /// and is never forwarded.
    pub(crate) office: Option<Epoch>,
}

/// A request that could not be sent anywhere before is tried again.
struct Again {
    submit: Submit,
    since: Instant,
}

/// The actor.
pub struct Router {
    space: Arc<Space>,
    shared: Arc<SharedState>,
    roles: Roles,
    clock: LeaseClock,
    meter: Arc<Meter>,
}

impl Router {
    pub(crate) fn new(
        space: Arc<Space>,
        shared: Arc<SharedState>,
        roles: Roles,
        clock: LeaseClock,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            space,
            shared,
            roles,
            clock,
            meter,
        }
    }

    fn route(&self, submit: Submit, since: Instant, context: &Context<Self>) {
        match &*self.roles.look() {
            Role::Leading(office) if submit.office.is_none_or(|own| own == office.epoch) => {
                self.decide(submit, &office.allocator);
            }
            _ if submit.office.is_some() => {
                Ticket::new(submit.permit, submit.answer).answer(Err(RequestError::NotLeader));
            }
            Role::Following { peer, .. } => {
                let (forward, peer) = (self.forward(since, context), Arc::clone(peer));
                actix_rt::spawn(async move { forward.run(peer.as_ref(), submit).await });
            }
            _ => {
                let forward = self.forward(since, context);
                actix_rt::spawn(async move { forward.wait(submit).await });
            }
        }
    }

    fn forward(&self, since: Instant, context: &Context<Self>) -> Forward {
        Forward {
            since,
            shared: Arc::clone(&self.shared),
            roles: self.roles.clone(),
            router: Mailbox::new(context.address(), Arc::clone(&self.meter)),
        }
    }

    fn decide(&self, submit: Submit, allocator: &Mailbox<RevisionAllocator>) {
        let cost = space_cost(&submit.command);
        if cost > 0 && !self.space.take(cost) {
            let raise = Command::Alarm(AlarmAction::Activate(self.space.alarm()));
            allocator.tell(Allocate {
                command: raise,
                ticket: Ticket::unanswered(),
            });
        }
        let ticket = Ticket::new(submit.permit, submit.answer);
        let command = self.by_this_clock(submit.command);
        allocator.tell(Allocate { command, ticket });
    }

    /// A lease begins by the leader's clock, now: the request may come from a member that has not heard of
    /// that clock yet, and may have waited for a leader.
    fn by_this_clock(&self, command: Command) -> Command {
        match command {
            Command::LeaseGrant(grant) => Command::LeaseGrant(LeaseGrant {
                now_ms: self.clock.now_ms(),
                ..grant
            }),
            other => other,
        }
    }
}

/// How long an answer of the leader waits for this member to have applied what it tells of.
const APPLIED_WITHIN: Duration = Duration::from_secs(1);
/// How long a request waits before it is sent to the same leader again, which did not take it.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A request on its way to the leader.
struct Forward {
    since: Instant,
    shared: Arc<SharedState>,
    roles: Roles,
    router: Mailbox<Router>,
}

impl Forward {
    /// Asks the leader. Only what it certainly did not do is asked again.
    async fn run(self, peer: &dyn Peer, submit: Submit) {
        let asked = peer.ask(Ask::Submit(submit.command.clone()));
        let told = tokio::time::timeout(self.left(), asked).await;
        let outcome = match told.unwrap_or(Err(RequestError::TimedOut)) {
            Ok(Told::Committed(committed)) => {
                let applied = self.applied(&submit.command, &committed);
                let _late = tokio::time::timeout(APPLIED_WITHIN, applied).await;
                Ok(committed)
            }
            Ok(_) => Err(RequestError::TimedOutConnectionLost),
            Err(RequestError::NoLeader | RequestError::NotLeader) => return self.again(submit).await,
            Err(error) => Err(error),
        };
        Ticket::new(submit.permit, submit.answer).answer(outcome);
    }

    /// Waits until this member shows what was done, and what was there before. What takes no revision is looked
    /// for itself: a member that catches up has it before the history that led to it.
    async fn applied(&self, command: &Command, committed: &Committed) {
        self.shared.reached(committed.revision).await;
        match command {
            Command::Alarm(AlarmAction::Activate(raised)) => {
                self.shared.shows(|state| state.alarms().contains(raised)).await;
            }
            Command::Alarm(AlarmAction::Deactivate(cleared)) => {
                self.shared.shows(|state| !state.alarms().contains(cleared)).await;
            }
            Command::Compact(revision) => {
                self.shared
                    .shows(|state| state.compact_revision() >= *revision)
                    .await;
            }
            _ => {}
        }
    }

    async fn wait(self, submit: Submit) {
        self.roles.led_within(self.left()).await;
        self.give_back(submit);
    }

    async fn again(self, submit: Submit) {
        self.roles.changed_within(AGAIN_AFTER.min(self.left())).await;
        self.give_back(submit);
    }

    fn left(&self) -> Duration {
        self.roles.patience().saturating_sub(self.since.elapsed())
    }

    fn give_back(self, submit: Submit) {
        if self.left().is_zero() {
            let error = never_sent(&submit.command);
            return Ticket::new(submit.permit, submit.answer).answer(Err(error));
        }
        let since = self.since;
        self.router.tell(Again { submit, since });
    }
}

/// What a request is told for which there was no leader in time. etcd does not propose a transaction that only reads: it
/// asks for a revision to read at, and has a text for when there is none.
fn never_sent(command: &Command) -> RequestError {
    match command {
        Command::Txn(txn) if txn.is_read_only() => RequestError::TimedOut,
        _ => RequestError::NotProposed,
    }
}

impl Actor for Router {
    type Context = Context<Self>;
}

impl Handler<Envelope<Submit>> for Router {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Submit>, context: &mut Context<Self>) {
        envelope.open(|submit| self.route(submit, Instant::now(), context));
    }
}

impl Handler<Envelope<Again>> for Router {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Again>, context: &mut Context<Self>) {
        envelope.open(|again| self.route(again.submit, again.since, context));
    }
}

#[cfg(test)]
mod tests {
    use journal::MemoryJournal;
    use model::{Effect, Reply, Revision, State};
    use tokio::sync::{oneshot, watch};
    use tokio::task::{LocalSet, yield_now};

    use super::*;
    use crate::cluster::Patience;
    use crate::cluster::testing::{Puppet, Strings};
    use crate::gate::Gate;
    use crate::testing;

    fn shared() -> Arc<SharedState> {
        SharedState::new(State::default(), MemoryJournal::new().reader())
    }

    /// The router of a member that follows a leader whose strings these are.
    fn follower(shared: &Arc<SharedState>) -> (Mailbox<Router>, Strings) {
        let (peer, strings) = Puppet::new();
        let role = Role::Following { leader: 2, peer };
        let patience = Patience {
            request: Duration::from_secs(5),
            leader: Duration::from_secs(5),
        };
        let meter = Meter::new("router");
        let router = Router::new(
            Arc::new(Space::new(None, 0, 1)),
            Arc::clone(shared),
            Roles::new(watch::channel(role).1, patience),
            LeaseClock::fresh(),
            Arc::clone(&meter),
        );
        (Mailbox::new(router.start(), meter), strings)
    }

    /// A member that catches up hears of the compaction first, and of the history before it later.
    #[tokio::test]
    async fn a_compaction_is_answered_when_this_member_shows_what_was_there_before() {
        let test = async {
            let shared = shared();
            let (router, mut leader) = follower(&shared);
            let (answer, mut answered) = oneshot::channel();
            router.tell(Submit {
                command: Command::Compact(Revision(2)),
                permit: Gate::new(1, 1).admit_own(),
                answer,
                office: None,
            });
            let (_, done) = leader.asked.recv().await.expect("the leader is asked");
            let committed = Committed {
                revision: Revision(3),
                reply: Reply::Done,
            };
            let _gone = done.send(Ok(Told::Committed(committed.clone())));
            let put = |number| Effect::Key(testing::put(number, "value"));
            for effect in [Effect::Compacted(Revision(2)), put(1)] {
                shared.write(|state| drop(state.apply(&effect)));
                for _ in 0..100 {
                    yield_now().await;
                }
                assert!(answered.try_recv().is_err(), "after {effect:?}");
            }
            shared.write(|state| drop(state.apply(&put(2))));
            assert_eq!(answered.await, Ok(Ok(committed)));
        };
        LocalSet::new().run_until(test).await;
    }
}
