//! WriteBatcher: makes decisions durable, many at a time. Fed by the revision allocator, feeds the keyspace.
//!
//! It owns the writer thread. While one batch is being committed the next one fills, so a commit is
//! shared by everything that arrived during the one before. A decision without effects waits behind
//! the batch it looked at. If a batch fails, everything decided behind it is void: it is refused here,
//! and the keyspace begins a new epoch for the allocator.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use journal::AppendError;
use model::{Decision, Effect, Refusal, Reply, Revision};

use crate::batch_meter::BatchMeter;
use crate::errors::RequestError;
use crate::keyspace::{Apply, Keyspace, Void};
use crate::mailbox::{Envelope, Mailbox};
use crate::meter::Meter;
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
    pub done: tokio::sync::oneshot::Sender<()>,
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
    draining: Vec<tokio::sync::oneshot::Sender<()>>,
    keyspace: Mailbox<Keyspace>,
    itself: Option<Mailbox<Self>>,
}

impl WriteBatcher {
    pub(crate) fn new(
        writer: Writer,
        meter: Arc<Meter>,
        batches: Arc<BatchMeter>,
        keyspace: Mailbox<Keyspace>,
    ) -> Self {
        Self {
            writer,
            filling: VecDeque::new(),
            committing: false,
            flush_queued: false,
            epoch: 0,
            meter,
            batches,
            draining: Vec::new(),
            keyspace,
            itself: None,
        }
    }

    fn decided(&mut self, decided: Decided) {
        if decided.epoch != self.epoch {
            let void = "decided on a batch that was not stored".to_owned();
            return decided.ticket.answer(Err(RequestError::NotStored(void)));
        }
        if self.filling.back().is_none_or(Batch::is_full) {
            self.filling.push_back(Batch::default());
        }
        if let Some(batch) = self.filling.back_mut() {
            batch.add(decided.outcome, decided.ticket);
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
                self.keyspace.tell(Apply { batch });
            } else {
                self.committing = true;
                self.writer.submit(batch);
            }
        }
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
        match result {
            Ok(()) => {
                self.batches.record(batch.effects.len(), took);
                self.keyspace.tell(Apply { batch });
                self.flush();
            }
            Err(error) => self.failed(batch, &error),
        }
    }

    fn failed(&mut self, batch: Batch, error: &AppendError) {
        let told = match error {
            AppendError::Full => RequestError::Refused(Refusal::NoSpace),
            AppendError::Failed(reason) => RequestError::NotStored(reason.clone()),
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

    fn drained(&mut self) {
        for done in mem::take(&mut self.draining) {
            let _gone = done.send(());
        }
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
        envelope.open(|Flush| self.flush());
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
            self.flush();
        });
    }
}
