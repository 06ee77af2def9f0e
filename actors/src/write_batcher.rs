//! WriteBatcher: makes decisions durable, many at a time. Fed by the revision allocator, feeds the keyspace.
//!
//! It owns the writer thread. While one batch is being committed the next one fills, so a commit is
//! shared by everything that arrived during the one before. A decision without effects waits behind
//! the batch it looked at. If a batch fails, everything decided behind it is void: it is refused here,
//! and the keyspace begins a new epoch for the allocator.
//!
//! Where members elect who writes, a batcher lasts for one leadership. When that is over it refuses what it
//! has not handed to the writer, waits for what it has, and tells that nothing more comes from it.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use journal::AppendError;
use model::{Decision, Effect, Refusal, Reply, Revision};
use tokio::sync::oneshot;

use crate::batch_meter::BatchMeter;
use crate::cluster::Epoch;
use crate::errors::RequestError;
use crate::keyspace::{Apply, Keyspace, Void};
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
use crate::read_index::{Confirm, ReadIndex};
use crate::ticket::{Committed, Ticket};
use crate::writer::{Writer, Written};

/// Decisions in one batch: more would lengthen the wait of the first without saving anything.
const BATCH_DECISIONS_MAX: usize = 1024;
/// Bytes in one batch, reached by large values long before the count is.
const BATCH_BYTES_MAX: usize = 2 << 20;

/// What became of a command in the allocator.
pub struct Decided {
    /// The decision, or why it was refused.
    pub outcome: Result<Decision, Refusal>,
    /// The epoch it was made in.
    pub epoch: u64,
    /// Who asked.
    pub ticket: Ticket,
}

/// Sent by the batcher to itself, so that everything already in its mailbox joins the batch.
struct Flush;

/// Asks to be told when everything decided so far is durable.
pub struct Drain {
    /// Told when it is.
    pub done: oneshot::Sender<()>,
}

/// The server ends: make durable what was decided so far, take nothing more, and close the log.
pub(crate) struct Close {
    /// Told when the log is closed.
    pub(crate) done: oneshot::Sender<()>,
}

/// Another member is to lead: refuse everything that the writer does not have yet.
pub(crate) struct Abdicate;

/// How long a batcher lasts, and so what it means that nobody can say whether a batch was stored.
pub(crate) enum Tenure {
    /// As long as the process: the log is read again when that starts over.
    Life,
    /// One leadership: whoever leads next reads the log.
    Elected(Elected),
    /// The leadership is over.
    Over,
}

/// One leadership of this member, as its batcher knows it.
pub(crate) struct Elected {
    /// The epoch of the leadership.
    pub(crate) epoch: Epoch,
    /// Where it is confirmed.
    pub(crate) read_index: Mailbox<ReadIndex>,
    /// Told when the leadership is over and nothing more comes from the batcher.
    pub(crate) over: oneshot::Sender<()>,
}

/// A way to ask whether a leadership still holds.
struct Confirmer {
    epoch: Epoch,
    read_index: Mailbox<ReadIndex>,
}

impl Elected {
    fn confirmer(&self) -> Confirmer {
        Confirmer {
            epoch: self.epoch,
            read_index: self.read_index.clone(),
        }
    }
}

impl Confirmer {
    async fn confirm(self) -> Result<(), RequestError> {
        let (answer, answered) = oneshot::channel();
        self.read_index.tell(Confirm { answer });
        let confirmed = answered.await.map_err(|_| RequestError::Stopped)??;
        if confirmed.office == Some(self.epoch) {
            Ok(())
        } else {
            Err(RequestError::LeaderChanged)
        }
    }
}

/// An answer that may be told once the effects before it are durable.
pub(crate) struct Settled {
    pub(crate) outcome: Result<(Revision, Reply), Refusal>,
    pub(crate) ticket: Ticket,
}

/// Effects that become durable together, and the answers that wait for them.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) effects: Vec<Effect>,
    pub(crate) settled: Vec<Settled>,
    bytes: usize,
    /// Whether any of it came while another batch was being committed.
    waited: bool,
}

impl Batch {
    fn add(&mut self, outcome: Result<Decision, Refusal>, ticket: Ticket) {
        let outcome = outcome.map(|decision| {
            self.bytes += decision.effects.iter().map(Effect::size).sum::<usize>();
            self.effects.extend(decision.effects);
            (decision.revision, decision.reply)
        });
        self.settled.push(Settled { outcome, ticket });
    }

    /// Whether it is one decision, for which the writer was free.
    pub(crate) fn is_lone(&self) -> bool {
        self.settled.len() == 1 && !self.waited
    }

    fn is_full(&self) -> bool {
        self.settled.len() >= BATCH_DECISIONS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// Refuses everything in the batch: its effects were not stored.
    fn fail(self, error: &RequestError) {
        for settled in self.settled {
            settled.ticket.answer(Err(error.clone()));
        }
    }
}

impl Settled {
    /// Tells the answer.
    pub(crate) fn tell(self) {
        let committed = self
            .outcome
            .map(|(revision, reply)| Committed { revision, reply });
        self.ticket.answer(committed.map_err(RequestError::Refused));
    }
}

/// The actor.
pub struct WriteBatcher {
    writer: Writer,
    filling: VecDeque<Batch>,
    /// Whether the writer has a batch.
    committing: bool,
    flush_queued: bool,
    epoch: u64,
    meter: Arc<Meter>,
    batches: Arc<BatchMeter>,
    draining: Vec<oneshot::Sender<()>>,
    keyspace: Mailbox<Keyspace>,
    tenure: Tenure,
    /// Set once nothing more is taken: what is told to who comes later. The log is closed after the batch that is
    /// being committed.
    closed_to: Option<RequestError>,
    itself: Option<Mailbox<Self>>,
}

/// What a batcher counts with.
#[derive(Clone)]
pub(crate) struct BatcherMeters {
    pub(crate) mailbox: Arc<Meter>,
    pub(crate) batches: Arc<BatchMeter>,
}

impl WriteBatcher {
    /// A batcher whose first decisions are of this epoch.
    pub(crate) fn new(
        writer: Writer,
        tenure: Tenure,
        epoch: u64,
        meters: BatcherMeters,
        keyspace: Mailbox<Keyspace>,
    ) -> Self {
        Self {
            writer,
            filling: VecDeque::new(),
            committing: false,
            flush_queued: false,
            epoch,
            meter: meters.mailbox,
            batches: meters.batches,
            draining: Vec::new(),
            keyspace,
            tenure,
            closed_to: None,
            itself: None,
        }
    }

    fn decided(&mut self, decided: Decided) {
        if let Some(error) = &self.closed_to {
            return decided.ticket.answer(Err(error.clone()));
        }
        if decided.epoch != self.epoch {
            let void = "decided on a batch that was not stored".to_owned();
            return decided.ticket.answer(Err(RequestError::NotStored(void)));
        }
        if self.filling.back().is_none_or(Batch::is_full) {
            self.filling.push_back(Batch::default());
        }
        if let Some(batch) = self.filling.back_mut() {
            batch.add(decided.outcome, decided.ticket);
            batch.waited |= self.committing;
        }
        self.queue_flush();
    }

    fn queue_flush(&mut self) {
        if !self.committing
            && !mem::replace(&mut self.flush_queued, true)
            && let Some(itself) = &self.itself
        {
            itself.tell(Flush);
        }
    }

    /// Gives the oldest batch to the writer, unless it is busy. A batch without effects needs no writer.
    fn flush(&mut self) {
        self.flush_queued = false;
        while !self.committing {
            let Some(batch) = self.filling.pop_front() else {
                break;
            };
            if batch.effects.is_empty() {
                self.show(batch);
            } else {
                self.committing = true;
                self.writer.submit(batch);
            }
        }
    }

    /// Passes on a batch that changes nothing. Storing nothing proves nothing: a leader that was elected must
    /// still lead, or what it decided on may be old.
    fn show(&self, batch: Batch) {
        match &self.tenure {
            Tenure::Elected(office) => {
                let (office, keyspace) = (office.confirmer(), self.keyspace.clone());
                actix_rt::spawn(async move {
                    match office.confirm().await {
                        Ok(()) => keyspace.tell(Apply { batch }),
                        Err(error) => batch.fail(&error),
                    }
                });
            }
            _ => self.keyspace.tell(Apply { batch }),
        }
    }

    fn flush_and_settle(&mut self) {
        self.flush();
        self.settle();
    }

    /// Tells those who wait for it that the writer has everything, and has made it durable.
    fn settle(&mut self) {
        if !self.committing {
            self.drained();
        }
    }

    /// This batch is shown before any behind it: one that stores nothing is shown at once, and it may hold answers
    /// that were decided on this one. Telling takes no time, so the next batch is still on its way before this
    /// one's answers are.
    fn written(&mut self, written: Written) {
        self.committing = false;
        let Written { batch, result, took } = written;
        self.writer.took(took);
        match result {
            Ok(()) => {
                self.batches.record(batch.effects.len(), took);
                self.keyspace.tell(Apply { batch });
                self.flush_and_settle();
            }
            Err(error) => self.failed(batch, &error),
        }
    }

    fn failed(&mut self, batch: Batch, error: &AppendError) {
        let told = match error {
            AppendError::Full => RequestError::Refused(Refusal::NoSpace),
            AppendError::Failed(reason) => RequestError::NotStored(reason.clone()),
            AppendError::NotLeader(_) => return self.lose_office(batch, error, &RequestError::LeaderChanged),
            AppendError::Lost(_) => {
                return self.lose_office(batch, error, &RequestError::TimedOutLeaderFailure);
            }
            AppendError::Unknown(reason) => die_of_unknown_outcome(reason),
        };
        tracing::error!(%error, effects = batch.effects.len(), "a batch was not stored");
        self.batches.record_failure();
        self.epoch += 1;
        batch.fail(&told);
        mem::take(&mut self.filling)
            .into_iter()
            .for_each(|waiting| waiting.fail(&told));
        self.keyspace.tell(Void { epoch: self.epoch });
        self.drained();
    }

    /// The leadership ended with this batch, of which nobody can say more than `told`.
    fn lose_office(&mut self, batch: Batch, error: &AppendError, told: &RequestError) {
        if matches!(self.tenure, Tenure::Life) {
            die_of_unknown_outcome("a log of one member has no leader to lose");
        }
        tracing::warn!(%error, effects = batch.effects.len(), "the leadership of this member is over");
        self.batches.record_failure();
        batch.fail(told);
        self.abdicate();
    }

    fn abdicate(&mut self) {
        self.closed_to = Some(RequestError::LeaderChanged);
        mem::take(&mut self.filling)
            .into_iter()
            .for_each(|waiting| waiting.fail(&RequestError::LeaderChanged));
        self.settle();
    }

    fn drained(&mut self) {
        if self.closed_to.is_some() {
            self.end_tenure();
        }
        for done in mem::take(&mut self.draining) {
            let _gone = done.send(());
        }
    }

    fn end_tenure(&mut self) {
        match mem::replace(&mut self.tenure, Tenure::Over) {
            Tenure::Elected(elected) => {
                self.close();
                let _gone = elected.over.send(());
            }
            Tenure::Life => self.close(),
            Tenure::Over => {}
        }
    }

    /// Gives up the log and its thread. The batcher itself goes with the last one who can send to it.
    fn close(&mut self) {
        self.writer.close();
        self.itself = None;
    }
}

/// Nobody can say whether the batch is in the log: only reading the log again can, so the process starts over.
fn die_of_unknown_outcome(reason: &str) -> RequestError {
    tracing::error!(
        reason,
        "the outcome of a commit is unknown: stopping, the log will be read again at start"
    );
    // The log line must reach the disk before the process ends; its writer is asynchronous.
    std::thread::sleep(Duration::from_millis(200));
    std::process::abort()
}

impl Actor for WriteBatcher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let itself = Mailbox::new(context.address(), Arc::clone(&self.meter));
        self.writer.start(itself.clone());
        self.itself = Some(itself);
    }
}

impl Handler<Envelope<Decided>> for WriteBatcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Decided>, _: &mut Context<Self>) {
        envelope.open(|decided| self.decided(decided));
    }
}

impl Handler<Envelope<Flush>> for WriteBatcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Flush>, _: &mut Context<Self>) {
        envelope.open(|Flush| self.flush_and_settle());
    }
}

impl Handler<Envelope<Written>> for WriteBatcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Written>, _: &mut Context<Self>) {
        envelope.open(|written| self.written(written));
    }
}

impl Handler<Envelope<Drain>> for WriteBatcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Drain>, _: &mut Context<Self>) {
        envelope.open(|drain| {
            self.draining.push(drain.done);
            self.flush_and_settle();
        });
    }
}

impl Handler<Envelope<Close>> for WriteBatcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Close>, _: &mut Context<Self>) {
        envelope.open(|close| {
            self.closed_to = Some(RequestError::Stopped);
            self.draining.push(close.done);
            self.flush_and_settle();
        });
    }
}

impl Handler<Envelope<Abdicate>> for WriteBatcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<Abdicate>, _: &mut Context<Self>) {
        envelope.open(|Abdicate| self.abdicate());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Batch {
        /// A batch of one decision.
        pub(crate) fn of_one() -> Self {
            let mut batch = Self::default();
            batch.add(Err(Refusal::Compacted), Ticket::unanswered());
            batch
        }

        /// The same, decided while another one was committed.
        pub(crate) fn that_waited(self) -> Self {
            Self { waited: true, ..self }
        }
    }
}
