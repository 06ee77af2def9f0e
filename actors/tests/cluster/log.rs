//! The members' log, with a record of everything that was ever stored in it, and with what can happen to it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use journal::{
    AppendError, Appending, Claim, History, Identity, Journal, MemoryCluster, MemoryJournal, ReadError,
    Reader, SharedJournal, SharedLog, Size,
};
use model::{Effect, Event, Position, Revision};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a test may hold appends up.
const HELD_AT_MOST: Duration = Duration::from_secs(20);

/// Everything that was stored, in order, also what was scrubbed since.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<Effect>>>);

impl Record {
    /// All of it.
    pub fn effects(&self) -> Vec<Effect> {
        self.0.lock().clone()
    }

    /// The events, in order.
    pub fn events(&self) -> Vec<Event> {
        let effects = self.0.lock();
        effects.iter().filter_map(event_of).cloned().collect()
    }
}

fn event_of(effect: &Effect) -> Option<&Event> {
    match effect {
        Effect::Key(event) => Some(event),
        _ => None,
    }
}

/// One member's hold on the log.
#[derive(Clone)]
pub struct MemberLog {
    member: u64,
    inner: Arc<dyn SharedLog>,
    reader: Arc<Replica>,
    record: Record,
    /// Members whose appends a test holds up.
    held: Arc<watch::Sender<HashSet<u64>>>,
    /// Writers that were not closed yet.
    writers: Arc<AtomicUsize>,
}

impl MemberLog {
    pub fn new(cluster: &MemoryCluster, member: u64, record: &Record) -> Self {
        Self {
            member,
            inner: cluster.member(member),
            reader: Arc::new(Replica {
                log: cluster.reader(),
                frozen: Mutex::new(None),
                reached: AtomicI64::new(0),
            }),
            record: record.clone(),
            held: Arc::default(),
            writers: Arc::default(),
        }
    }

    /// How many writers this member has open.
    pub fn writers(&self) -> usize {
        self.writers.load(Relaxed)
    }

    /// Holds this member's appends up until they are released.
    pub fn hold_appends(&self) {
        self.held.send_modify(|members| {
            members.insert(self.member);
        });
    }

    /// Lets this member's appends go on.
    pub fn release_appends(&self) {
        self.held.send_modify(|members| {
            members.remove(&self.member);
        });
    }

    /// From now on this member reads the log as it is at this moment.
    pub fn freeze_replica(&self) {
        self.reader.freeze();
    }

    /// This member reads the whole log again.
    pub fn thaw_replica(&self) {
        *self.reader.frozen.lock() = None;
    }
}

impl SharedLog for MemberLog {
    fn claim(&self) -> Result<Claim, AppendError> {
        self.inner.claim()
    }

    fn writer(&self, claim: &Claim) -> Result<Box<dyn SharedJournal>, AppendError> {
        let inner = self.inner.writer(claim)?;
        self.writers.fetch_add(1, Relaxed);
        Ok(Box::new(Writer {
            log: self.clone(),
            inner,
        }))
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::clone(&self.reader) as Arc<dyn Reader>
    }

    fn image(&self) -> Result<Bytes, ReadError> {
        self.inner.image()
    }

    fn replay_image(&self, image: Vec<Bytes>, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError> {
        self.inner.replay_image(image, sink)
    }
}

struct Writer {
    log: MemberLog,
    inner: Box<dyn SharedJournal>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.log.writers.fetch_sub(1, Relaxed);
    }
}

impl Journal for Writer {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        let mut record = self.log.record.0.lock();
        let outcome = self.inner.append(effects);
        if matches!(outcome, Ok(()) | Err(AppendError::Lost(_))) {
            record.extend_from_slice(effects);
        }
        outcome
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        self.inner.upkeep()
    }
}

impl SharedJournal for Writer {
    fn append_shared<'a>(&'a mut self, effects: &'a [Effect]) -> Appending<'a> {
        Box::pin(async {
            let mut held = self.log.held.subscribe();
            let released = held.wait_for(|members| !members.contains(&self.log.member));
            let released = timeout(HELD_AT_MOST, released).await;
            drop(released.expect("a test forgot the appends that it held up"));
            self.append(effects)
        })
    }
}

/// A member's replica: the log itself, or the log as it was.
struct Replica {
    log: Arc<dyn Reader>,
    frozen: Mutex<Option<Frozen>>,
    /// The newest row that the member has seen.
    reached: AtomicI64,
}

/// The log as it was, with its last row.
#[derive(Clone)]
struct Frozen {
    log: Arc<dyn Reader>,
    newest: Position,
}

impl Replica {
    fn freeze(&self) {
        let mut effects = Vec::new();
        let replayed = self.log.replay(&mut |effect| effects.push(effect));
        replayed.expect("a log in memory");
        let mut copy = MemoryJournal::new();
        copy.append(&effects).expect("a log in memory");
        let rows = effects.iter().filter_map(event_of);
        let newest = rows.map(|event| event.version.position).max();
        *self.frozen.lock() = Some(Frozen {
            log: copy.reader(),
            newest: newest.unwrap_or_default(),
        });
    }

    fn now(&self) -> Arc<dyn Reader> {
        let frozen = self.frozen.lock().clone();
        frozen.map_or_else(|| Arc::clone(&self.log), |frozen| frozen.log)
    }

    /// The log, unless it lacks what the member has seen.
    fn current(&self) -> Result<Arc<dyn Reader>, ReadError> {
        match self.frozen.lock().clone() {
            Some(frozen) if frozen.newest.0 < self.reached.load(Relaxed) => {
                Err(ReadError::Failed("the replica is behind".into()))
            }
            Some(frozen) => Ok(frozen.log),
            None => Ok(Arc::clone(&self.log)),
        }
    }
}

impl Reader for Replica {
    fn replay(&self, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError> {
        self.now().replay(sink)
    }

    fn values(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        self.current()?.values(positions)
    }

    fn events(&self, from: Revision, budget: usize) -> Result<History, ReadError> {
        self.current()?.events(from, budget)
    }

    fn reached(&self, position: Position) {
        self.reached.fetch_max(position.0, Relaxed);
    }

    fn size(&self) -> Result<Size, ReadError> {
        self.now().size()
    }

    fn snapshot(&self, to: &std::path::Path) -> Result<(), ReadError> {
        self.now().snapshot(to)
    }

    fn identity(&self) -> Identity {
        self.now().identity()
    }
}
