//! Mass expiry: --keys leases with a key each, renewed at once so that they are due together. One client watches the keys
//! go, others write meanwhile. An operation `expiry` is one key; its latency counts from the moment at which its lease was
//! due. The run ends when all are gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse, PutRequest, RequestOp, TxnRequest};
use tokio::task::JoinSet;

use super::compaction::{Stage, write};
use super::ground::Ground;
use super::lease_grant::Granter;
use super::put::{Put, Putter};
use super::watch;
use crate::client::wire::{decode, frame};
use crate::client::{CallError, Connection, Route, Stream};
use crate::load::{Outcome, Scenario, Worker, empty};

/// Grants in flight while preparing.
const LANES: usize = 64;

/// Seconds that every lease lives: longer than granting all of them takes.
const TIME_TO_LIVE: i64 = 20;

/// Keys that are put with their leases in one transaction: below the 128 that etcd allows.
const PUTS: usize = 100;

/// Renewals that are sent ahead of their confirmation.
const AHEAD: usize = 500;

/// The kind of object that the leases hold.
const KIND: &str = "leased";

/// The scenario.
pub(crate) struct LeaseExpiry {
    put: Put,
    ground: Ground,
    leases: Vec<i64>,
    stage: Arc<Stage>,
}

impl LeaseExpiry {
    /// Grants as many leases as other scenarios have keys; those are there too, for the writers.
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            put: Put::new(ground.clone()),
            ground,
            leases: Vec::new(),
            stage: Arc::default(),
        }
    }
}

impl Scenario for LeaseExpiry {
    type Worker = Client;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        anyhow::ensure!(
            self.ground.load.clients > 1,
            "one client watches: there must be others"
        );
        empty(connection, &self.ground.keys.all()).await?;
        self.ground.prepare(connection).await?;
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let keys = (lane..self.ground.load.keys).step_by(LANES);
            let names = keys.map(|number| self.ground.keys.name(KIND, number)).collect();
            lanes.spawn(hold(
                Granter::living(connection, TIME_TO_LIVE)?,
                connection.route("/etcdserverpb.KV/Txn")?,
                names,
            ));
        }
        while let Some(leases) = lanes.join_next().await {
            self.leases.extend(leases??);
        }
        Ok(())
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Client> {
        let stage = Arc::clone(&self.stage);
        if index > 0 {
            return Ok(Client::Writes(self.put.worker(index, connections).await?, stage));
        }
        let events = watch::open(&connections[0], &self.ground.keys.kind(KIND)).await?;
        let last = renew_all(&connections[0], &self.leases).await?;
        Ok(Client::Watches(Witness {
            events,
            due: last + Duration::from_secs(TIME_TO_LIVE.unsigned_abs()),
            left: self.leases.len(),
            stage,
        }))
    }
}

/// Grants a lease for each name and puts the names with them.
async fn hold(mut granter: Granter, mut route: Route, names: Vec<Bytes>) -> Result<Vec<i64>, CallError> {
    let mut leases = Vec::with_capacity(names.len());
    for names in names.chunks(PUTS) {
        let mut puts = Vec::with_capacity(names.len());
        for key in names {
            let lease = granter.grant().await?;
            puts.push(leased(key, lease));
            leases.push(lease);
        }
        let request = TxnRequest {
            success: puts,
            ..Default::default()
        };
        route.call(frame(&request)).await?;
    }
    Ok(leases)
}

fn leased(key: &Bytes, lease: i64) -> RequestOp {
    let put = PutRequest {
        key: key.clone(),
        value: Bytes::from_static(b"leased"),
        lease,
        ..Default::default()
    };
    RequestOp {
        request: Some(Request::RequestPut(put)),
    }
}

/// Renews all leases over one stream, many at once; returns when the last renewal was confirmed.
async fn renew_all(connection: &Connection, leases: &[i64]) -> Result<Instant> {
    let mut stream = connection
        .route("/etcdserverpb.Lease/LeaseKeepAlive")?
        .stream()
        .await?;
    for some in leases.chunks(AHEAD) {
        for id in some {
            stream.send(frame(&LeaseKeepAliveRequest { id: *id }))?;
        }
        for _ in some {
            let answer = stream.next().await?.context("a keep-alive stream has ended")?;
            let ttl = decode::<LeaseKeepAliveResponse>(answer)?.ttl;
            anyhow::ensure!(
                ttl > 0,
                "a lease is gone before all are granted: use fewer --keys"
            );
        }
    }
    Ok(Instant::now())
}

/// One client.
pub(crate) enum Client {
    /// The one that watches keys go.
    Watches(Witness),
    /// One that writes.
    Writes(Putter, Arc<Stage>),
}

/// The client that watches keys go.
pub(crate) struct Witness {
    events: Stream,
    due: Instant,
    left: usize,
    stage: Arc<Stage>,
}

impl Worker for Client {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        match self {
            Self::Watches(witness) => witness.step().await,
            Self::Writes(putter, stage) => write(putter, stage).await,
        }
    }
}

impl Witness {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        if self.left == 0 {
            self.stage.end();
            return Ok(Outcome::Exhausted);
        }
        // From the first key that goes, or when all are due: whatever comes first.
        let news = tokio::time::timeout_at(self.due.into(), watch::next(&mut self.events)).await;
        self.stage.begin();
        let summary = match news {
            Ok(news) => news?,
            Err(_) => watch::next(&mut self.events).await?,
        };
        self.left = self.left.saturating_sub(summary.events);
        let seen = Instant::now();
        Ok(Outcome::Due("expiry", vec![(self.due, seen); summary.events]))
    }
}
