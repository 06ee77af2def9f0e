//! Watches that nothing happens to: each client has --watchers of them, each on a stream of its own, and asks one after
//! the other whether it is still there.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchProgressRequest, WatchRequest};

use super::ground::Ground;
use super::objects::empty;
use super::watch;
use crate::client::wire::frame;
use crate::client::{CallError, Connection, Stream};
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct WatchIdle {
    ground: Ground,
}

impl WatchIdle {
    /// Watches prefixes below which nobody writes.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for WatchIdle {
    type Worker = Idler;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        empty(connection, &self.ground.keys.all()).await
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Idler> {
        let watchers = self.ground.load.watchers;
        anyhow::ensure!(watchers > 0, "there must be at least one watcher");
        let mut streams = Vec::with_capacity(watchers);
        for number in 0..watchers {
            let range = self.ground.keys.kind(&format!("idle-{index}-{number}"));
            streams.push(watch::open(&connections[number % connections.len()], &range).await?);
        }
        let request = WatchRequest {
            request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})),
        };
        Ok(Idler {
            streams,
            next: 0,
            request: frame(&request),
        })
    }
}

/// One client with its watches.
pub(crate) struct Idler {
    streams: Vec<Stream>,
    next: usize,
    request: Bytes,
}

impl Worker for Idler {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let number = self.next % self.streams.len();
        self.next += 1;
        let stream = &mut self.streams[number];
        stream.send(self.request.clone())?;
        match watch::next(stream).await?.events {
            0 => Ok(Outcome::Done("progress")),
            events => Err(CallError::Wrong(format!("{events} events where nobody writes"))),
        }
    }
}
