//! A pipeline on a log in memory, and a log whose commits a test lets through one by one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::{Pipeline, Settings, Store};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use journal::{AppendError, Journal, MemoryJournal};
use model::{Command, Effect, KeyRange, KeyValue, Put, RangeQuery, RangeReply, Value};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pipeline that ends with the test.
pub struct Running {
    pub store: Store,
    pipeline: Option<Pipeline>,
    log: MemoryJournal,
}

impl Running {
    /// Ends the pipeline and starts another one on the same log.
    pub fn restart(mut self, settings: Settings) -> Self {
        if let Some(pipeline) = self.pipeline.take() {
            std::thread::spawn(move || pipeline.stop())
                .join()
                .expect("a clean end");
        }
        start_on(self.log.clone(), self.log.clone(), settings)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            std::thread::spawn(move || pipeline.stop());
        }
    }
}

pub fn start(settings: Settings) -> Running {
    let log = MemoryJournal::new();
    start_on(log.clone(), log, settings)
}

fn start_on(journal: impl Journal, log: MemoryJournal, settings: Settings) -> Running {
    let (pipeline, store) = Pipeline::start(journal, log.reader(), settings).expect("a pipeline");
    Running {
        store,
        pipeline: Some(pipeline),
        log,
    }
}

/// The test's end of a held log.
pub struct HeldJournal {
    arrived: Receiver<usize>,
    outcomes: Sender<Result<(), AppendError>>,
    appended: Arc<Mutex<Vec<usize>>>,
}

struct Holding {
    log: MemoryJournal,
    arrived: Sender<usize>,
    outcomes: Receiver<Result<(), AppendError>>,
    appended: Arc<Mutex<Vec<usize>>>,
}

impl Journal for Holding {
    /// Waits for the test to say what becomes of the batch; without a test every batch is stored.
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        let _gone = self.arrived.send(effects.len());
        if let Ok(outcome) = self.outcomes.recv() {
            outcome?;
        }
        self.appended.lock().expect("no panic").push(effects.len());
        self.log.append(effects)
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        Ok(false)
    }
}

impl HeldJournal {
    /// Waits until a batch has reached the log.
    pub async fn wait_for_append(&self) {
        let arrival = async {
            while self.arrived.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, arrival).await.expect("a batch");
    }

    /// Decides what becomes of the next batch.
    pub fn release(&self, outcome: Result<(), AppendError>) {
        self.outcomes.send(outcome).expect("a writer");
    }

    /// Lets a hundred batches through.
    pub fn release_all(&self) {
        (0..100).for_each(|_| self.release(Ok(())));
    }

    /// The sizes of the batches that were stored.
    pub fn appended(&self) -> Vec<usize> {
        self.appended.lock().expect("no panic").clone()
    }
}

pub fn start_held(settings: Settings) -> (Running, HeldJournal) {
    let log = MemoryJournal::new();
    let (arrivals, arrived) = unbounded();
    let (outcomes, released) = unbounded();
    let appended = Arc::new(Mutex::new(Vec::new()));
    let holding = Holding {
        log: log.clone(),
        arrived: arrivals,
        outcomes: released,
        appended: Arc::clone(&appended),
    };
    (
        start_on(holding, log, settings),
        HeldJournal {
            arrived,
            outcomes,
            appended,
        },
    )
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn put(key: &str, value: &str) -> Command {
    Command::Put(Put {
        key: bytes(key),
        value: bytes(value),
        ..Put::default()
    })
}

pub fn all() -> RangeQuery {
    RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")))
}

pub fn keys_of(reply: &RangeReply) -> Vec<String> {
    reply
        .kvs
        .iter()
        .map(|pair| String::from_utf8_lossy(&pair.key).into_owned())
        .collect()
}

pub fn value_of(pair: &KeyValue) -> String {
    match &pair.value {
        Value::Resident(value) => String::from_utf8_lossy(value).into_owned(),
        Value::Stored(_) => panic!("a store's answers hold their values"),
    }
}
