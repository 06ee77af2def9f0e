//! Compactor: carries out what a compaction promised, and keeps an eye on space. Fed by the keyspace
//! with compactions that are durable; what it wants deleted it submits to the store as any client does.
//!
//! A compaction is done in two steps. The command makes history below its revision unreadable at once.
//! A pass over the index then finds the rows that nobody can reach any more and scrubs them from the
//! log, some at a time, between the writes of others. A pass that was interrupted is made again at the
//! next start: the replayed log shows the same rows again.
//!
//! Of several members each makes the pass, for its own memory, and the leader alone scrubs. The others
//! remember the rows until they see them scrubbed, and scrub what is left when they lead themselves.

mod auto_compacting;
mod compactor_meter;
mod pass;
mod space_keeping;
#[cfg(test)]
mod tests;
mod unreachable;

use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler};
use model::{Effect, Position, Revision};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::auto_compaction::AutoCompaction;
use crate::committed::CommittedBatch;
use crate::errors::RequestError;
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::store::Store;
use auto_compacting::compact_automatically;
use pass::Pass;
use space_keeping::SpaceKeeper;
use unreachable::Unreachable;

pub(crate) use compactor_meter::CompactorMeter;
pub use compactor_meter::CompactorReport;

/// The pipeline stands: compaction may begin. Told once, before any client.
pub(crate) struct BeginCompaction {
    /// Where rows to delete are submitted.
    pub(crate) store: Store,
}

/// This member leads from now on: what others left unscrubbed is scrubbed here.
pub(crate) struct ScrubRest;

/// Asks to be told when the rows of every compaction so far are deleted from the log.
pub(crate) struct WaitCompacted {
    /// Told when they are, or that this member leads no more and cannot delete them.
    pub(crate) done: Done,
}

/// Where it is told that rows are deleted.
type Done = oneshot::Sender<Result<(), RequestError>>;

/// The pass for the compaction at this revision is over.
struct Passed {
    revision: Revision,
    /// Whether everything that it found is deleted from the log, and not left to the member that leads.
    scrubbed: bool,
}

/// The actor.
pub(crate) struct Compactor {
    shared: Arc<SharedState>,
    space: Arc<Space>,
    auto: AutoCompaction,
    compactions: Arc<CompactorMeter>,
    meter: Arc<Meter>,
    /// The newest compaction.
    wanted: Revision,
    /// The compaction for which the whole index was gone through.
    passed: Revision,
    /// The compaction whose rows are all deleted, as far as this member saw to it.
    scrubbed: Revision,
    /// Whether a pass is under way; there is one at a time, and it carries its own revision.
    passing: bool,
    /// Whether the pass under way is to be followed by another one for the same compaction.
    again: bool,
    /// Rows that passes found and that are in the log yet.
    unreachable: Arc<Mutex<Unreachable>>,
    /// Who waits, and for which compaction.
    waiting: Vec<(Revision, Done)>,
    /// None until the pipeline stands.
    client: Option<Client>,
}

/// Where commands go, and where the end of a pass is told.
#[derive(Clone)]
struct Client {
    store: Store,
    itself: Mailbox<Compactor>,
}

impl Compactor {
    /// A compactor for the shared state. Whether the last run finished its work is not known, so it is
    /// gone through again.
    pub(crate) fn new(
        shared: Arc<SharedState>,
        space: Arc<Space>,
        auto: AutoCompaction,
        compactions: Arc<CompactorMeter>,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            wanted: shared.compact_revision(),
            passed: Revision::NEVER_COMPACTED,
            scrubbed: Revision::NEVER_COMPACTED,
            passing: false,
            again: false,
            unreachable: Arc::default(),
            waiting: Vec::new(),
            client: None,
            shared,
            space,
            auto,
            compactions,
            meter,
        }
    }

    fn begin(&mut self, store: Store, context: &Context<Self>) {
        let keeper = SpaceKeeper {
            shared: Arc::clone(&self.shared),
            space: Arc::clone(&self.space),
            compactions: Arc::clone(&self.compactions),
            store: store.clone(),
        };
        actix_rt::spawn(keeper.keep());
        let (shared, compactions) = (Arc::clone(&self.shared), Arc::clone(&self.compactions));
        actix_rt::spawn(compact_automatically(
            self.auto.clone(),
            shared,
            store.clone(),
            compactions,
        ));
        let itself = Mailbox::new(context.address(), Arc::clone(&self.meter));
        self.client = Some(Client { store, itself });
        self.start_pass();
    }

    fn committed(&mut self, batch: &CommittedBatch) {
        for effect in &batch.others {
            match effect {
                Effect::Compacted(revision) => self.wanted = self.wanted.max(*revision),
                Effect::Scrubbed(rows) => self.scrubbed(rows),
                _ => {}
            }
        }
        self.start_pass();
    }

    fn scrubbed(&self, rows: &[Position]) {
        let mut unreachable = self.unreachable.lock();
        unreachable.scrubbed(rows);
        self.compactions.has_pending(unreachable.len());
    }

    /// One pass at a time: rows must go in the order in which passes find them.
    fn start_pass(&mut self) {
        let Some(client) = self.client.clone() else { return };
        if self.passing || self.wanted <= self.passed {
            return;
        }
        self.passing = true;
        let revision = self.wanted;
        let pass = Pass {
            revision,
            shared: Arc::clone(&self.shared),
            unreachable: Arc::clone(&self.unreachable),
            store: client.store,
            compactions: Arc::clone(&self.compactions),
        };
        actix_rt::spawn(async move {
            if let Ok(scrubbed) = pass.run().await {
                client.itself.tell(Passed { revision, scrubbed });
            }
        });
    }

    fn passed(&mut self, passed: &Passed) {
        self.passing = false;
        if std::mem::take(&mut self.again) {
            return self.start_pass();
        }
        self.passed = passed.revision;
        if self.wanted <= self.passed {
            self.unreachable.lock().pass_complete();
        }
        self.tell_waiting(passed);
        self.start_pass();
    }

    /// Whoever waits on a member that leads no more would wait in vain, or be told of what is not done.
    fn tell_waiting(&mut self, passed: &Passed) {
        if !passed.scrubbed {
            for (_, done) in self.waiting.drain(..) {
                let _gone = done.send(Err(RequestError::LeaderChanged));
            }
            return;
        }
        self.scrubbed = passed.revision;
        for (_, done) in self
            .waiting
            .extract_if(.., |(wanted, _)| *wanted <= passed.revision)
        {
            let _gone = done.send(Ok(()));
        }
    }

    fn scrub_rest(&mut self) {
        self.passed = Revision::NEVER_COMPACTED;
        self.again = self.passing;
        self.start_pass();
    }

    fn wait(&mut self, done: Done) {
        if self.wanted <= self.scrubbed {
            let _gone = done.send(Ok(()));
        } else {
            self.waiting.push((self.wanted, done));
        }
    }
}

impl Actor for Compactor {
    type Context = Context<Self>;
}

impl Handler<Envelope<BeginCompaction>> for Compactor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<BeginCompaction>, context: &mut Context<Self>) {
        envelope.open(|begin| self.begin(begin.store, context));
    }
}

impl Handler<Envelope<Arc<CommittedBatch>>> for Compactor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Arc<CommittedBatch>>, _: &mut Context<Self>) {
        envelope.open(|batch| self.committed(&batch));
    }
}

impl Handler<Envelope<WaitCompacted>> for Compactor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<WaitCompacted>, _: &mut Context<Self>) {
        envelope.open(|wait| self.wait(wait.done));
    }
}

impl Handler<Envelope<Passed>> for Compactor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Passed>, _: &mut Context<Self>) {
        envelope.open(|passed| self.passed(&passed));
    }
}

impl Handler<Envelope<ScrubRest>> for Compactor {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ScrubRest>, _: &mut Context<Self>) {
        envelope.open(|ScrubRest| self.scrub_rest());
    }
}
