//! A range read in steps, so that nobody holds the state for long.

use std::cmp::Ordering;

use bytes::{BufMut, Bytes, BytesMut};

use crate::index::Entry;
use crate::{
    KeyRange, KeyValue, LeaseId, PairRef, RangeQuery, RangeReply, Refusal, Revision, SortOrder, SortTarget,
    State, Value,
};

/// Octets that are copied from the state in one step: about 30 microseconds, as long as looking at 512 keys takes.
const COPIED_AT_ONCE: usize = 128 << 10;
/// The value of a pair of which only the key was asked for.
static NO_VALUE: Bytes = Bytes::new();

/// Whether a scan has seen all of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// There is more to see.
    More,
    /// The range is finished.
    Done,
}

/// Where a scan puts the pairs that it finds.
pub trait Found {
    /// Takes the next pair, in the order of the keys.
    fn add(&mut self, pair: PairRef<'_>);

    /// Octets that were copied out of the state so far, which takes its time.
    fn copied(&self) -> usize;
}

/// Pairs that share their octets with the state.
impl Found for Vec<KeyValue> {
    fn add(&mut self, pair: PairRef<'_>) {
        self.push(pair.into());
    }

    fn copied(&self) -> usize {
        0
    }
}

/// One evaluation of a [`RangeQuery`], at one revision.
///
/// Each step looks at a bounded number of keys, and of octets if they are copied. Between steps the state may
/// change: what is read stays the state at the scan's revision, and a compaction past it ends the scan with
/// [`Refusal::Compacted`].
#[derive(Debug)]
pub struct Scan<F = Vec<KeyValue>> {
    query: RangeQuery,
    at: Revision,
    newest: Revision,
    /// Where the next step begins.
    next: Bytes,
    found: F,
    /// How many pairs were found.
    kept: usize,
    count: i64,
    /// Whether pairs beyond the limit were seen.
    more: bool,
}

impl<F: Found> Scan<F> {
    /// Begins at the query's revision, or the newest one. What is found is added to `found`.
    pub fn begin_into(query: RangeQuery, state: &State, found: F) -> Result<Self, Refusal> {
        let newest = state.revision();
        let at = readable(query.revision, newest, state.compact_revision())?;
        Ok(Self::new(query, at, newest, found))
    }

    pub(crate) fn new(query: RangeQuery, at: Revision, newest: Revision, found: F) -> Self {
        let next = query.range.start().clone();
        Self {
            query,
            at,
            newest,
            next,
            found,
            kept: 0,
            count: 0,
            more: false,
        }
    }

    /// Looks at up to about `visits` keys.
    pub fn step(&mut self, state: &State, visits: usize) -> Result<ScanStep, Refusal> {
        if self.at < state.compact_revision() {
            return Err(Refusal::Compacted);
        }
        let single = matches!(self.query.range, KeyRange::Single(_));
        Ok(if single {
            self.look_up(state)
        } else {
            self.walk(state, visits)
        })
    }

    /// A step without a bound and without regard to compaction, for a reader that holds the state anyway.
    pub(crate) fn walk_all(&mut self, state: &State) -> ScanStep {
        let single = matches!(self.query.range, KeyRange::Single(_));
        if single {
            self.look_up(state)
        } else {
            self.walk(state, usize::MAX)
        }
    }

    fn look_up(&mut self, state: &State) -> ScanStep {
        if let Some(entry) = state.index().get(self.query.range.start()) {
            self.look_at(entry);
        }
        ScanStep::Done
    }

    fn walk(&mut self, state: &State, visits: usize) -> ScanStep {
        let index = state.index();
        let mut cursor = index.seek(&self.next);
        let enough = self.found.copied() + COPIED_AT_ONCE;
        for _ in 0..visits.max(1) {
            if self.is_counting()
                && let Some((live, after)) = index.whole_chunks(cursor, &self.query.range, self.at)
            {
                self.count += i64::try_from(live).unwrap_or(i64::MAX);
                self.more |= live > 0;
                cursor = after;
                continue;
            }
            let Some((entry, after)) = index.entry(cursor) else {
                return ScanStep::Done;
            };
            if self.query.range.is_past(&entry.key) {
                return ScanStep::Done;
            }
            self.look_at(entry);
            cursor = after;
            if self.found.copied() >= enough {
                break;
            }
        }
        let Some((entry, _)) = index.entry(cursor) else {
            return ScanStep::Done;
        };
        self.next = entry.key.clone();
        ScanStep::More
    }

    fn look_at(&mut self, entry: &Entry) {
        if self.is_counting() {
            self.count_in(entry.version_at(self.at).is_some());
        } else if let Some(pair) = entry.pair_at(self.at) {
            self.count += 1;
            self.offer(pair);
        }
    }

    fn count_in(&mut self, exists: bool) {
        self.count += i64::from(exists);
        self.more |= exists;
    }

    /// Whether only the count is still wanted.
    fn is_counting(&self) -> bool {
        self.query.count_only || self.fetch_limit().is_some_and(|limit| self.kept >= limit)
    }

    /// etcd fetches one pair more than the limit, and everything if it must filter or sort by order.
    ///
    /// So with a target but no order only the first limit + 1 keys are sorted: a quirk clients can see.
    fn fetch_limit(&self) -> Option<usize> {
        let ordered = self.query.sort_order != SortOrder::None && self.query.has_sort();
        let all = ordered || self.query.has_revision_filter();
        let limit = usize::try_from(self.query.limit)
            .ok()
            .filter(|limit| *limit > 0)?;
        (!all).then_some(limit + usize::from(self.query.has_sort()))
    }

    fn offer(&mut self, pair: PairRef<'_>) {
        if !self.query.count_only && self.passes(pair) {
            self.kept += 1;
            self.found.add(trimmed(pair, &self.query));
        }
    }

    fn passes(&self, pair: PairRef<'_>) -> bool {
        let within = |value: Revision, min: Revision, max: Revision| {
            (min.0 == 0 || value >= min) && (max.0 == 0 || value <= max)
        };
        within(
            pair.version.mod_revision,
            self.query.min_mod_revision,
            self.query.max_mod_revision,
        ) && within(
            pair.version.create_revision,
            self.query.min_create_revision,
            self.query.max_create_revision,
        )
    }

    /// Whether a pair was found.
    pub(crate) fn found_any(&self) -> bool {
        self.kept > 0
    }

    /// Where the pairs go.
    pub fn found(&mut self) -> &mut F {
        &mut self.found
    }

    /// The revision that is read.
    #[must_use]
    pub fn at(&self) -> Revision {
        self.at
    }

    /// Where the pairs of a [plain](RangeQuery::is_plain) query went, and what else there is to say.
    #[must_use]
    pub fn finish_into(self) -> (F, RangeReply) {
        let rest = RangeReply {
            revision: self.newest,
            kvs: Vec::new(),
            more: self.more && !self.query.count_only,
            count: self.count,
        };
        (self.found, rest)
    }
}

impl Scan {
    /// Begins at the query's revision, or the newest one.
    pub fn begin(query: RangeQuery, state: &State) -> Result<Self, Refusal> {
        Self::begin_into(query, state, Vec::new())
    }

    /// Takes the pairs of the range, in order, from elsewhere than the index.
    pub(crate) fn see_all(&mut self, pairs: &[KeyValue]) {
        for pair in pairs {
            if self.is_counting() {
                self.count_in(true);
            } else {
                self.count += 1;
                self.offer(pair.into());
            }
        }
    }

    /// The pairs found so far.
    pub(crate) fn into_pairs(self) -> Vec<KeyValue> {
        self.found
    }

    /// The pairs found so far, so that values can be filled in.
    pub fn pairs_mut(&mut self) -> &mut [KeyValue] {
        &mut self.found
    }

    /// Whether ordering the result needs every value to be resident.
    #[must_use]
    pub fn sorts_by_value(&self) -> bool {
        self.query.sort_target == SortTarget::Value
    }

    /// Sorts and cuts what was found.
    #[must_use]
    pub fn finish(mut self) -> RangeReply {
        if self.query.has_sort() {
            sort(&mut self.found, &self.query);
        }
        let limit = usize::try_from(self.query.limit).unwrap_or_default();
        if limit > 0 && self.kept > limit {
            self.found.truncate(limit);
            self.more = true;
        }
        if self.query.keys_only && self.sorts_by_value() {
            self.found
                .iter_mut()
                .for_each(|pair| pair.value = Value::Resident(NO_VALUE.clone()));
        }
        let (kvs, rest) = self.finish_into();
        RangeReply { kvs, ..rest }
    }
}

/// The revision a query reads at, or why it may not.
pub(crate) fn readable(wanted: Revision, newest: Revision, compacted: Revision) -> Result<Revision, Refusal> {
    match wanted {
        Revision(..=0) => Ok(newest),
        _ if wanted > newest => Err(Refusal::FutureRevision),
        _ if wanted < compacted => Err(Refusal::Compacted),
        _ => Ok(wanted),
    }
}

/// etcd 3.7 answers a keys-only range from its index, which knows no lease, unless it sorts by value.
fn trimmed<'pair>(mut pair: PairRef<'pair>, query: &RangeQuery) -> PairRef<'pair> {
    if query.keys_only && query.sort_target != SortTarget::Value {
        pair.value = Some(&NO_VALUE);
        pair.version.lease = LeaseId::NONE;
    }
    pair
}

fn sort(kvs: &mut [KeyValue], query: &RangeQuery) {
    let by_target = |left: &KeyValue, right: &KeyValue| compare(left, right, query.sort_target);
    match query.sort_order {
        SortOrder::Descending => kvs.sort_by(|left, right| by_target(right, left)),
        SortOrder::None | SortOrder::Ascending => kvs.sort_by(by_target),
    }
}

fn compare(left: &KeyValue, right: &KeyValue, target: SortTarget) -> Ordering {
    match target {
        SortTarget::Key => left.key.cmp(&right.key),
        SortTarget::Version => left.version.version.cmp(&right.version.version),
        SortTarget::CreateRevision => left.version.create_revision.cmp(&right.version.create_revision),
        SortTarget::ModRevision => left.version.mod_revision.cmp(&right.version.mod_revision),
        SortTarget::Value => bytes_of(&left.value).cmp(bytes_of(&right.value)),
    }
}

fn bytes_of(value: &Value) -> &[u8] {
    match value {
        Value::Resident(bytes) => bytes,
        Value::Stored(_) => &[],
    }
}

/// The first key after `key`.
#[must_use]
pub fn key_after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, Event, Position, Version};

    /// Copies nothing but the count of it.
    impl Found for usize {
        fn add(&mut self, pair: PairRef<'_>) {
            *self += pair.value.map_or(0, Bytes::len);
        }

        fn copied(&self) -> usize {
            *self
        }
    }

    fn state(keys: i64, value: usize) -> State {
        let mut state = State::default();
        for number in 1..=keys {
            state.apply(&Effect::Key(Event {
                key: format!("{number:05}").into(),
                value: vec![0; value].into(),
                version: Version {
                    position: Position(number),
                    mod_revision: Revision(number + 1),
                    create_revision: Revision(number + 1),
                    version: 1,
                    lease: LeaseId::NONE,
                },
            }));
        }
        state
    }

    #[test]
    fn a_step_ends_when_much_was_copied_and_the_next_goes_on_there() {
        let (keys, value) = (100, COPIED_AT_ONCE / 4 + 1);
        let state = state(keys, value);
        let query = RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")));
        let mut scan = Scan::begin_into(query, &state, 0_usize).expect("readable");
        let mut steps = 1;
        while scan.step(&state, usize::MAX).expect("readable") == ScanStep::More {
            assert_eq!(*scan.found(), steps * 4 * value);
            steps += 1;
        }
        let (copied, rest) = scan.finish_into();
        assert_eq!((copied, rest.count, rest.more), (100 * value, keys, false));
        assert_eq!(steps, 25);
    }
}
