//! A state of 10,000 keys, and what is asked of it: for the micro-benchmarks and the counts of instructions.

use bytes::Bytes;
use model::{
    Command, Compare, CompareResult, CompareTarget, Decision, KeyRange, LeaseId, Limits, Operation, Overlay,
    Position, Put, RangeQuery, RangeReply, Scan, ScanStep, State, Txn, ValueSource, decide,
};

/// Keys in the state.
pub(crate) const KEYS: usize = 10_000;
/// Keys that one step of a scan looks at, as the store reads.
const VISITS: usize = 512;

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

/// A key of a pod.
pub(crate) fn key(number: usize) -> Bytes {
    format!(
        "/registry/pods/namespace-{:03}/pod-with-a-usual-name-{:05}",
        number % 100,
        number % KEYS
    )
    .into()
}

/// Writes 1 KiB to a key.
pub(crate) fn put(number: usize) -> Put {
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
pub(crate) fn update(number: usize, state: &State) -> Command {
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

/// What follows from a command.
pub(crate) fn decided(command: Command, state: &State, overlay: &mut Overlay) -> Decision {
    decide(command, state, overlay, &NoValues, Limits::default()).expect("nothing refuses it")
}

/// Every key, written once.
pub(crate) fn filled() -> State {
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

/// Reads as the store does, step by step.
pub(crate) fn read(state: &State, query: RangeQuery) -> RangeReply {
    let mut scan = Scan::begin(query, state).expect("a revision that is there");
    while scan.step(state, VISITS).expect("nothing is compacted") == ScanStep::More {}
    scan.finish()
}

/// All keys.
pub(crate) fn all() -> RangeQuery {
    RangeQuery::new(below("/registry/pods"))
}
