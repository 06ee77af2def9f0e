//! Watch streams: opened, asked for their progress now and then, and taken down when they end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use proto::etcdserverpb::{WatchProgressRequest, WatchRequest, watch_request::RequestUnion};

use super::{Member, Phase, Run};
use crate::chaos::history::{Recorder, Stream, Watch, Watched, prefix_end, watch_request, watched};
use crate::client::wire::frame;
use crate::client::{self, Connection};

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_millis(500);
/// How long to wait before trying to connect again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a stream is asked how far it is.
const ASKING: Duration = Duration::from_millis(100);

/// A stream that is open.
struct Open {
    stream: client::Stream,
    /// Keeps the connection alive: it ends with its last user.
    _connection: Connection,
    recorded: Stream,
    recorder: Recorder,
}

impl Open {
    async fn new(member: &Member, watches: Vec<Watch>, id: u64, recorder: &Recorder) -> Result<Self> {
        let connection = member.connect(CONNECTING).await?;
        let mut stream = connection.route("/etcdserverpb.Watch/Watch")?.stream().await?;
        let mut wanted = BTreeMap::new();
        for (id, watch) in (0..).zip(watches) {
            stream.send(watch_request(&watch))?;
            let invoked = recorder.now();
            wanted.insert(id, Watch { invoked, ..watch });
        }
        let recorded = Stream {
            id,
            member: member.number,
            watches: wanted,
            responses: Vec::new(),
            settled: None,
        };
        Ok(Self {
            stream,
            _connection: connection,
            recorded,
            recorder: recorder.clone(),
        })
    }

    fn ask(&mut self) -> Result<()> {
        let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
        self.stream.send(frame(&WatchRequest {
            request_union: Some(request),
        }))?;
        Ok(())
    }

    /// Takes down the next response, if one comes until a moment.
    async fn next(&mut self, until: Instant) -> Result<Option<&Watched>> {
        let Ok(message) = tokio::time::timeout_at(until.into(), self.stream.next()).await else {
            return Ok(None);
        };
        let message = message?.context("the stream has ended")?;
        let response = watched(message, self.recorder.now())?;
        self.recorded.responses.push(response);
        Ok(self.recorded.responses.last())
    }

    /// Whether all watches have vouched for everything up to a revision, or have ended.
    fn has_come_to(&self, revision: i64) -> bool {
        self.recorded.watches.keys().all(|id| {
            let own = |response: &&Watched| {
                response.watch == *id || (response.watch == -1 && response.is_progress())
            };
            let mut own = self.recorded.responses.iter().rev().filter(own);
            own.any(|response| response.canceled || (response.revision >= revision && !response.created))
        })
    }

    fn close(self) {
        self.recorder.stream(self.recorded);
    }
}

/// A watch of everything at one member that never rests: it goes on where it was when its stream ends. At the end
/// it is asked to come to the newest revision, and a last one reads all history that is left.
pub(super) async fn collect(run: Run, member: Member, prefix: &'static str) {
    let mut next = 1;
    while run.phase() != Phase::Over {
        let watch = Watch {
            key: prefix.into(),
            range_end: prefix_end(prefix),
            start_revision: next,
            prev_kv: true,
            progress_notify: true,
            invoked: 0,
        };
        match Open::new(&member, vec![watch], run.stream_id(), &run.recorder).await {
            Ok(mut open) => {
                follow(&run, &mut open, &mut next).await;
                settle(&run, &mut open).await;
                open.close();
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Reads a stream until it ends or traffic does.
async fn follow(run: &Run, open: &mut Open, next: &mut i64) {
    let mut asked = Instant::now();
    while matches!(run.phase(), Phase::Traffic | Phase::Quiet) {
        let until = asked + ASKING;
        match open.next(until).await {
            Ok(Some(response)) if response.canceled => {
                *next = response.compact_revision.max(*next);
                return;
            }
            Ok(Some(response)) => {
                let last = response.events.last().filter(|_| !response.fragment);
                *next = last.map_or(*next, |event| event.revision() + 1);
            }
            Ok(None) => {
                asked = Instant::now();
                if open.ask().is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// Asks until everything is vouched for.
async fn settle(run: &Run, open: &mut Open) {
    while let Phase::Settling { revision, deadline } = run.phase() {
        if open.has_come_to(revision) || Instant::now() > deadline {
            open.recorded.settled = Some(revision);
            run.settled();
            return run.over().await;
        }
        let asked = open.ask().is_ok();
        if !asked || open.next(Instant::now() + ASKING).await.is_err() {
            return;
        }
    }
}

/// Watches of all kinds at one member, one stream after the other.
pub(super) async fn roam(run: Run, member: Member, prefix: &'static str, mut rng: Rng) {
    while run.phase() == Phase::Traffic {
        let newest = run.newest();
        let watches = (0..rng.u8(1..=3)).map(|_| some_watch(prefix, newest, &mut rng));
        let watches = watches.collect();
        let end = Instant::now() + Duration::from_millis(rng.u64(300..3000));
        match Open::new(&member, watches, run.stream_id(), &run.recorder).await {
            Ok(mut open) => {
                look(&run, &mut open, end).await;
                open.close();
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn look(run: &Run, open: &mut Open, end: Instant) {
    let mut asked = Instant::now();
    while run.phase() == Phase::Traffic && Instant::now() < end {
        let until = (asked + ASKING).min(end);
        let read = open.next(until).await;
        if read.is_err() {
            return;
        }
        if asked.elapsed() >= ASKING {
            asked = Instant::now();
            if open.ask().is_err() {
                return;
            }
        }
    }
}

/// From now, from the past, from the future; of everything or of some keys.
fn some_watch(prefix: &str, newest: i64, rng: &mut Rng) -> Watch {
    let start_revision = match rng.u8(..4) {
        0 => 0,
        1 => newest + rng.i64(1..100),
        _ => (newest - rng.i64(0..100)).max(1),
    };
    let (key, range_end) = match rng.u8(..3) {
        0 => (format!("{prefix}{}", rng.u8(..10)).into(), "".into()),
        1 => (format!("{prefix}3").into(), prefix_end(prefix)),
        _ => (prefix.into(), prefix_end(prefix)),
    };
    Watch {
        key,
        range_end,
        start_revision,
        prev_kv: rng.bool(),
        progress_notify: rng.bool(),
        invoked: 0,
    }
}
