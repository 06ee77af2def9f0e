//! A range read in steps, so that nobody holds the state for long.

use std::cmp::Ordering;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    KeyRange, KeyValue, LeaseId, RangeQuery, RangeReply, Refusal, Revision, SortOrder, SortTarget, State,
    Value,
};

/// Whether a scan has seen all of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// There is more to see.
    More,
    /// The range is finished.
    Done,
}

/// One evaluation of a [`RangeQuery`], at one revision.
///
/// Each step looks at a bounded number of keys. Between steps the state may change: what is read stays
/// the state at the scan's revision, and a compaction past it ends the scan with [`Refusal::Compacted`].
#[derive(Debug)]
pub struct Scan {
    query: RangeQuery,
    at: Revision,
    newest: Revision,
    /// Where the next step begins.
    next: Bytes,
    kvs: Vec<KeyValue>,
    /// How many pairs were handed out by `take`.
    taken: usize,
    count: i64,
    /// Whether pairs beyond the limit were seen.
    more: bool,
}

impl Scan {
    /// Begins at the query's revision, or the newest one.
    pub fn begin(query: RangeQuery, state: &State) -> Result<Self, Refusal> {
        let newest = state.revision();
        let at = readable(query.revision, newest, state.compact_revision())?;
        Ok(Self::new(query, at, newest))
    }

    pub(crate) fn new(query: RangeQuery, at: Revision, newest: Revision) -> Self {
        let next = query.range.start().clone();
        Self {
            query,
            at,
            newest,
            next,
            kvs: Vec::new(),
            taken: 0,
            count: 0,
            more: false,
        }
    }

    /// Takes the pairs of the range, in order, from elsewhere than the index.
    pub(crate) fn see(&mut self, pairs: impl IntoIterator<Item = KeyValue>) {
        for pair in pairs {
            self.count += 1;
            if self.is_counting() {
                self.more = true;
            } else {
                self.offer(pair);
            }
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
        if let Some(pair) = state.pair_at(self.query.range.start(), self.at) {
            self.see([pair]);
        }
        ScanStep::Done
    }

    fn walk(&mut self, state: &State, visits: usize) -> ScanStep {
        let index = state.index();
        let mut cursor = index.seek(&self.next);
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
            if entry.version_at(self.at).is_some() {
                self.count += 1;
                if self.is_counting() {
                    self.more = true;
                } else if let Some(pair) = entry.pair_at(self.at) {
                    self.offer(pair);
                }
            }
            cursor = after;
        }
        let Some((entry, _)) = index.entry(cursor) else {
            return ScanStep::Done;
        };
        self.next = entry.key.clone();
        ScanStep::More
    }

    /// Whether only the count is still wanted.
    fn is_counting(&self) -> bool {
        self.query.count_only
            || self
                .fetch_limit()
                .is_some_and(|limit| self.taken + self.kvs.len() >= limit)
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

    fn offer(&mut self, pair: KeyValue) {
        if !self.query.count_only && self.passes(&pair) {
            self.kvs.push(trimmed(pair, &self.query));
        }
    }

    fn passes(&self, pair: &KeyValue) -> bool {
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

    /// Takes the pairs found so far, for a reply in several parts.
    pub fn take(&mut self) -> Vec<KeyValue> {
        self.taken += self.kvs.len();
        std::mem::take(&mut self.kvs)
    }

    /// How many pairs are waiting to be taken.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.kvs.len()
    }

    /// The revision that is read.
    #[must_use]
    pub fn at(&self) -> Revision {
        self.at
    }

    /// The pairs found so far, so that values can be filled in.
    pub fn pairs_mut(&mut self) -> &mut [KeyValue] {
        &mut self.kvs
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
            sort(&mut self.kvs, &self.query);
        }
        let found = self.taken + self.kvs.len();
        if let Some(limit) = usize::try_from(self.query.limit)
            .ok()
            .filter(|limit| *limit > 0 && found > *limit)
        {
            self.kvs.truncate(limit.saturating_sub(self.taken));
            self.more = true;
        }
        if self.query.keys_only && self.sorts_by_value() {
            self.kvs
                .iter_mut()
                .for_each(|pair| pair.value = Value::Resident(Bytes::new()));
        }
        let more = self.more && !self.query.count_only;
        RangeReply {
            revision: self.newest,
            kvs: self.kvs,
            more,
            count: self.count,
        }
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
fn trimmed(mut pair: KeyValue, query: &RangeQuery) -> KeyValue {
    if query.keys_only && query.sort_target != SortTarget::Value {
        pair.value = Value::Resident(Bytes::new());
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
