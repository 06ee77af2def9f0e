//! The number of keys, without the keys.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::RangeRequest;

use super::ground::Ground;
use crate::client::wire::{RangeSummary, frame, range_summary};
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct Count {
    ground: Ground,
}

impl Count {
    /// Counts the ground's keys.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for Count {
    type Worker = Counter;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.ground.prepare(connection).await.map(drop)
    }

    async fn worker(&self, _index: usize, connections: &[Connection]) -> Result<Counter> {
        let range = self.ground.range();
        let request = RangeRequest {
            key: range.start,
            range_end: range.end,
            count_only: true,
            ..Default::default()
        };
        Ok(Counter {
            route: connections[0].route("/etcdserverpb.KV/Range")?,
            request: frame(&request),
            wanted: RangeSummary {
                keys: 0,
                count: self.ground.names.len() as u64,
                more: false,
            },
        })
    }
}

/// One client.
pub(crate) struct Counter {
    route: Route,
    request: Bytes,
    wanted: RangeSummary,
}

impl Worker for Counter {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let summary = range_summary(self.route.call(self.request.clone()).await?)?;
        if summary == self.wanted {
            return Ok(Outcome::Done("count"));
        }
        Err(CallError::Wrong(format!(
            "counted {summary:?} instead of {:?}",
            self.wanted
        )))
    }
}
