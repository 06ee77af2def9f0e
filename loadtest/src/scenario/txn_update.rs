//! Updates of objects as kube-apiserver does them: a put on condition that the key is as it was read, and the key as
//! it is if not.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::TxnRequest;

use super::ground::Ground;
use super::txn_create::{committed, put, unmodified_since};
use super::txn_delete::read_back;
use crate::client::{CallError, Connection, Route};
use crate::keys::Random;
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct TxnUpdate {
    ground: Ground,
    revisions: Vec<i64>,
}

impl TxnUpdate {
    /// Updates the ground's keys.
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            ground,
            revisions: Vec::new(),
        }
    }
}

impl Scenario for TxnUpdate {
    type Worker = Updater;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.revisions = self.ground.prepare_known(connection).await?;
        Ok(())
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Updater> {
        Updater::new(&self.ground, &self.revisions, index, &connections[0])
    }
}

/// One client with the keys that only it updates.
pub(crate) struct Updater {
    route: Route,
    names: Arc<Vec<Bytes>>,
    value: Bytes,
    /// Number of a key and its newest revision.
    share: Vec<(usize, i64)>,
    random: Random,
}

impl Updater {
    /// A client that knows the `revisions` of the ground's keys.
    pub(crate) fn new(
        ground: &Ground,
        revisions: &[i64],
        client: usize,
        connection: &Connection,
    ) -> Result<Self> {
        Ok(Self {
            route: connection.route("/etcdserverpb.KV/Txn")?,
            names: Arc::clone(&ground.names),
            value: ground.value.clone(),
            share: ground
                .share(client)
                .map(|number| (number, revisions[number]))
                .collect(),
            random: ground.random(client),
        })
    }
}

impl Worker for Updater {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let chosen = self.random.below(self.share.len());
        let (number, revision) = &mut self.share[chosen];
        let key = &self.names[*number];
        let request = TxnRequest {
            compare: vec![unmodified_since(key, *revision)],
            success: vec![put(key, &self.value)],
            failure: vec![read_back(key)],
        };
        *revision = committed(&mut self.route, &request).await?;
        Ok(Outcome::Done("update"))
    }
}
