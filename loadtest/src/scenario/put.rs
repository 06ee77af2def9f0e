//! Unconditional puts over keys that are there.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::{PutRequest, PutResponse};

use super::ground::Ground;
use crate::client::wire::{decode, frame};
use crate::client::{CallError, Connection, Route};
use crate::keys::Random;
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct Put {
    ground: Ground,
}

impl Put {
    /// Puts over the ground's keys.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for Put {
    type Worker = Putter;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.ground.prepare(connection).await.map(drop)
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Putter> {
        Ok(Putter {
            route: connections[0].route("/etcdserverpb.KV/Put")?,
            names: Arc::clone(&self.ground.names),
            value: self.ground.value.clone(),
            random: self.ground.random(index),
        })
    }
}

/// One client.
pub(crate) struct Putter {
    route: Route,
    names: Arc<Vec<Bytes>>,
    value: Bytes,
    random: Random,
}

impl Putter {
    /// Puts over a random key.
    pub(crate) async fn put(&mut self) -> Result<(), CallError> {
        let key = self.names[self.random.below(self.names.len())].clone();
        let request = PutRequest {
            key,
            value: self.value.clone(),
            ..Default::default()
        };
        let answer: PutResponse = decode(self.route.call(frame(&request)).await?)?;
        match answer.header {
            Some(header) if header.revision > 1 => Ok(()),
            _ => Err(CallError::Wrong("a put without a revision".to_owned())),
        }
    }
}

impl Worker for Putter {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        self.put().await.map(|()| Outcome::Done("put"))
    }
}
