//! Watch fan-out: many watchers of one prefix, one writer. The next key is written when every watcher has seen the
//! last one, so that nothing piles up and an event's latency is that of the server. Every watcher must see every write
//! once, at its revision.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{PutRequest, PutResponse, WatchCreateRequest, WatchRequest};
use tokio::sync::Notify;

use super::ground::Ground;
use super::objects::empty;
use crate::client::wire::{WatchSummary, decode, event_revision, frame, watch_summary};
use crate::client::{CallError, Connection, Route, Stream};
use crate::keys::KeyRange;
use crate::load::{Outcome, Scenario, Worker};

#[cfg(test)]
pub(super) mod tests;

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
        let answer: PutResponse = decode(self.route.call(frame(&request)).await?)?;
        let revision = answer.header.map_or(0, |header| header.revision.unsigned_abs());
        Ok(Outcome::Seen("event", self.board.all_seen(revision).await?))
    }
}

/// Who has seen the last write.
struct Seen {
    /// What the first of them takes for its revision.
    revision: u64,
    /// When each of them saw it.
    moments: Vec<Instant>,
}

/// Where watchers note that they have seen the last write.
struct Board {
    watchers: usize,
    seen: Mutex<Result<Seen, CallError>>,
    changed: Notify,
}

impl Board {
    fn new(watchers: usize) -> Self {
        Self {
            watchers,
            seen: Mutex::new(Ok(Self::nobody(watchers))),
            changed: Notify::new(),
        }
    }

    fn nobody(watchers: usize) -> Seen {
        Seen {
            revision: 0,
            moments: Vec::with_capacity(watchers),
        }
    }

    /// Waits until every watcher has seen the last write, which was made at this revision.
    async fn all_seen(&self, revision: u64) -> Result<Vec<Instant>, CallError> {
        loop {
            match self.take_if_complete()? {
                Some(seen) if seen.revision == revision || seen.moments.is_empty() => return Ok(seen.moments),
                Some(seen) => return Err(differs(seen.revision, revision)),
                None => self.changed.notified().await,
            }
        }
    }

    fn take_if_complete(&self) -> Result<Option<Seen>, CallError> {
        let mut seen = self.seen.lock().expect("no watcher panics");
        if matches!(&*seen, Ok(seen) if seen.moments.len() < self.watchers) {
            return Ok(None);
        }
        mem::replace(&mut *seen, Ok(Self::nobody(self.watchers))).map(Some)
    }

    /// Notes the revision of what one watcher has seen, or that it can see no more; the last one wakes the writer.
    fn note(&self, news: Result<u64, CallError>) {
        let mut seen = self.seen.lock().expect("no watcher panics");
        match (&mut *seen, news) {
            (Ok(first), Ok(revision)) if first.moments.is_empty() || first.revision == revision => {
                first.revision = revision;
                first.moments.push(Instant::now());
                if first.moments.len() < self.watchers {
                    return;
                }
            }
            (Ok(first), Ok(revision)) => *seen = Err(differs(first.revision, revision)),
            (seen, Err(error)) => *seen = Err(error),
            (Err(_), Ok(_)) => return,
        }
        self.changed.notify_one();
    }
}

fn differs(one: u64, other: u64) -> CallError {
    CallError::Wrong(format!("an event of revision {one} where one of {other} was due"))
}

/// Tells the board of every event. No watcher notes two of one write: what it sees goes up by itself.
async fn report_to(board: Arc<Board>, mut stream: Stream) {
    let mut last = 0;
    loop {
        let news = next_event(&mut stream, last).await;
        last = *news.as_ref().unwrap_or(&0);
        board.note(news);
        if last == 0 {
            return;
        }
    }
}

/// The revision of the next event, which must come alone, as writes do, and after the last one.
async fn next_event(stream: &mut Stream, last: u64) -> Result<u64, CallError> {
    loop {
        let (message, summary) = next_message(stream).await?;
        match (summary.events, event_revision(&message)?) {
            (0, _) => {}
            (1, Some(revision)) if revision > last => return Ok(revision),
            (1, revision) => {
                return Err(CallError::Wrong(format!(
                    "an event of revision {} after one of {last}",
                    revision.unwrap_or_default()
                )));
            }
            (events, _) => return Err(CallError::Wrong(format!("{events} events of one write"))),
        }
    }
}

/// Watches whose events nobody looks at, and that must last all the same: a server that has lost them has less to do.
#[derive(Clone, Default)]
pub(crate) struct Followers {
    lost: Arc<AtomicBool>,
}

impl Followers {
    /// Watches a range until the run is over.
    pub(crate) async fn follow(&self, connection: &Connection, range: &KeyRange) -> Result<()> {
        let mut stream = open(connection, range).await?;
        let lost = Arc::clone(&self.lost);
        tokio::spawn(async move {
            while next(&mut stream).await.is_ok() {}
            lost.store(true, Ordering::Relaxed);
        });
        Ok(())
    }

    /// An error once one of them was lost.
    pub(crate) fn are_there(&self) -> Result<(), CallError> {
        match self.lost.load(Ordering::Relaxed) {
            true => Err(CallError::Wrong("a watch was lost".to_owned())),
            false => Ok(()),
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
    Ok(next_message(stream).await?.1)
}

async fn next_message(stream: &mut Stream) -> Result<(Bytes, WatchSummary), CallError> {
    let message = stream
        .next()
        .await?
        .ok_or_else(|| CallError::Wrong("a watch stream has ended".to_owned()))?;
    let summary = watch_summary(&message[..])?;
    if summary.canceled {
        return Err(CallError::Wrong("a watch was canceled".to_owned()));
    }
    Ok((message, summary))
}
