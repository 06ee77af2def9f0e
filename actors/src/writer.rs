//! The writer thread: the only one that writes the log. Owned by the write batcher, answers to it.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use journal::{AppendError, Journal};

use crate::mailbox::Mailbox;
use crate::write_batcher::{Batch, WriteBatcher};

/// One batch is committed at a time, and the batcher keeps the next ones: nothing ever waits in the channel.
const BATCHES_IN_FLIGHT: usize = 1;
/// How long the writer waits for a batch before it looks whether the log needs upkeep.
const IDLE: Duration = Duration::from_millis(100);
/// Under load the log gets its upkeep after this many batches.
const BATCHES_PER_UPKEEP: u32 = 64;

/// What became of a batch.
pub struct Written {
    pub(crate) batch: Batch,
    pub(crate) result: Result<(), AppendError>,
    /// From the beginning of the transaction to the end of its commit.
    pub(crate) took: Duration,
}

/// The handle of the writer thread.
pub(crate) struct Writer {
    waiting: Option<Box<dyn FnOnce(Receiver<Batch>, Mailbox<WriteBatcher>) + Send>>,
    batches: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// A writer for this log; its thread begins with [`start`](Self::start).
    pub(crate) fn new(journal: impl Journal) -> Self {
        let work = move |batches, batcher| write_batches(journal, &batches, &batcher);
        Self {
            waiting: Some(Box::new(work)),
            batches: None,
            thread: None,
        }
    }

    /// Starts the thread, which reports to `batcher`.
    pub(crate) fn start(&mut self, batcher: Mailbox<WriteBatcher>) {
        let Some(work) = self.waiting.take() else { return };
        let (sender, receiver) = bounded(BATCHES_IN_FLIGHT);
        let spawned = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || work(receiver, batcher));
        self.thread = spawned
            .inspect_err(|error| tracing::error!(%error, "no thread for the log writer"))
            .ok();
        self.batches = Some(sender);
    }

    /// Hands over a batch. The batcher gives one at a time, so there is always room.
    pub(crate) fn submit(&self, batch: Batch) {
        let accepted = self
            .batches
            .as_ref()
            .is_some_and(|batches| batches.try_send(batch).is_ok());
        assert!(
            accepted,
            "the log writer is gone or was given two batches at once"
        );
    }
}

impl Drop for Writer {
    /// The log is closed when this returns.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn write_batches(mut journal: impl Journal, batches: &Receiver<Batch>, batcher: &Mailbox<WriteBatcher>) {
    let mut since_upkeep = 0;
    loop {
        match batches.recv_timeout(IDLE) {
            Ok(batch) => {
                batcher.tell(write(&mut journal, batch));
                since_upkeep += 1;
                if since_upkeep >= BATCHES_PER_UPKEEP {
                    since_upkeep = 0;
                    upkeep(&mut journal);
                }
            }
            Err(RecvTimeoutError::Timeout) => while batches.is_empty() && upkeep(&mut journal) {},
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn write(journal: &mut impl Journal, batch: Batch) -> Written {
    let begun = Instant::now();
    let result = journal.append(&batch.effects);
    Written {
        batch,
        result,
        took: begun.elapsed(),
    }
}

/// Upkeep can wait: what goes wrong with it is said, and tried again later.
fn upkeep(journal: &mut impl Journal) -> bool {
    journal.upkeep().unwrap_or_else(|error| {
        tracing::warn!(%error, "upkeep of the log failed");
        false
    })
}
