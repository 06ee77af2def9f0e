//! The applied state, readable by everybody, written by the keyspace actor alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use bytes::Bytes;
use journal::Reader;
use model::{KeyValue, Position, Revision, State, Value, ValueSource};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::committed::Change;
use crate::errors::RequestError;
use crate::superseded::Superseded;

/// The newest durable state, and the log behind it.
///
/// Readers hold the lock for a bounded number of keys at a time and read at one revision, so neither
/// they nor the writer wait long for each other.
pub struct SharedState {
    state: RwLock<State>,
    revision: AtomicI64,
    compact_revision: AtomicI64,
    /// Grows whenever a batch failed: decisions made before are worthless.
    epoch: AtomicU64,
    /// Says the newest revision to those who wait for one.
    applied: watch::Sender<Revision>,
    /// Ranges read since the start.
    ranges: AtomicU64,
    superseded: Mutex<Superseded>,
    reader: Arc<dyn Reader>,
}

impl SharedState {
    /// Shares `state`, the projection of the log behind `reader`.
    #[must_use]
    pub fn new(state: State, reader: Arc<dyn Reader>) -> Arc<Self> {
        Arc::new(Self {
            revision: AtomicI64::new(state.revision().0),
            compact_revision: AtomicI64::new(state.compact_revision().0),
            applied: watch::channel(state.revision()).0,
            state: RwLock::new(state),
            epoch: AtomicU64::new(0),
            ranges: AtomicU64::new(0),
            superseded: Mutex::default(),
            reader,
        })
    }

    /// Looks at the state. The look must be short: the writer waits meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read())
    }

    /// Changes the state and publishes its revisions: for the keyspace actor and the compactor.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write();
        let result = change(&mut state);
        self.revision.store(state.revision().0, Release);
        self.compact_revision.store(state.compact_revision().0, Release);
        let (revision, position) = (state.revision(), state.position());
        drop(state);
        self.reader.reached(position);
        self.applied.send_replace(revision);
        result
    }

    /// Waits until the state shows something.
    pub(crate) async fn shows(&self, look: impl Fn(&State) -> bool) {
        let mut applied = self.applied.subscribe();
        while !self.read(&look) {
            if applied.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until this revision can be read.
    pub(crate) async fn reached(&self, revision: Revision) {
        if self.revision() >= revision {
            return;
        }
        let mut applied = self.applied.subscribe();
        let _gone = applied.wait_for(|applied| *applied >= revision).await;
    }

    /// The newest revision that can be read.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Acquire))
    }

    /// The oldest revision that can be read.
    #[must_use]
    pub fn compact_revision(&self) -> Revision {
        Revision(self.compact_revision.load(Acquire))
    }

    /// The epoch that a decision must be of to be stored.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// Begins a new epoch: everything durable is applied, everything decided beyond it is void.
    pub(crate) fn begin_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Release);
    }

    /// Keeps the values that these changes replaced, for who still reads at a revision before.
    pub(crate) fn keep_superseded(&self, changes: &[Change]) {
        let mut superseded = self.superseded.lock();
        for pair in changes.iter().filter_map(|change| change.previous.as_ref()) {
            if let Value::Resident(value) = &pair.value {
                superseded.keep(pair.version.position, value.clone());
            }
        }
    }

    /// The value in this row of the log, if it was replaced a moment ago.
    pub(crate) fn superseded_value(&self, position: Position) -> Option<Bytes> {
        self.superseded.lock().value(position)
    }

    /// Lets go of the values that were replaced: the state is another one.
    pub(crate) fn forget_superseded(&self) {
        self.superseded.lock().clear();
    }

    /// Counts a range that is read beside the write path.
    pub(crate) fn count_range(&self) {
        self.ranges.fetch_add(1, Relaxed);
    }

    /// The ranges counted so far.
    pub(crate) fn ranges(&self) -> u64 {
        self.ranges.load(Relaxed)
    }

    /// The log behind the state. Its calls may block.
    #[must_use]
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.reader
    }

    /// Brings the values of these pairs into memory, off the async threads if the log must be asked.
    /// Returns whether all of them were still there.
    pub async fn resolve(&self, pairs: Vec<&mut KeyValue>) -> Result<bool, RequestError> {
        let mut stored = self.fill_in_superseded(pairs);
        if stored.is_empty() {
            return Ok(true);
        }
        let positions: Vec<Position> = stored.iter().map(|(_, position)| *position).collect();
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || reader.values(&positions)).await;
        let values = read
            .map_err(|_| RequestError::Stopped)?
            .map_err(|error| RequestError::Unreadable(error.to_string()))?;
        let complete = values.iter().all(Option::is_some);
        for ((pair, _), value) in stored.iter_mut().zip(values) {
            pair.value = Value::Resident(value.unwrap_or_default());
        }
        Ok(complete)
    }

    /// Returns the pairs whose values are only in the log.
    fn fill_in_superseded<'p>(&self, pairs: Vec<&'p mut KeyValue>) -> Vec<(&'p mut KeyValue, Position)> {
        let mut stored: Vec<_> = pairs.into_iter().filter_map(stored_position).collect();
        if !stored.is_empty() {
            let superseded = self.superseded.lock();
            stored.retain_mut(|(pair, position)| match superseded.value(*position) {
                Some(value) => {
                    pair.value = Value::Resident(value);
                    false
                }
                None => true,
            });
        }
        stored
    }
}

fn stored_position(pair: &mut KeyValue) -> Option<(&mut KeyValue, Position)> {
    match pair.value {
        Value::Stored(position) => Some((pair, position)),
        Value::Resident(_) => None,
    }
}

impl ValueSource for SharedState {
    /// The one read that a decision waits for: of a value that left memory and is compared, or kept. A thread
    /// that drives actors may wait for a disk, but not for another member, so another thread does.
    fn value(&self, position: Position) -> Option<Bytes> {
        let read = || self.reader.values(&[position]).ok()?.pop().flatten();
        std::thread::scope(|scope| scope.spawn(read).join().ok().flatten())
    }
}

#[cfg(test)]
mod tests {
    use journal::MemoryJournal;
    use model::{Effect, KeyRange, RangeQuery};

    use super::*;
    use crate::range_read::read_range;
    use crate::testing::put;

    /// The log behind it is empty: what is not in memory is not found.
    #[tokio::test]
    async fn what_was_replaced_a_moment_ago_is_not_read_from_the_log() {
        let shared = SharedState::new(State::default(), MemoryJournal::new().reader());
        for event in [put(1, "first"), put(2, "second")] {
            let previous = shared.write(|state| state.apply(&Effect::Key(event.clone())));
            shared.keep_superseded(&[Change { event, previous }]);
        }
        let query = RangeQuery {
            revision: Revision(2),
            ..RangeQuery::new(KeyRange::Single(Bytes::from_static(b"key")))
        };
        let found = read_range(&shared, query.clone()).await.expect("in memory");
        assert_eq!(found.kvs[0].value, Value::Resident(Bytes::from_static(b"first")));
        shared.forget_superseded();
        assert!(read_range(&shared, query).await.is_err(), "the log has no row");
    }
}
