//! Mass expiry: --keys leases with a key each, renewed at once so that they are due together. One client watches the keys
//! go, others write, before and while, at a rate of their own if there is one. An operation `expiry` is one key; its latency counts from the moment at which its lease was
//! due. One that is gone before that is an error. The run ends when all are gone.

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
use super::objects::empty;
use super::put::{Put, Putter};
use super::watch;
use crate::client::wire::{decode, frame};
use crate::client::{CallError, Connection, Route, Stream};
use crate::load::{Outcome, Scenario, Worker};

/// Grants in flight while preparing.
const LANES: usize = 64;

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
                Granter::living(connection, self.ground.load.ttl.into())?,
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
        let lives = renew_all(&connections[0], &self.leases).await?;
        if let Some(first) = lives.first() {
            stage.begin(first.earliest);
        }
        Ok(Client::Watches(Witness {
            events,
            lives: Lives { lives, over: 0 },
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

/// Renews all leases over one stream, many at once; returns when each can and must end.
async fn renew_all(connection: &Connection, leases: &[i64]) -> Result<Vec<Life>> {
    let mut stream = connection
        .route("/etcdserverpb.Lease/LeaseKeepAlive")?
        .stream()
        .await?;
    let mut lives = Vec::with_capacity(leases.len());
    for some in leases.chunks(AHEAD) {
        let mut sent = Vec::with_capacity(some.len());
        for id in some {
            sent.push(Instant::now());
            stream.send(frame(&LeaseKeepAliveRequest { id: *id }))?;
        }
        for sent in sent {
            let answer = stream.next().await?.context("a keep-alive stream has ended")?;
            let ttl = decode::<LeaseKeepAliveResponse>(answer)?.ttl;
            let life = Duration::from_secs(u64::try_from(ttl).unwrap_or_default());
            anyhow::ensure!(
                !life.is_zero(),
                "a lease is gone before all are granted: use fewer --keys or a longer --ttl"
            );
            lives.push(Life {
                earliest: sent + life,
                due: Instant::now() + life,
            });
        }
    }
    Ok(lives)
}

/// When a lease ends. It was renewed between two moments that are known here.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// Not before, counted from the request.
    earliest: Instant,
    /// From here on it is late, counted from the answer.
    due: Instant,
}

/// All leases, those first that were renewed first, and how many of them are gone.
struct Lives {
    lives: Vec<Life>,
    over: usize,
}

impl Lives {
    fn are_over(&self) -> bool {
        self.over == self.lives.len()
    }

    /// Takes so many more as gone, which was seen at this moment; returns when they were due, and when they were seen. Which
    /// of them they are does not matter: at no moment may more be gone than can have come to their end.
    fn end(&mut self, leases: usize, seen: Instant) -> Result<Vec<(Instant, Instant)>, CallError> {
        let Some(ended) = self.lives.get(self.over..self.over + leases) else {
            return Err(CallError::Wrong("more keys go than there are leases".to_owned()));
        };
        self.over += leases;
        if let Some(life) = ended.iter().rfind(|life| seen < life.earliest) {
            let early = life.earliest.duration_since(seen).as_millis();
            return Err(CallError::Wrong(format!(
                "a lease is gone {early} ms before its time"
            )));
        }
        Ok(ended.iter().map(|life| (life.due, seen)).collect())
    }
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
    lives: Lives,
    stage: Arc<Stage>,
}

impl Worker for Client {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        self.step_due(Instant::now()).await
    }

    async fn step_due(&mut self, due: Instant) -> Result<Outcome, CallError> {
        match self {
            Self::Watches(witness) => witness.step().await,
            Self::Writes(putter, stage) => write(putter, stage, due).await,
        }
    }

    fn is_paced(&self) -> bool {
        matches!(self, Self::Writes(..))
    }
}

impl Witness {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        if self.lives.are_over() {
            self.stage.end();
            return Ok(Outcome::Exhausted);
        }
        let summary = watch::next(&mut self.events).await?;
        let ended = self.lives.end(summary.events, Instant::now())?;
        Ok(Outcome::Due("expiry", ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three leases, renewed one and two seconds after the first, each with an answer after 100 ms.
    fn lives(begun: Instant) -> Lives {
        let life = |second| Life {
            earliest: begun + Duration::from_secs(second),
            due: begun + Duration::from_millis(second * 1000 + 100),
        };
        Lives {
            lives: (0..3).map(life).collect(),
            over: 0,
        }
    }

    #[test]
    fn leases_that_go_in_time_are_late_by_what_passed_since_they_were_due() {
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let mut lives = lives(begun);
        assert_eq!(lives.end(1, at(50)).expect("in time"), [(at(100), at(50))]);
        let last = lives.end(2, at(2500)).expect("in time");
        assert_eq!(last, [(at(1100), at(2500)), (at(2100), at(2500))]);
        assert!(lives.are_over());
    }

    #[test]
    fn no_more_go_than_can_have_come_to_their_end() {
        let begun = Instant::now();
        let mut lives = lives(begun);
        let early = lives
            .end(2, begun + Duration::from_millis(900))
            .expect_err("one too many");
        assert!(early.to_string().contains("100 ms before its time"), "{early}");
        assert!(lives.end(2, begun + Duration::from_secs(9)).is_err());
        assert!(lives.end(1, begun + Duration::from_secs(9)).is_ok() && lives.are_over());
    }
}
