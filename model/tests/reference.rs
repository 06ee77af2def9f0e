//! The model against a naive one: a sorted map for each revision, and nothing clever.
//!
//! Random commands go to both, with commits held back, batches lost, rows scrubbed and restarts in
//! between. Whatever can be read must be the same, at every revision that may be read.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use model::{
    Command, DeleteRange, Effect, KeyRange, LeaseGrant, LeaseId, Limits, Operation, Overlay, Position, Put,
    RangeQuery, Refusal, Revision, Scan, ScanStep, SortOrder, SortTarget, State, Txn, Value, ValueSource,
    decide,
};
use proptest::prelude::*;

/// A pair as the naive model knows it: value, create revision, mod revision, version, lease.
type Pair = (Bytes, i64, i64, i64, i64);

/// Pairs, whether there are more, and the count.
type Answer = Result<(Vec<(Bytes, Pair)>, bool, i64), Refusal>;

/// The whole store at every revision.
#[derive(Clone, Debug)]
struct Naive {
    history: BTreeMap<i64, Rc<BTreeMap<Bytes, Pair>>>,
    leases: BTreeMap<i64, ()>,
    compacted: i64,
}

impl Naive {
    fn new() -> Self {
        Self {
            history: BTreeMap::from([(1, Rc::default())]),
            leases: BTreeMap::new(),
            compacted: -1,
        }
    }

    fn revision(&self) -> i64 {
        *self.history.last_key_value().expect("history begins at 1").0
    }

    fn newest(&self) -> BTreeMap<Bytes, Pair> {
        self.history[&self.revision()].as_ref().clone()
    }

    /// Makes the changes one revision; none if nothing changed.
    fn change(&mut self, change: impl FnOnce(&mut BTreeMap<Bytes, Pair>, i64) -> bool) {
        let revision = self.revision() + 1;
        let mut pairs = self.newest();
        if change(&mut pairs, revision) {
            self.history.insert(revision, Rc::new(pairs));
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Put(key, value, lease) if self.has_lease(*lease) => {
                self.change(|pairs, revision| put(pairs, key, value, *lease, revision));
            }
            Step::Delete(range) => self.change(|pairs, _| delete(pairs, range)),
            Step::DeleteAndPut(range, key, value)
                if matches!(range, KeyRange::From(_)) || !range.contains(key) =>
            {
                self.change(|pairs, revision| {
                    delete(pairs, range);
                    put(pairs, key, value, 0, revision)
                });
            }
            Step::Compact(back) => {
                let at = self.revision() - back;
                if at > self.compacted {
                    self.compacted = at;
                }
            }
            Step::Grant(id) => drop(self.leases.insert(*id, ())),
            Step::Revoke(id) => {
                self.leases.remove(id);
                self.change(|pairs, _| {
                    let before = pairs.len();
                    pairs.retain(|_, pair| pair.4 != *id);
                    pairs.len() != before
                });
            }
            _ => {}
        }
    }

    fn has_lease(&self, id: i64) -> bool {
        id == 0 || self.leases.contains_key(&id)
    }

    fn range(&self, query: &RangeQuery) -> Answer {
        let wanted = query.revision.0;
        let at = if wanted <= 0 { self.revision() } else { wanted };
        if at > self.revision() {
            return Err(Refusal::FutureRevision);
        }
        if wanted > 0 && at < self.compacted {
            return Err(Refusal::Compacted);
        }
        let mut found: Vec<(Bytes, Pair)> = self.history[&at]
            .iter()
            .filter(|(key, _)| query.range.contains(key))
            .map(|(key, pair)| (key.clone(), pair.clone()))
            .collect();
        let count = i64::try_from(found.len()).expect("few");
        if query.count_only {
            return Ok((Vec::new(), false, count));
        }
        let min = query.min_mod_revision.0;
        found.retain(|(_, pair)| min == 0 || pair.2 >= min);
        if query.sort_order == SortOrder::Descending {
            found.sort_by_key(|pair| Reverse(key_of(pair, query)));
        } else if query.sort_order == SortOrder::Ascending {
            found.sort_by_key(|pair| key_of(pair, query));
        }
        let limit = usize::try_from(query.limit).unwrap_or(0);
        let more = limit > 0 && found.len() > limit;
        if more {
            found.truncate(limit);
        }
        Ok((found, more, count))
    }
}

/// Only the key and the mod revision, which are unique within a range here, so that order is defined.
fn key_of((key, pair): &(Bytes, Pair), query: &RangeQuery) -> (i64, Bytes) {
    match query.sort_target {
        SortTarget::ModRevision => (pair.2, Bytes::new()),
        _ => (0, key.clone()),
    }
}

fn put(pairs: &mut BTreeMap<Bytes, Pair>, key: &Bytes, value: &Bytes, lease: i64, revision: i64) -> bool {
    let (created, version) = pairs.get(key).map_or((revision, 0), |pair| (pair.1, pair.3));
    pairs.insert(
        key.clone(),
        (value.clone(), created, revision, version + 1, lease),
    );
    true
}

fn delete(pairs: &mut BTreeMap<Bytes, Pair>, range: &KeyRange) -> bool {
    let before = pairs.len();
    pairs.retain(|key, _| !range.contains(key));
    pairs.len() != before
}

#[derive(Clone, Debug)]
enum Step {
    Put(Bytes, Bytes, i64),
    Delete(KeyRange),
    DeleteAndPut(KeyRange, Bytes, Bytes),
    Compact(i64),
    Grant(i64),
    Revoke(i64),
    Hold,
    Commit,
    Lose,
    Scrub,
    Evict,
    Restart,
    Read(Box<RangeQuery>),
}

/// The real model, with a log kept as a list.
struct Real {
    state: State,
    overlay: Overlay,
    rows: BTreeMap<Position, Effect>,
    waiting: Vec<Effect>,
}

struct Rows<'a>(&'a BTreeMap<Position, Effect>);

impl ValueSource for Rows<'_> {
    fn value(&self, position: Position) -> Option<Bytes> {
        match self.0.get(&position) {
            Some(Effect::Key(event)) => Some(event.value.clone()),
            _ => None,
        }
    }
}

impl Real {
    fn new() -> Self {
        let state = State::default();
        Self {
            overlay: Overlay::new(&state),
            state,
            rows: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    fn run(&mut self, step: &Step) {
        let command = match step {
            Step::Put(key, value, lease) => Command::Put(real_put(key, value, *lease)),
            Step::Delete(range) => Command::DeleteRange(real_delete(range)),
            Step::DeleteAndPut(range, key, value) => Command::Txn(Txn {
                success: vec![
                    Operation::DeleteRange(real_delete(range)),
                    Operation::Put(real_put(key, value, 0)),
                ],
                ..Txn::default()
            }),
            Step::Compact(back) => Command::Compact(Revision(self.overlay.revision().0 - back)),
            Step::Grant(id) => Command::LeaseGrant(LeaseGrant {
                id: LeaseId(*id),
                chosen: LeaseId(99),
                ttl: 60,
                now_ms: 0,
            }),
            Step::Revoke(id) => Command::LeaseRevoke(LeaseId(*id)),
            _ => return,
        };
        let limits = Limits::default();
        if model::validate(&command, limits).is_err() {
            return;
        }
        if let Ok(decision) = decide(command, &self.state, &mut self.overlay, &Rows(&self.rows), limits) {
            self.waiting.extend(decision.effects);
        }
    }

    fn commit(&mut self) {
        for effect in std::mem::take(&mut self.waiting) {
            self.state.apply(&effect);
            if let Effect::Key(event) = &effect {
                self.rows.insert(event.version.position, effect);
            }
        }
        self.overlay.settle(self.state.applied());
    }

    fn lose(&mut self) {
        self.waiting.clear();
        self.overlay = Overlay::new(&self.state);
    }

    fn scrub(&mut self) {
        let compacted = self.state.compact_revision();
        let mut from = Bytes::new();
        loop {
            let step = self.state.index_mut().compact(&from, compacted, 3);
            step.positions
                .iter()
                .for_each(|position| drop(self.rows.remove(position)));
            let Some(next) = step.next else { break };
            from = next;
        }
    }

    fn restart(&mut self) {
        let mut state = State::default();
        state.apply(&Effect::Compacted(self.state.compact_revision()));
        self.state
            .leases()
            .into_values()
            .for_each(|lease| drop(state.apply(&Effect::LeaseGranted(lease))));
        self.rows.values().for_each(|effect| drop(state.apply(effect)));
        self.state = state;
        self.lose();
    }

    fn range(&self, query: &RangeQuery) -> Answer {
        let mut scan = Scan::begin(query.clone(), &self.state)?;
        while scan.step(&self.state, 2)? == ScanStep::More {}
        let reply = scan.finish();
        let pair = |pair: model::KeyValue| {
            let value = match pair.value {
                Value::Resident(value) => value,
                Value::Stored(position) => Rows(&self.rows).value(position).expect("a readable row"),
            };
            let version = pair.version;
            let numbers = (
                version.create_revision.0,
                version.mod_revision.0,
                version.version,
                version.lease.0,
            );
            (pair.key, (value, numbers.0, numbers.1, numbers.2, numbers.3))
        };
        Ok((reply.kvs.into_iter().map(pair).collect(), reply.more, reply.count))
    }
}

fn real_put(key: &Bytes, value: &Bytes, lease: i64) -> Put {
    Put {
        key: key.clone(),
        value: value.clone(),
        lease: LeaseId(lease),
        ..Put::default()
    }
}

fn real_delete(range: &KeyRange) -> DeleteRange {
    DeleteRange {
        range: range.clone(),
        prev_kv: false,
    }
}

fn key() -> impl Strategy<Value = Bytes> {
    (0u16..400).prop_map(|number| Bytes::from(format!("k{number:03}")))
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        3 => key().prop_map(KeyRange::Single),
        3 => (key(), key()).prop_map(|(start, end)| KeyRange::Between(start, end)),
        1 => key().prop_map(KeyRange::From),
    ]
}

fn query() -> impl Strategy<Value = RangeQuery> {
    let order = prop_oneof![
        Just(SortOrder::None),
        Just(SortOrder::Ascending),
        Just(SortOrder::Descending)
    ];
    (
        range(),
        -1i64..300,
        0i64..40,
        order,
        any::<bool>(),
        0u8..8,
        0i64..80,
    )
        .prop_map(|(range, revision, limit, sort_order, by_mod, kind, min)| {
            let by_mod = by_mod && sort_order != SortOrder::None;
            RangeQuery {
                revision: Revision(revision),
                limit,
                sort_order,
                sort_target: if by_mod {
                    SortTarget::ModRevision
                } else {
                    SortTarget::Key
                },
                count_only: kind == 0,
                min_mod_revision: Revision(if kind == 1 { min } else { 0 }),
                ..RangeQuery::new(range)
            }
        })
}

fn step() -> impl Strategy<Value = Step> {
    let value = any::<u8>().prop_map(|byte| Bytes::from(vec![byte; 3]));
    prop_oneof![
        60 => (key(), value.clone(), prop_oneof![4 => Just(0i64), 1 => 1i64..4])
            .prop_map(|(key, value, lease)| Step::Put(key, value, lease)),
        6 => range().prop_map(Step::Delete),
        4 => (range(), key(), value).prop_map(|(range, key, value)| Step::DeleteAndPut(range, key, value)),
        2 => (0i64..30).prop_map(Step::Compact),
        3 => (1i64..4).prop_map(Step::Grant),
        2 => (1i64..4).prop_map(Step::Revoke),
        3 => Just(Step::Hold),
        4 => Just(Step::Commit),
        1 => Just(Step::Lose),
        2 => Just(Step::Scrub),
        1 => Just(Step::Evict),
        1 => Just(Step::Restart),
        20 => query().prop_map(|query| Step::Read(Box::new(query))),
    ]
}

/// What both models are told, and how far the naive one may be read.
struct Both {
    real: Real,
    durable: Naive,
    decided: Naive,
    holding: bool,
}

impl Both {
    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Hold => self.holding = true,
            Step::Commit => self.commit(),
            Step::Lose => {
                self.real.lose();
                self.decided = self.durable.clone();
                self.holding = false;
            }
            Step::Scrub => self.real.scrub(),
            Step::Evict => self.real.state.index_mut().evict(10, 1 << 20),
            Step::Restart => {
                self.real.restart();
                self.decided = self.durable.clone();
            }
            Step::Read(query) => self.read(query)?,
            change => {
                self.real.run(change);
                self.decided.run(change);
                prop_assert_eq!(self.real.overlay.revision().0, self.decided.revision());
                if !self.holding {
                    self.commit();
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self) {
        self.real.commit();
        self.durable = self.decided.clone();
        self.holding = false;
    }

    fn read(&self, query: &RangeQuery) -> Result<(), TestCaseError> {
        prop_assert_eq!(
            self.real.range(query),
            self.durable.range(query),
            "query {:?}",
            query
        );
        let live = self.durable.newest().len();
        prop_assert_eq!(self.real.state.index().live_keys(), live);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_a_map_for_each_revision_would(steps in prop::collection::vec(step(), 1..700)) {
        let naive = Naive::new();
        let mut both = Both { real: Real::new(), durable: naive.clone(), decided: naive, holding: false };
        for step in &steps {
            both.run(step)?;
        }
    }
}
