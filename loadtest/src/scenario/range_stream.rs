//! All keys in pieces: RangeStream, which etcd has since 3.7.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::RangeRequest;

use super::ground::Ground;
use crate::client::wire::{frame, piece_summary};
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct RangeStream {
    ground: Ground,
}

impl RangeStream {
    /// Streams the ground's keys.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for RangeStream {
    type Worker = Streamer;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.ground.prepare(connection).await.map(drop)
    }

    async fn worker(&self, _index: usize, connections: &[Connection]) -> Result<Streamer> {
        let range = self.ground.range();
        let request = RangeRequest {
            key: range.start,
            range_end: range.end,
            ..Default::default()
        };
        Ok(Streamer {
            route: connections[0].route("/etcdserverpb.KV/RangeStream")?,
            request: frame(&request),
            keys: self.ground.names.len(),
        })
    }
}

/// One client.
pub(crate) struct Streamer {
    route: Route,
    request: Bytes,
    keys: usize,
}

impl Worker for Streamer {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let mut stream = self.route.stream().await?;
        stream.send_last(self.request.clone())?;
        let mut keys = 0;
        while let Some(piece) = stream.next().await? {
            keys += piece_summary(piece)?.keys;
        }
        if keys == self.keys {
            return Ok(Outcome::Done("stream"));
        }
        Err(CallError::Wrong(format!(
            "{keys} keys streamed where there are {}",
            self.keys
        )))
    }
}
