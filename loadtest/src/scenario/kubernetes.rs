//! What a Kubernetes cluster asks of its store. --nodes nodes renew their Lease objects, pods are created, bound, run and
//! are deleted, events are written with leases of etcd's, controllers read objects and lists, each apiserver watches every
//! kind of object, and one of them compacts every few seconds.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{CompactionRequest, TxnRequest};

use super::count::{Count, Counter};
use super::get::{Get, Getter};
use super::ground::Ground;
use super::lease_grant::Granter;
use super::objects::fill;
use super::page::{Page, Pager};
use super::txn_create::{committed, put, unmodified_since};
use super::txn_delete::{delete, read_back};
use super::watch::Followers;
use crate::client::wire::frame;
use crate::client::{CallError, Connection, Route};
use crate::keys::{Keys, Random};
use crate::load::{Outcome, Scenario, Worker};

/// Apiservers: each watches every kind of object once, however many clients it has itself.
const APISERVERS: usize = 3;

/// Pods that are there from the start and stay: the ground's.
const PODS: &str = "pods";
/// Pods that come and go. A kind of its own, so that lists and counts of the others can be checked.
const BATCH_PODS: &str = "batch-pods";
/// The nodes' Lease objects.
const LEASES: &str = "leases";
/// Events.
const EVENTS: &str = "events";

/// Bytes of a node's Lease object.
const LEASE_OBJECT: usize = 400;

/// Seconds that an event is kept. Kubernetes keeps them an hour; this lets them go within a long run.
const EVENT_TTL: i64 = 60;

/// Events that share a lease: kube-apiserver's are shared, too.
const EVENTS_OF_A_LEASE: usize = 200;

/// Time between two compactions. A list in pages that takes longer than two of them has to begin again.
const COMPACTION: Duration = Duration::from_secs(5);

/// The answer's code for a revision that was compacted.
const OUT_OF_RANGE: &str = "11";

/// Updates of a pod between its creation and its deletion: bound to a node, running, done.
const UPDATES_OF_A_POD: usize = 3;

/// The scenario.
pub(crate) struct Kubernetes {
    get: Get,
    page: Page,
    count: Count,
    ground: Ground,
    /// The newest revision of each node's Lease object.
    nodes: Vec<i64>,
    watches: Followers,
}

impl Kubernetes {
    /// The ground's keys are pods that are there and stay.
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            get: Get::linearizable(ground.clone()),
            page: Page::new(ground.clone()),
            count: Count::new(ground.clone()),
            ground,
            nodes: Vec::new(),
            watches: Followers::default(),
        }
    }
}

impl Scenario for Kubernetes {
    type Worker = Apiserver;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        let load = &self.ground.load;
        anyhow::ensure!(
            load.nodes >= load.clients,
            "there must be at least as many nodes as clients"
        );
        let names: Vec<_> = (0..load.nodes)
            .map(|number| self.ground.keys.name(LEASES, number))
            .collect();
        let object = self
            .ground
            .value
            .slice(..LEASE_OBJECT.min(self.ground.value.len()));
        self.ground.prepare_known(connection).await?;
        self.nodes = fill(connection, &names, &object).await?;
        Ok(())
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Apiserver> {
        if index < APISERVERS {
            for kind in [PODS, BATCH_PODS, LEASES, EVENTS] {
                let range = self.ground.keys.kind(kind);
                let connection = &connections[index % connections.len()];
                self.watches.follow(connection, &range).await?;
            }
        }
        let share = (index..self.nodes.len()).step_by(self.ground.load.clients);
        Ok(Apiserver {
            get: self.get.worker(index, connections).await?,
            page: self.page.worker(index, connections).await?,
            count: self.count.worker(index, connections).await?,
            txn: connections[0].route("/etcdserverpb.KV/Txn")?,
            objects: Objects::new(&self.ground, index),
            nodes: share.map(|number| (number, self.nodes[number])).collect(),
            pod: None,
            events: EventLease::new(&connections[0])?,
            compaction: match index {
                0 => Some((
                    connections[0].route("/etcdserverpb.KV/Compact")?,
                    Turns::new(Instant::now()),
                )),
                _ => None,
            },
            random: self.ground.random(index),
            watches: self.watches.clone(),
        })
    }
}

/// Names and values of what one client writes.
struct Objects {
    keys: Keys,
    value: Bytes,
    next: usize,
    step: usize,
}

impl Objects {
    fn new(ground: &Ground, client: usize) -> Self {
        Self {
            keys: ground.keys.clone(),
            value: ground.value.clone(),
            next: client,
            step: ground.load.clients,
        }
    }

    /// A name that no other client uses, away from those that are there from the start.
    fn name(&mut self, kind: &str) -> Bytes {
        self.next += self.step;
        self.keys.name(kind, self.next)
    }

    fn lease_object(&self) -> Bytes {
        self.value.slice(..LEASE_OBJECT.min(self.value.len()))
    }
}

/// The pod that a client is leading through its life.
struct Pod {
    key: Bytes,
    revision: i64,
    updates: usize,
}

/// The lease of the next events.
struct EventLease {
    granter: Granter,
    id: i64,
    left: usize,
}

impl EventLease {
    fn new(connection: &Connection) -> Result<Self> {
        Ok(Self {
            granter: Granter::living(connection, EVENT_TTL)?,
            id: 0,
            left: 0,
        })
    }

    /// A lease for one more event.
    async fn take(&mut self) -> Result<i64, CallError> {
        if self.left == 0 {
            self.id = self.granter.grant().await?;
            self.left = EVENTS_OF_A_LEASE;
        }
        self.left -= 1;
        Ok(self.id)
    }
}

/// Decides when to compact, and at what revision.
struct Turns {
    last: Instant,
    /// Newest revisions at the last two turns, the older one first.
    revisions: [i64; 2],
}

impl Turns {
    fn new(now: Instant) -> Self {
        Self {
            last: now,
            revisions: [0, 0],
        }
    }

    /// The revision to compact at if it is time to, given the newest one that the client knows of.
    fn due(&mut self, now: Instant, newest: i64) -> Option<i64> {
        if now.duration_since(self.last) < COMPACTION {
            return None;
        }
        self.last = now;
        let [due, later] = self.revisions;
        self.revisions = [later, newest];
        Some(due).filter(|revision| *revision > 0)
    }
}

/// One client: a part of an apiserver.
pub(crate) struct Apiserver {
    get: Getter,
    page: Pager,
    count: Counter,
    txn: Route,
    objects: Objects,
    /// Number of a node and the newest revision of its Lease object.
    nodes: Vec<(usize, i64)>,
    pod: Option<Pod>,
    events: EventLease,
    compaction: Option<(Route, Turns)>,
    random: Random,
    watches: Followers,
}

impl Worker for Apiserver {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        self.watches.are_there()?;
        if let Some(done) = self.compact().await? {
            return Ok(done);
        }
        match self.random.below(100) {
            0..40 => self.renew().await,
            40..70 => self.lead_pod().await,
            70..80 => self.event().await,
            80..93 => self.get.step().await,
            93..98 => self.list().await,
            _ => self.count_pods().await,
        }
    }
}

impl Apiserver {
    async fn compact(&mut self) -> Result<Option<Outcome>, CallError> {
        let newest = self.nodes.iter().map(|(_, revision)| *revision).max();
        let Some((route, turns)) = &mut self.compaction else {
            return Ok(None);
        };
        let Some(revision) = turns.due(Instant::now(), newest.unwrap_or_default()) else {
            return Ok(None);
        };
        let request = CompactionRequest {
            revision,
            physical: false,
        };
        route.call(frame(&request)).await?;
        Ok(Some(Outcome::Done("compaction")))
    }

    /// A kubelet says that its node is alive.
    async fn renew(&mut self) -> Result<Outcome, CallError> {
        let chosen = self.random.below(self.nodes.len());
        let (number, revision) = &mut self.nodes[chosen];
        let key = self.objects.keys.name(LEASES, *number);
        let request = TxnRequest {
            compare: vec![unmodified_since(&key, *revision)],
            success: vec![put(&key, &self.objects.lease_object())],
            failure: vec![read_back(&key)],
        };
        *revision = committed(&mut self.txn, &request).await?;
        Ok(Outcome::Done("renewal"))
    }

    /// The next step in a pod's life.
    async fn lead_pod(&mut self) -> Result<Outcome, CallError> {
        match self.pod.take() {
            None => {
                let key = self.objects.name(BATCH_PODS);
                let revision = self.write(&key, 0).await?;
                self.pod = Some(Pod {
                    key,
                    revision,
                    updates: 0,
                });
                Ok(Outcome::Done("pod-create"))
            }
            Some(pod) if pod.updates < UPDATES_OF_A_POD => {
                let revision = self.write(&pod.key, pod.revision).await?;
                self.pod = Some(Pod {
                    revision,
                    updates: pod.updates + 1,
                    ..pod
                });
                Ok(Outcome::Done("pod-update"))
            }
            Some(pod) => {
                delete(&mut self.txn, &pod.key, pod.revision).await?;
                Ok(Outcome::Done("pod-delete"))
            }
        }
    }

    async fn write(&mut self, key: &Bytes, revision: i64) -> Result<i64, CallError> {
        let request = TxnRequest {
            compare: vec![unmodified_since(key, revision)],
            success: vec![put(key, &self.objects.value)],
            failure: vec![read_back(key)],
        };
        committed(&mut self.txn, &request).await
    }

    async fn event(&mut self) -> Result<Outcome, CallError> {
        let lease = self.events.take().await?;
        let key = self.objects.name(EVENTS);
        let mut operation = put(&key, &self.objects.value);
        if let Some(Request::RequestPut(put)) = &mut operation.request {
            put.lease = lease;
        }
        let request = TxnRequest {
            compare: vec![unmodified_since(&key, 0)],
            success: vec![operation],
            failure: Vec::new(),
        };
        committed(&mut self.txn, &request).await?;
        Ok(Outcome::Done("event"))
    }

    /// The next page of a list, which begins again if its revision was compacted, as a controller's does.
    async fn list(&mut self) -> Result<Outcome, CallError> {
        match self.page.step().await {
            Err(CallError::Status { code, .. }) if code == OUT_OF_RANGE => {
                self.page.begin_again();
                Ok(Outcome::Done("list-again"))
            }
            outcome => outcome,
        }
    }

    async fn count_pods(&mut self) -> Result<Outcome, CallError> {
        self.count.step().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compactions_keep_what_two_turns_may_read() {
        let begun = Instant::now();
        let mut turns = Turns::new(begun);
        assert_eq!(turns.due(begun, 10), None);
        assert_eq!(turns.due(begun + COMPACTION, 20), None);
        assert_eq!(turns.due(begun + COMPACTION * 2, 30), None);
        assert_eq!(turns.due(begun + COMPACTION * 3, 40), Some(20));
        assert_eq!(turns.due(begun + COMPACTION * 3, 41), None);
    }
}
