//! Writes while everything that they supersede is compacted away. One client waits for a third of the duration, or 5 s, compacts
//! all of the ground's older revisions at once, and ends the run when they are physically gone; the others write. Their
//! latencies are told apart: before, and while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::CompactionRequest;

use super::ground::Ground;
use super::put::{Put, Putter};
use crate::client::wire::frame;
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// Kind of a write before the compaction.
pub(crate) const BEFORE: &str = "put-before";
/// Kind of a write while it runs.
pub(crate) const WHILE: &str = "put-while";

/// How long writes go on before, at most.
const BEFORE_LONG: Duration = Duration::from_secs(5);

/// How far the run is.
#[derive(Debug, Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    /// What is watched for has begun.
    pub(super) fn begin(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.0.store(2, Ordering::Relaxed);
    }

    /// The kind of a write that is sent now; `None` if there shall be no more.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Relaxed) {
            0 => Some(BEFORE),
            1 => Some(WHILE),
            _ => None,
        }
    }
}

/// The scenario.
pub(crate) struct Compaction {
    put: Put,
    ground: Ground,
    revision: i64,
    stage: Arc<Stage>,
}

impl Compaction {
    /// Compacts the ground's older revisions.
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            put: Put::new(ground.clone()),
            ground,
            revision: 0,
            stage: Arc::default(),
        }
    }
}

impl Scenario for Compaction {
    type Worker = Client;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        anyhow::ensure!(
            self.ground.load.clients > 1,
            "one client compacts: there must be others"
        );
        let revisions = self.ground.prepare_known(connection).await?;
        self.revision = revisions.into_iter().max().unwrap_or_default();
        Ok(())
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Client> {
        let stage = Arc::clone(&self.stage);
        if index > 0 {
            let putter = self.put.worker(index, connections).await?;
            return Ok(Client::Writes(putter, stage));
        }
        let request = CompactionRequest {
            revision: self.revision,
            physical: true,
        };
        Ok(Client::Compacts(Compactor {
            route: connections[0].route("/etcdserverpb.KV/Compact")?,
            request: frame(&request),
            patience: Some(self.ground.load.warmup + (self.ground.load.duration / 3).min(BEFORE_LONG)),
            stage,
        }))
    }
}

/// One client.
pub(crate) enum Client {
    /// The one that compacts.
    Compacts(Compactor),
    /// One that writes.
    Writes(Putter, Arc<Stage>),
}

/// The client that compacts, once.
pub(crate) struct Compactor {
    route: Route,
    request: Bytes,
    /// How long it waits first; none if it has compacted.
    patience: Option<Duration>,
    stage: Arc<Stage>,
}

impl Worker for Client {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        match self {
            Self::Compacts(compactor) => compactor.step().await,
            Self::Writes(putter, stage) => write(putter, stage).await,
        }
    }
}

/// One write, told apart by when it was sent.
pub(super) async fn write(putter: &mut Putter, stage: &Stage) -> Result<Outcome, CallError> {
    match stage.kind() {
        None => Ok(Outcome::Exhausted),
        Some(kind) => putter.put().await.map(|()| Outcome::Done(kind)),
    }
}

impl Compactor {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let Some(patience) = self.patience.take() else {
            return Ok(Outcome::Exhausted);
        };
        tokio::time::sleep(patience).await;
        let begun = Instant::now();
        self.stage.begin();
        let answer = self.route.call(self.request.clone()).await;
        self.stage.end();
        answer.map(|_| Outcome::Due("compaction", vec![(begun, Instant::now())]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_told_apart_and_end() {
        let stage = Stage::default();
        assert_eq!(stage.kind(), Some(BEFORE));
        stage.begin();
        assert_eq!(stage.kind(), Some(WHILE));
        stage.end();
        assert_eq!(stage.kind(), None);
    }
}
