//! Reads: a range is answered from the shared state, never through the write actors.

mod chunks;

use model::{Found, PairRef, RangeQuery, RangeReply, Refusal, Scan, ScanStep, State};

pub use self::chunks::{RangeChunk, RangeChunks, RangePart};
use crate::errors::RequestError;
use crate::gate::Gate;
use crate::shared_state::SharedState;

/// Keys looked at before the state's lock is given back: about 30 microseconds.
const STEP: usize = 512;
/// After this many steps other tasks get a turn.
const STEPS_PER_TURN: usize = 8;
/// How often a read is begun again because compaction overtook it.
const ATTEMPTS: usize = 4;

/// Answers a range at one revision, values in memory.
pub(crate) async fn read_range(shared: &SharedState, query: RangeQuery) -> Result<RangeReply, RequestError> {
    query.validate()?;
    shared.count_range();
    for _ in 0..ATTEMPTS {
        match attempt(shared, &query).await? {
            Some(reply) => return Ok(reply),
            None if query.revision.0 > 0 => return Err(Refusal::Compacted.into()),
            None => {}
        }
    }
    Err(RequestError::Unreadable(
        "rows of the newest revision are missing".into(),
    ))
}

/// None if rows disappeared while they were read: only compaction deletes rows.
async fn attempt(shared: &SharedState, query: &RangeQuery) -> Result<Option<RangeReply>, RequestError> {
    let begin = |state: &State| Scan::begin(query.clone(), state);
    let mut scan = match run(shared, begin, |_| true).await {
        Err(RequestError::Refused(Refusal::Compacted)) if query.revision.0 <= 0 => return Ok(None),
        other => other?,
    };
    if scan.sorts_by_value() && !shared.resolve(scan.pairs_mut().iter_mut().collect()).await? {
        return Ok(None);
    }
    let mut reply = scan.finish();
    let complete = shared.resolve(reply.kvs.iter_mut().collect()).await?;
    Ok(complete.then_some(reply))
}

/// Steps through a scan, to its end or for as long as it is of use.
async fn run<F: Found>(
    shared: &SharedState,
    begin: impl FnOnce(&State) -> Result<Scan<F>, Refusal>,
    is_of_use: impl Fn(&F) -> bool,
) -> Result<Scan<F>, RequestError> {
    let (mut scan, mut step) = shared.read(|state| {
        let mut scan = begin(state)?;
        let step = scan.step(state, STEP)?;
        Ok::<_, Refusal>((scan, step))
    })?;
    let mut steps = 1;
    while step == ScanStep::More && is_of_use(scan.found()) {
        if steps % STEPS_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
        steps += 1;
        step = shared.read(|state| scan.step(state, STEP))?;
    }
    Ok(scan)
}

/// Hands the pairs of a plain range to `found`, and returns that with what else there is to say. None if this is a range
/// for [`read_range`]: not plain, refused, or with a value that is not in memory; or if writes are under way.
///
/// Whoever is handed pairs copies them while the state is held. A thread that is held up meanwhile, by others on its
/// processor, would hold up the writer.
pub(crate) async fn read_range_into<F: Found>(
    shared: &SharedState,
    gate: &Gate,
    query: &RangeQuery,
    found: F,
) -> Option<(F, RangeReply)> {
    if gate.is_busy() || !query.is_plain() || query.validate().is_err() {
        return None;
    }
    let in_memory = InMemory {
        found,
        shared,
        is_complete: true,
    };
    let begin = |state: &State| Scan::begin_into(query.clone(), state, in_memory);
    let scan = run(shared, begin, |in_memory| in_memory.is_complete).await.ok()?;
    let (in_memory, rest) = scan.finish_into();
    if !in_memory.is_complete {
        return None;
    }
    shared.count_range();
    Some((in_memory.found, rest))
}

/// Hands pairs on as long as their values are in memory, newest or just superseded.
struct InMemory<'shared, F> {
    found: F,
    shared: &'shared SharedState,
    is_complete: bool,
}

impl<F: Found> Found for InMemory<'_, F> {
    fn add(&mut self, pair: PairRef<'_>) {
        if pair.value.is_some() {
            return self.found.add(pair);
        }
        match self.shared.superseded_value(pair.version.position) {
            Some(value) => self.found.add(PairRef {
                value: Some(&value),
                ..pair
            }),
            None => self.is_complete = false,
        }
    }

    fn copied(&self) -> usize {
        self.found.copied()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use journal::MemoryJournal;
    use model::{Effect, Event, KeyRange, KeyValue, Revision, SortOrder};

    use super::*;
    use crate::testing::put;

    /// Copies what it is handed, and so ends steps.
    #[derive(Default)]
    struct Copied {
        pairs: Vec<KeyValue>,
        bytes: usize,
    }

    impl Found for Copied {
        fn add(&mut self, pair: PairRef<'_>) {
            self.bytes += pair.value.expect("in memory").len();
            self.pairs.add(pair);
        }

        fn copied(&self) -> usize {
            self.bytes
        }
    }

    /// A thousand keys, of which the first 200 were replaced, of more octets than are copied in one step.
    fn state() -> State {
        let mut state = State::default();
        for (number, size) in (1..=1_200).zip([0, 1_000, 2_000].into_iter().cycle()) {
            state.apply(&Effect::Key(Event {
                key: format!("{:04}", number % 1_000).into(),
                value: vec![1; size].into(),
                ..put(number, "")
            }));
        }
        state
    }

    async fn handed_on(shared: &SharedState, query: &RangeQuery) -> Option<RangeReply> {
        handed_on_behind(&Gate::new(1, 1), shared, query).await
    }

    async fn handed_on_behind(gate: &Gate, shared: &SharedState, query: &RangeQuery) -> Option<RangeReply> {
        let (copied, rest) = read_range_into(shared, gate, query, Copied::default()).await?;
        let kvs = copied.pairs;
        Some(RangeReply { kvs, ..rest })
    }

    #[tokio::test]
    async fn what_is_handed_on_is_what_is_answered() {
        let shared = SharedState::new(state(), MemoryJournal::new().reader());
        let all = RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")));
        let page = RangeQuery {
            limit: 600,
            ..all.clone()
        };
        let keys = RangeQuery {
            keys_only: true,
            ..all.clone()
        };
        let count = RangeQuery {
            count_only: true,
            ..all.clone()
        };
        let one = RangeQuery::new(KeyRange::Single(Bytes::from_static(b"0007")));
        for query in [all, page, keys, count, one] {
            let answered = read_range(&shared, query.clone()).await.expect("in memory");
            assert_eq!(handed_on(&shared, &query).await, Some(answered), "{query:?}");
        }
    }

    /// Whoever is handed pairs cannot put them into another order, nor wait for the log.
    #[tokio::test]
    async fn what_needs_more_than_memory_is_left_to_be_asked_for() {
        let shared = SharedState::new(state(), MemoryJournal::new().reader());
        let all = RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")));
        let sorted = RangeQuery {
            sort_order: SortOrder::Descending,
            ..all.clone()
        };
        let filtered = RangeQuery {
            min_mod_revision: Revision(5),
            ..all.clone()
        };
        let replaced = RangeQuery {
            revision: Revision(1_100),
            ..all.clone()
        };
        let future = RangeQuery {
            revision: Revision(9_000),
            ..all
        };
        for query in [sorted, filtered, replaced, future] {
            assert_eq!(handed_on(&shared, &query).await, None, "{query:?}");
        }
    }

    #[tokio::test]
    async fn while_writes_are_under_way_nothing_is_handed_on() {
        let shared = SharedState::new(state(), MemoryJournal::new().reader());
        let all = RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")));
        let gate = Gate::new(1, 1);
        let permit = gate.admit(1).expect("room for one");
        assert_eq!(handed_on_behind(&gate, &shared, &all).await, None);
        drop(permit);
        assert!(handed_on_behind(&gate, &shared, &all).await.is_some());
    }
}
