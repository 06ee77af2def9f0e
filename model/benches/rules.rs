//! What the rules cost: a command decided, an effect applied, a range read. `make microbench` runs it.

use bytes::Bytes;
use divan::{Bencher, black_box};
use model::{
    Command, Compare, CompareResult, CompareTarget, Decision, KeyRange, LeaseId, Limits, Operation, Overlay,
    Position, Put, RangeQuery, RangeReply, Scan, ScanStep, State, Txn, ValueSource, decide,
};

/// Keys in the state.
const KEYS: usize = 10_000;
/// Keys that one step of a scan looks at, as the store reads.
const VISITS: usize = 512;

fn main() {
    divan::main();
}

/// The keys below a name, as `/` and what follows it in the order of bytes bound them.
fn below(name: &str) -> KeyRange {
    KeyRange::new(format!("{name}/").into(), format!("{name}0").into())
}

/// All values are in memory here.
struct NoValues;

impl ValueSource for NoValues {
    fn value(&self, _: Position) -> Option<Bytes> {
        None
    }
}

fn key(number: usize) -> Bytes {
    format!(
        "/registry/pods/namespace-{:03}/pod-with-a-usual-name-{:05}",
        number % 100,
        number % KEYS
    )
    .into()
}

fn put(number: usize) -> Put {
    Put {
        key: key(number),
        value: vec![7; 1024].into(),
        lease: LeaseId::NONE,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    }
}

/// Kubernetes' update: if the key is as it was read, write it, or else read it.
fn update(number: usize, state: &State) -> Command {
    let pair = state.pair_at(&key(number), state.revision());
    let revision = pair.map_or(0, |pair| pair.version.mod_revision.0);
    Command::Txn(Txn {
        compare: vec![Compare {
            range: KeyRange::Single(key(number)),
            target: CompareTarget::ModRevision(revision),
            result: CompareResult::Equal,
        }],
        success: vec![Operation::Put(put(number))],
        failure: vec![Operation::Range(RangeQuery::new(KeyRange::Single(key(number))))],
    })
}

fn decided(command: Command, state: &State, overlay: &mut Overlay) -> Decision {
    decide(command, state, overlay, &NoValues, Limits::default()).expect("nothing refuses it")
}

/// Every key, written once.
fn filled() -> State {
    let mut state = State::default();
    let mut overlay = Overlay::new(&state);
    for number in 0..KEYS {
        let decision = decided(Command::Put(put(number)), &state, &mut overlay);
        for effect in &decision.effects {
            state.apply(effect);
        }
        overlay.settle(state.applied());
    }
    state
}

/// One command on a state of 10,000 keys.
fn decide_one(bencher: Bencher<'_, '_>, command: impl Fn(usize, &State) -> Command) {
    let state = filled();
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            (Overlay::new(&state), command(number, &state))
        })
        .bench_local_values(|(mut overlay, command)| {
            let decision = decided(command, &state, &mut overlay);
            (decision, overlay)
        });
}

#[divan::bench]
fn decide_put(bencher: Bencher<'_, '_>) {
    decide_one(bencher, |number, _| Command::Put(put(number)));
}

#[divan::bench]
fn decide_update(bencher: Bencher<'_, '_>) {
    decide_one(bencher, update);
}

#[divan::bench]
fn apply_put(bencher: Bencher<'_, '_>) {
    let mut state = filled();
    let mut overlay = Overlay::new(&state);
    // Decided ahead, and applied in order.
    let mut effects = Vec::new();
    let mut number = 0;
    bencher.bench_local(|| {
        if effects.is_empty() {
            overlay.settle(state.applied());
            for _ in 0..64 {
                number += 1;
                effects.extend(decided(Command::Put(put(number)), &state, &mut overlay).effects);
            }
            effects.reverse();
        }
        effects.pop().map(|effect| state.apply(&effect))
    });
}

fn read(state: &State, query: RangeQuery) -> RangeReply {
    let mut scan = Scan::begin(query, state).expect("a revision that is there");
    while scan.step(state, VISITS).expect("nothing is compacted") == ScanStep::More {}
    scan.finish()
}

fn all() -> RangeQuery {
    RangeQuery::new(below("/registry/pods"))
}

#[divan::bench]
fn range_of_500(bencher: Bencher<'_, '_>) {
    let state = filled();
    bencher
        .with_inputs(|| RangeQuery { limit: 500, ..all() })
        .bench_values(|query| {
            let reply = read(&state, query);
            assert_eq!(reply.kvs.len(), 500);
            reply
        });
}

#[divan::bench]
fn range_of_10_000(bencher: Bencher<'_, '_>) {
    let state = filled();
    bencher.with_inputs(all).bench_values(|query| {
        let reply = read(&state, query);
        assert_eq!(reply.kvs.len(), KEYS);
        reply
    });
}

#[divan::bench]
fn count_of_10_000(bencher: Bencher<'_, '_>) {
    let state = filled();
    let query = || RangeQuery {
        count_only: true,
        ..all()
    };
    bencher.with_inputs(query).bench_values(|query| {
        let reply = read(&state, query);
        assert_eq!(reply.count, 10_000);
        reply
    });
}

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let state = filled();
    let query = RangeQuery::new(KeyRange::Single(key(4711)));
    bencher.bench(|| read(&state, black_box(&query).clone()));
}
