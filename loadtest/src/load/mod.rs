//! The engine: keeps clients busy, measures what they see, and knows nothing of what they do.

mod engine;
mod fill;
mod pace;
mod progress;
mod recorder;

use std::time::Instant;

use anyhow::Result;

use crate::client::{CallError, Connection};

pub(crate) use engine::{Plan, run};
pub(crate) use fill::{empty, fill};
pub(crate) use recorder::{Latency, Summary};

/// One kind of load.
pub(crate) trait Scenario: Send + Sync + 'static {
    /// What one client holds.
    type Worker: Worker;

    /// Brings the server into the state that the load starts from. Not measured.
    fn prepare(&mut self, connection: &Connection) -> impl Future<Output = Result<()>> + Send;

    /// Makes client number `index`, whose calls go over the first of the connections; the others are there for what
    /// it wants to spread. Not measured.
    fn worker(
        &self,
        index: usize,
        connections: &[Connection],
    ) -> impl Future<Output = Result<Self::Worker>> + Send;
}

/// One client: it has one operation in flight at a time.
pub(crate) trait Worker: Send + 'static {
    /// Does the next operation.
    fn step(&mut self) -> impl Future<Output = Result<Outcome, CallError>> + Send;

    /// The same, for those who must know when it was due.
    fn step_due(&mut self, _due: Instant) -> impl Future<Output = Result<Outcome, CallError>> + Send {
        self.step()
    }

    /// Whether operations are due at the pace of the run; otherwise each is due when the last one is done.
    fn is_paced(&self) -> bool {
        true
    }
}

/// What an operation came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// One operation of this kind is done.
    Done(&'static str),
    /// One write was seen by watchers at these moments; each is an operation.
    Seen(&'static str, Vec<Instant>),
    /// Things that were due at the first moment and were seen at the second; each is an operation.
    Due(&'static str, Vec<(Instant, Instant)>),
    /// There is nothing left to do for this client.
    Exhausted,
}
