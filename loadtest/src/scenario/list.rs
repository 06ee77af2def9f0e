//! All keys in one answer: as they are, without their values, or as they were.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::RangeRequest;

use super::ground::Ground;
use super::objects::fill;
use crate::client::wire::{frame, range_summary};
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// Keys with their newest values.
    Newest,
    /// Keys alone.
    KeysOnly,
    /// Keys with the values that they had before each was written once more.
    Historic,
}

/// The scenario.
pub(crate) struct List {
    ground: Ground,
    listing: Listing,
    /// The revision to read at; 0 for the newest.
    revision: i64,
}

impl List {
    /// Lists the ground's keys.
    pub(crate) fn new(ground: Ground, listing: Listing) -> Self {
        Self {
            ground,
            listing,
            revision: 0,
        }
    }
}

impl Scenario for List {
    type Worker = Lister;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        if self.listing != Listing::Historic {
            return self.ground.prepare(connection).await.map(drop);
        }
        let revisions = self.ground.prepare_known(connection).await?;
        self.revision = revisions.into_iter().max().unwrap_or_default();
        fill(connection, &self.ground.names, &self.ground.value)
            .await
            .map(drop)
    }

    async fn worker(&self, _index: usize, connections: &[Connection]) -> Result<Lister> {
        let range = self.ground.range();
        let request = RangeRequest {
            key: range.start,
            range_end: range.end,
            keys_only: self.listing == Listing::KeysOnly,
            revision: self.revision,
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
