//! Everything that a member's store shows, to be compared with the others' and with the log.

use std::collections::HashMap;

use actors::{RequestError, Store};
use bytes::Bytes;
use model::{
    AlarmMember, Effect, HashKv, KeyValue, Lease, LeaseId, Position, RangeQuery, Revision, Scan, ScanStep,
    State, Value,
};

use crate::client::all;
use crate::cluster::{Cluster, eventually, within};
use crate::log::Record;
use crate::members::MEMBERS;

/// Revisions at which everything is read.
const SAMPLES: i64 = 40;

/// What can be seen of a store without asking the leader.
#[derive(Debug, PartialEq)]
pub struct Picture {
    revision: Revision,
    compact_revision: Revision,
    alarms: Vec<AlarmMember>,
    /// Everything, at some of the revisions that can be read.
    history: Vec<(Revision, Vec<KeyValue>)>,
    keys: usize,
    versions: usize,
}

fn samples(compacted: Revision, newest: Revision) -> Vec<Revision> {
    let first = compacted.0.max(1);
    let step = ((newest.0 - first) / SAMPLES).max(1);
    let sampled = (0..).map(|n| first + n * step).take_while(|at| *at < newest.0);
    sampled.chain([newest.0]).map(Revision).collect()
}

fn everything_at(revision: Revision) -> RangeQuery {
    RangeQuery { revision, ..all() }
}

impl Picture {
    /// Of a member that has come to rest.
    pub async fn of(store: &Store) -> Self {
        let (revision, compact_revision) = (store.revision(), store.compact_revision());
        let mut history = Vec::new();
        for at in samples(compact_revision, revision) {
            let reply = store.range(everything_at(at)).await.expect("a range");
            assert_eq!(reply.revision, revision, "it has not come to rest");
            history.push((at, reply.kvs));
        }
        let keyspace = store.report().keyspace;
        Self {
            revision,
            compact_revision,
            alarms: store.alarms(),
            history,
            keys: keyspace.keys,
            versions: keyspace.versions,
        }
    }

    /// Of a state that was made from the log, with every pass of compaction made.
    fn expected(model: &Model) -> Self {
        let state = &model.state;
        let read = |at| (at, model.range(everything_at(at)));
        Self {
            revision: state.revision(),
            compact_revision: state.compact_revision(),
            alarms: state.alarms().iter().copied().collect(),
            history: samples(state.compact_revision(), state.revision())
                .into_iter()
                .map(read)
                .collect(),
            keys: state.index().live_keys(),
            versions: state.index().versions(),
        }
    }
}

/// What the record of the log adds up to.
pub struct Model {
    state: State,
    values: HashMap<Position, Bytes>,
}

impl Model {
    pub fn of(record: &Record) -> Self {
        let mut model = Self {
            state: State::default(),
            values: HashMap::new(),
        };
        record
            .effects()
            .into_iter()
            .for_each(|effect| model.apply(effect));
        let compacted = model.state.compact_revision();
        let mut next = Some(Bytes::new());
        while let Some(from) = next {
            next = model.state.index_mut().compact(&from, compacted, 512).next;
        }
        model
    }

    fn apply(&mut self, effect: Effect) {
        self.state.apply(&effect);
        if let Effect::Key(event) = effect {
            self.values.insert(event.version.position, event.value);
        }
    }

    fn range(&self, query: RangeQuery) -> Vec<KeyValue> {
        let mut scan = Scan::begin(query, &self.state).expect("readable");
        while scan.step(&self.state, 512).expect("readable") == ScanStep::More {}
        let mut pairs = scan.finish().kvs;
        for pair in &mut pairs {
            if let Value::Stored(position) = pair.value {
                pair.value = Value::Resident(self.values[&position].clone());
            }
        }
        pairs
    }

    /// How many versions can be read: what the log must keep.
    pub fn versions(&self) -> usize {
        self.state.index().versions()
    }

    /// Every lease with its keys.
    pub fn leases(&self) -> Vec<(Lease, Vec<Bytes>)> {
        let leases = self.state.leases().into_values();
        leases
            .map(|lease| (lease, self.state.lease_keys(lease.id).cloned().collect()))
            .collect()
    }
}

/// Checks that every member has come to the same state, and that it is the log's.
pub async fn all_agree_with_the_log(cluster: &Cluster) {
    cluster.settled().await;
    let model = Model::of(&cluster.record);
    let expected = Picture::expected(&model);
    for id in MEMBERS {
        let store = cluster.store(id);
        let at_rest = || {
            let report = store.report();
            let keyspace = (report.keyspace.keys, report.keyspace.versions);
            store.revision() == expected.revision
                && store.compact_revision() == expected.compact_revision
                && store.alarms() == expected.alarms
                && keyspace == (expected.keys, expected.versions)
        };
        let report = || {
            let report = store.report();
            (
                report.revision,
                report.compact_revision,
                report.keyspace.keys,
                report.keyspace.versions,
            )
        };
        let wanted = (
            expected.revision,
            expected.compact_revision,
            expected.keys,
            expected.versions,
        );
        eventually(
            &format!("member {id} at rest at {wanted:?}, not {:?}", report()),
            at_rest,
        )
        .await;
        assert_eq!(Picture::of(&store).await, expected, "member {id}");
    }
    let hashes = hashes(cluster).await;
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

async fn hashes(cluster: &Cluster) -> Vec<HashKv> {
    let mut hashes = Vec::new();
    for store in cluster.stores() {
        hashes.push(store.hash_kv(Revision(0)).await.expect("a hash"));
    }
    hashes
}

/// Asks until there is an answer: on a busy machine one may take longer than a test lets a request wait.
async fn in_time<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, RequestError>) -> T {
    let answer = async {
        loop {
            match ask().await {
                Err(RequestError::TimedOut) => {}
                outcome => return outcome.expect("an answer"),
            }
        }
    };
    within(what, answer).await
}

/// Makes one member after the other the leader and checks that it knows every lease of the log, with its keys.
pub async fn every_leader_knows_the_leases(cluster: &Cluster) {
    for id in MEMBERS {
        cluster.elect(id).await;
        let store = cluster.store(id);
        let model = Model::of(&cluster.record);
        let mut known = in_time("leases", || store.leases()).await;
        known.sort_unstable();
        let wanted: Vec<LeaseId> = model.leases().iter().map(|(lease, _)| lease.id).collect();
        assert_eq!(known, wanted, "member {id}");
        for (lease, keys) in model.leases() {
            let asked = || store.lease_time_to_live(lease.id, true);
            let reply = in_time("a lease", asked).await;
            assert_eq!(
                (reply.granted_ttl, reply.keys),
                (lease.ttl, keys),
                "member {id}, {lease:?}"
            );
        }
    }
}
