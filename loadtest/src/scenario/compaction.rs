//! Writes while everything that they supersede is compacted away. One client waits for a third of the duration, or 5 s, compacts
//! all of the ground's older revisions at once, and ends the run when they are physically gone; the others write, at a rate of
//! their own if there is one. Their latencies are told apart by when a write was due: before, and while.

use std::sync::{Arc, OnceLock};
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

/// How long writes count as written while it runs, at least: enough of them for a 99th percentile.
const WHILE_LONG: Duration = Duration::from_secs(1);

/// When what is watched for begins and ends, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Stage {
    begin: OnceLock<Instant>,
    end: OnceLock<Instant>,
}

impl Stage {
    /// What is watched for begins at this moment. Only the first word counts.
    pub(super) fn begin(&self, at: Instant) {
        self.begin.get_or_init(|| at);
    }

    /// It is over now, or a while after its begin if it was short: what it leaves to do belongs to it.
    pub(super) fn end(&self) {
        let now = Instant::now();
        let begin = *self.begin.get_or_init(|| now);
        self.end.get_or_init(|| now.max(begin + WHILE_LONG));
    }

    /// The kind of a write that was due at this moment. One that waits for its turn until something else has begun, or is
    /// over, belongs to what kept it waiting.
    fn kind(&self, due: Instant) -> &'static str {
        match self.begin.get() {
            Some(begin) if due >= *begin => WHILE,
            _ => BEFORE,
        }
    }

    /// Whether there shall be no more writes that are due at this moment.
    fn is_over(&self, due: Instant) -> bool {
        self.end.get().is_some_and(|end| due >= *end)
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
        self.step_due(Instant::now()).await
    }

    async fn step_due(&mut self, due: Instant) -> Result<Outcome, CallError> {
        match self {
            Self::Compacts(compactor) => compactor.step().await,
            Self::Writes(putter, stage) => write(putter, stage, due).await,
        }
    }

    fn is_paced(&self) -> bool {
        matches!(self, Self::Writes(..))
    }
}

/// One write, told apart by when it was due.
pub(super) async fn write(putter: &mut Putter, stage: &Stage, due: Instant) -> Result<Outcome, CallError> {
    if stage.is_over(due) {
        return Ok(Outcome::Exhausted);
    }
    putter.put().await?;
    Ok(Outcome::Done(stage.kind(due)))
}

impl Compactor {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let Some(patience) = self.patience.take() else {
            return Ok(Outcome::Exhausted);
        };
        tokio::time::sleep(patience).await;
        let begun = Instant::now();
        self.stage.begin(begun);
        let answer = self.route.call(self.request.clone()).await;
        self.stage.end();
        answer.map(|_| Outcome::Due("compaction", vec![(begun, Instant::now())]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_told_apart_by_when_they_were_due_and_end() {
        let begun = Instant::now();
        let (early, late) = (
            begun - Duration::from_millis(1),
            begun + Duration::from_secs(3600),
        );
        let stage = Stage::default();
        assert_eq!((stage.kind(late), stage.is_over(late)), (BEFORE, false));
        stage.begin(begun);
        stage.begin(late);
        assert_eq!((stage.kind(early), stage.kind(begun)), (BEFORE, WHILE));
        assert!(!stage.is_over(late));
        stage.end();
        assert!(!stage.is_over(begun + WHILE_LONG / 2));
        // What was due before the end is still written, however late, and counts.
        assert!(!stage.is_over(begun) && stage.is_over(late));
        assert_eq!((stage.kind(early), stage.kind(begun)), (BEFORE, WHILE));
    }
}
