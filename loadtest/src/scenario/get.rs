//! Reads of one key.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::RangeRequest;

use super::ground::Ground;
use crate::client::wire::{frame, range_summary};
use crate::client::{CallError, Connection, Route};
use crate::keys::Random;
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct Get {
    ground: Ground,
    /// One request for each key, framed once.
    requests: Arc<Vec<Bytes>>,
}

impl Get {
    /// Reads that must see every write acknowledged before.
    pub(crate) fn linearizable(ground: Ground) -> Self {
        Self::new(ground, false)
    }

    /// Reads that one member may answer alone.
    pub(crate) fn serializable(ground: Ground) -> Self {
        Self::new(ground, true)
    }

    fn new(ground: Ground, serializable: bool) -> Self {
        let request = |key: &Bytes| {
            frame(&RangeRequest {
                key: key.clone(),
                limit: 1,
                serializable,
                ..Default::default()
            })
        };
        Self {
            requests: Arc::new(ground.names.iter().map(request).collect()),
            ground,
        }
    }
}

impl Scenario for Get {
    type Worker = Getter;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.ground.prepare(connection).await.map(drop)
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Getter> {
        Ok(Getter {
            route: connections[0].route("/etcdserverpb.KV/Range")?,
            requests: Arc::clone(&self.requests),
            random: self.ground.random(index),
        })
    }
}

/// One client.
pub(crate) struct Getter {
    route: Route,
    requests: Arc<Vec<Bytes>>,
    random: Random,
}

impl Worker for Getter {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let request = self.requests[self.random.below(self.requests.len())].clone();
        match range_summary(self.route.call(request).await?)?.keys {
            1 => Ok(Outcome::Done("get")),
            keys => Err(CallError::Wrong(format!("{keys} keys where there is one"))),
        }
    }
}
