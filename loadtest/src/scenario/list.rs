//! All keys in one answer.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::RangeRequest;

use super::ground::Ground;
use crate::client::wire::{frame, range_summary};
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct List {
    ground: Ground,
}

impl List {
    /// Lists the ground's keys.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for List {
    type Worker = Lister;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.ground.prepare(connection).await.map(drop)
    }

    async fn worker(&self, _index: usize, connections: &[Connection]) -> Result<Lister> {
        let range = self.ground.range();
        let request = RangeRequest {
            key: range.start,
            range_end: range.end,
            ..Default::default()
        };
        Ok(Lister {
            route: connections[0].route("/etcdserverpb.KV/Range")?,
            request: frame(&request),
            keys: self.ground.names.len(),
        })
    }
}

/// One client.
pub(crate) struct Lister {
    route: Route,
    request: Bytes,
    keys: usize,
}

impl Worker for Lister {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let keys = range_summary(self.route.call(self.request.clone()).await?)?.keys;
        if keys == self.keys {
            return Ok(Outcome::Done("list"));
        }
        Err(CallError::Wrong(format!(
            "{keys} keys listed where there are {}",
            self.keys
        )))
    }
}
