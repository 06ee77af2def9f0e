//! What most scenarios start from: a prefix with so many keys of one size.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;

use super::objects::{empty, fill};
use crate::cli::LoadArguments;
use crate::client::Connection;
use crate::keys::{KeyRange, Keys, Random};

/// The kind of object that is there from the start.
const KIND: &str = "pods";

/// The keys that are there, and how to make more.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// The load that was asked for.
    pub(crate) load: LoadArguments,
    /// Names for further keys.
    pub(crate) keys: Keys,
    /// The keys that are there from the start, in order.
    pub(crate) names: Arc<Vec<Bytes>>,
    /// Their value.
    pub(crate) value: Bytes,
}

impl Ground {
    /// Decides on names and value.
    pub(crate) fn new(load: &LoadArguments) -> Self {
        let keys = Keys::new(&load.prefix, load.key_size);
        let names = Arc::new((0..load.keys).map(|number| keys.name(KIND, number)).collect());
        Self {
            value: Random::new(load.seed, usize::MAX).value(load.value_size),
            load: load.clone(),
            keys,
            names,
        }
    }

    /// Empties the prefix and fills it, as often as each key shall have revisions; returns the newest revision of each
    /// key. With --filled it leaves everything as it is, and there are no revisions to return.
    pub(crate) async fn prepare(&self, connection: &Connection) -> Result<Vec<i64>> {
        if self.load.filled {
            return Ok(Vec::new());
        }
        empty(connection, &self.keys.all()).await?;
        let mut revisions = Vec::new();
        for _ in 0..self.load.revisions {
            revisions = fill(connection, &self.names, &self.value).await?;
        }
        Ok(revisions)
    }

    /// The same for scenarios that need to know the revisions.
    pub(crate) async fn prepare_known(&self, connection: &Connection) -> Result<Vec<i64>> {
        anyhow::ensure!(
            !self.load.filled,
            "this scenario must know its keys' revisions: it cannot be run with --filled"
        );
        self.prepare(connection).await
    }

    /// The range of the keys that are there from the start.
    pub(crate) fn range(&self) -> KeyRange {
        self.keys.kind(KIND)
    }

    /// The random choices of one client.
    pub(crate) fn random(&self, client: usize) -> Random {
        Random::new(self.load.seed, client)
    }

    /// The numbers of the keys that only this client writes.
    pub(crate) fn share(&self, client: usize) -> impl Iterator<Item = usize> {
        (client..self.names.len()).step_by(self.load.clients)
    }
}
