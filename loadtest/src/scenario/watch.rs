//! Watch fan-out: many watchers of one prefix, one writer. The next key is written when every watcher has seen the
//! last one, so that nothing piles up and an event's latency is that of the server.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest};
use tokio::sync::Notify;

use super::ground::Ground;
use crate::client::wire::{WatchSummary, frame, watch_summary};
use crate::client::{CallError, Connection, Route, Stream};
use crate::keys::KeyRange;
use crate::load::{Outcome, Scenario, Worker, empty};

/// Number of keys that a writer goes through.
const KEYS: usize = 1000;

/// The scenario.
pub(crate) struct Watch {
    ground: Ground,
}

impl Watch {
    /// Each client writes below a prefix of its own.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for Watch {
    type Worker = Writer;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        empty(connection, &self.ground.keys.all()).await
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Writer> {
        let kind = format!("watched-{index}");
        let board = Arc::new(Board::new(self.ground.load.watchers));
        // Where there are several connections, to several members perhaps, a single watcher is on another than its writer.
        let others = connections.iter().cycle().skip(1);
        for connection in others.take(self.ground.load.watchers) {
            let stream = open(connection, &self.ground.keys.kind(&kind)).await?;
            tokio::spawn(report_to(Arc::clone(&board), stream));
        }
        Ok(Writer {
            route: connections[0].route("/etcdserverpb.KV/Put")?,
            names: (0..KEYS)
                .map(|number| self.ground.keys.name(&kind, number))
                .collect(),
            value: self.ground.value.clone(),
            next: 0,
            board,
        })
    }
}

/// One writer and what its watchers have seen.
pub(crate) struct Writer {
    route: Route,
    names: Vec<Bytes>,
    value: Bytes,
    next: usize,
    board: Arc<Board>,
}

impl Worker for Writer {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let key = self.names[self.next % self.names.len()].clone();
        self.next += 1;
        let request = PutRequest {
            key,
            value: self.value.clone(),
            ..Default::default()
        };
        self.route.call(frame(&request)).await?;
        Ok(Outcome::Seen("event", self.board.all_seen().await?))
    }
}

/// Where watchers note that they have seen the last write.
struct Board {
    watchers: usize,
    seen: Mutex<Result<Vec<Instant>, CallError>>,
    changed: Notify,
}

impl Board {
    fn new(watchers: usize) -> Self {
        Self {
            watchers,
            seen: Mutex::new(Ok(Vec::with_capacity(watchers))),
            changed: Notify::new(),
        }
    }

    /// Waits until every watcher has seen the last write.
    async fn all_seen(&self) -> Result<Vec<Instant>, CallError> {
        loop {
            if let Some(moments) = self.take_if_complete()? {
                return Ok(moments);
            }
            self.changed.notified().await;
        }
    }

    fn take_if_complete(&self) -> Result<Option<Vec<Instant>>, CallError> {
        let mut seen = self.seen.lock().expect("no watcher panics");
        if matches!(&*seen, Ok(moments) if moments.len() < self.watchers) {
            return Ok(None);
        }
        mem::replace(&mut *seen, Ok(Vec::with_capacity(self.watchers))).map(Some)
    }

    /// Notes what one watcher has seen, or that it can see no more; the last one wakes the writer.
    fn note(&self, news: Result<usize, CallError>) {
        let mut seen = self.seen.lock().expect("no watcher panics");
        match (&mut *seen, news) {
            (Ok(moments), Ok(events)) => {
                let now = Instant::now();
                moments.extend((0..events).map(|_| now));
                if moments.len() < self.watchers {
                    return;
                }
            }
            (seen, Err(error)) => *seen = Err(error),
            (Err(_), Ok(_)) => return,
        }
        self.changed.notify_one();
    }
}

async fn report_to(board: Arc<Board>, mut stream: Stream) {
    loop {
        let news = next(&mut stream).await;
        let over = news.is_err();
        board.note(news.map(|summary| summary.events));
        if over {
            return;
        }
    }
}

/// Opens a watch of a range, on a stream of its own, and waits until it has begun.
pub(crate) async fn open(connection: &Connection, range: &KeyRange) -> Result<Stream> {
    let mut stream = connection.route("/etcdserverpb.Watch/Watch")?.stream().await?;
    let create = WatchCreateRequest {
        key: range.start.clone(),
        range_end: range.end.clone(),
        ..Default::default()
    };
    stream.send(frame(&WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    }))?;
    let begun = next(&mut stream).await?;
    anyhow::ensure!(begun.created, "a watch does not begin: {begun:?}");
    Ok(stream)
}

/// The next answer of a watch that must not end.
pub(crate) async fn next(stream: &mut Stream) -> Result<WatchSummary, CallError> {
    let message = stream
        .next()
        .await?
        .ok_or_else(|| CallError::Wrong("a watch stream has ended".to_owned()))?;
    let summary = watch_summary(message)?;
    if summary.canceled {
        return Err(CallError::Wrong("a watch was canceled".to_owned()));
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_write_is_seen_when_every_watcher_has_seen_it() {
        let board = Board::new(3);
        board.note(Ok(1));
        board.note(Ok(1));
        assert!(board.take_if_complete().expect("no failure").is_none());
        board.note(Ok(1));
        assert_eq!(board.all_seen().await.expect("all have seen it").len(), 3);
        assert!(board.take_if_complete().expect("no failure").is_none());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_lost_watcher_ends_the_wait() {
        let board = Board::new(2);
        board.note(Ok(1));
        board.note(Err(CallError::Wrong("a watch was canceled".to_owned())));
        board.note(Ok(1));
        assert!(board.all_seen().await.is_err());
    }
}
