//! The writer: the only one that writes the log. Owned by the write batcher, answers to it.
//!
//! A log of one's own is written on a thread of its own, because the disk is waited for there. Writing a log that members
//! share is spent waiting for the others: that is done where the batcher is.

mod alone;

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use journal::{AppendError, Journal, SharedJournal};
use parking_lot::Mutex;
use tokio::sync::Mutex as AwaitedMutex;

use crate::mailbox::Mailbox;
use crate::write_batcher::{Batch, WriteBatcher};

pub(crate) use alone::Alone;

/// One batch is committed at a time, and the batcher keeps the next ones: nothing ever waits in the channel.
const BATCHES_IN_FLIGHT: usize = 1;
/// How long the writer waits for a batch before it looks whether the log needs upkeep.
const IDLE: Duration = Duration::from_millis(100);
/// Under load the log gets its upkeep after this many batches.
const BATCHES_PER_UPKEEP: u32 = 16;

/// What became of a batch.
pub struct Written {
    pub(crate) batch: Batch,
    pub(crate) result: Result<(), AppendError>,
    /// From the beginning of the transaction to the end of its commit.
    pub(crate) took: Duration,
}

/// The writing side of a log.
pub(crate) enum WritingSide {
    /// Only this process has the log. Appending blocks.
    Own(Box<dyn Journal>),
    /// Members have it in common.
    Shared(Box<dyn SharedJournal>),
}

/// Whether commits that block have a thread of their own.
pub(crate) enum WriterPlace {
    /// A thread: the actors go on while a batch is committed. Unless a write is known to be alone.
    Thread(Alone),
    /// The batcher's own: in a simulation nothing may happen at a time of its own.
    Inline,
}

/// The owner of the log's writing side.
pub(crate) enum Writer {
    /// Not yet started.
    Waiting(WritingSide, WriterPlace),
    /// A thread works off the channel.
    Thread(WriterThread),
    /// The actors go on while a batch is on its way to the other members.
    Shared(SharedWriter),
    /// Each batch is committed where it is submitted.
    Inline(Box<dyn Journal>, Mailbox<WriteBatcher>),
    /// Between two states, after a thread was refused, and at the end.
    Gone,
}

impl Writer {
    /// A writer for this log; it begins with [`start`](Self::start).
    pub(crate) fn new(log: WritingSide, place: WriterPlace) -> Self {
        Self::Waiting(log, place)
    }

    /// Starts the writer, which reports to `batcher`.
    pub(crate) fn start(&mut self, batcher: Mailbox<WriteBatcher>) {
        *self = match std::mem::replace(self, Self::Gone) {
            Self::Waiting(WritingSide::Shared(journal), _) => {
                Self::Shared(SharedWriter::new(journal, batcher))
            }
            Self::Waiting(WritingSide::Own(journal), WriterPlace::Inline) => Self::Inline(journal, batcher),
            Self::Waiting(WritingSide::Own(journal), WriterPlace::Thread(alone)) => {
                start_thread(journal, batcher, alone)
            }
            started => started,
        };
    }

    /// Hands over a batch. The batcher gives one at a time, so there is always room.
    pub(crate) fn submit(&mut self, batch: Batch) {
        match self {
            Self::Thread(thread) => thread.submit(batch),
            Self::Shared(shared) => shared.submit(batch),
            Self::Inline(journal, batcher) => batcher.tell(write(journal.as_mut(), batch)),
            _ => panic!("the log writer was not started"),
        }
    }

    /// Learns how long a batch took.
    pub(crate) fn took(&mut self, took: Duration) {
        if let Self::Thread(thread) = self {
            thread.alone.took(took);
        }
    }

    /// Closes the log. It must not have a batch.
    pub(crate) fn close(&mut self) {
        *self = Self::Gone;
    }
}

fn start_thread(journal: Box<dyn Journal>, batcher: Mailbox<WriteBatcher>, alone: Alone) -> Writer {
    let (sender, receiver) = bounded(BATCHES_IN_FLIGHT);
    let journal = Arc::new(Mutex::new(journal));
    let work = {
        let (journal, batcher) = (Arc::clone(&journal), batcher.clone());
        move || write_batches(&journal, &receiver, &batcher)
    };
    match std::thread::Builder::new().name("log-writer".into()).spawn(work) {
        Ok(thread) => Writer::Thread(WriterThread {
            batches: Some(sender),
            thread: Some(thread),
            journal,
            batcher,
            alone,
        }),
        Err(error) => {
            tracing::error!(%error, "no thread for the log writer");
            Writer::Gone
        }
    }
}

/// A log that members share, and who hears of it.
pub(crate) struct SharedWriter {
    journal: Rc<AwaitedMutex<Box<dyn SharedJournal>>>,
    batcher: Mailbox<WriteBatcher>,
}

impl SharedWriter {
    fn new(journal: Box<dyn SharedJournal>, batcher: Mailbox<WriteBatcher>) -> Self {
        let journal = Rc::new(AwaitedMutex::new(journal));
        Self { journal, batcher }
    }

    fn submit(&self, batch: Batch) {
        let (journal, batcher) = (Rc::clone(&self.journal), self.batcher.clone());
        actix_rt::spawn(async move {
            let begun = Instant::now();
            let result = journal.lock().await.append_shared(&batch.effects).await;
            drop(journal);
            let took = begun.elapsed();
            batcher.tell(Written { batch, result, took });
        });
    }
}

/// The thread and the way to it.
pub(crate) struct WriterThread {
    batches: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
    /// Locked while a batch is written, and for upkeep.
    journal: Arc<Mutex<Box<dyn Journal>>>,
    batcher: Mailbox<WriteBatcher>,
    alone: Alone,
}

impl WriterThread {
    fn submit(&mut self, batch: Batch) {
        if self.alone.expects(&batch)
            && let Some(mut journal) = self.journal.try_lock()
        {
            return self.batcher.tell(write(journal.as_mut(), batch));
        }
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

impl Drop for WriterThread {
    /// The log is closed when this returns.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn write_batches(
    journal: &Mutex<Box<dyn Journal>>,
    batches: &Receiver<Batch>,
    batcher: &Mailbox<WriteBatcher>,
) {
    let mut since_upkeep = 0;
    loop {
        match batches.recv_timeout(IDLE) {
            Ok(batch) => {
                let written = write(journal.lock().as_mut(), batch);
                batcher.tell(written);
                since_upkeep += 1;
                if since_upkeep >= BATCHES_PER_UPKEEP {
                    since_upkeep = 0;
                    upkeep(journal.lock().as_mut());
                }
            }
            Err(RecvTimeoutError::Timeout) => while batches.is_empty() && upkeep(journal.lock().as_mut()) {},
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn write(journal: &mut dyn Journal, batch: Batch) -> Written {
    let begun = Instant::now();
    let result = journal.append(&batch.effects);
    Written {
        batch,
        result,
        took: begun.elapsed(),
    }
}

/// Upkeep can wait: what goes wrong with it is said, and tried again later.
fn upkeep(journal: &mut dyn Journal) -> bool {
    journal.upkeep().unwrap_or_else(|error| {
        tracing::warn!(%error, "upkeep of the log failed");
        false
    })
}
