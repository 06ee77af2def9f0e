//! Reads: a range is answered from the shared state, never through the write actors.

use std::sync::Arc;

use model::{KeyRange, KeyValue, RangeQuery, RangeReply, Refusal, Revision, Scan, ScanStep, Value};

use crate::errors::RequestError;
use crate::shared_state::SharedState;

/// Keys looked at before the state's lock is given back: about 30 microseconds.
const STEP: usize = 512;
/// After this many steps other tasks get a turn.
const STEPS_PER_TURN: usize = 8;
/// Keys in the first part of a streamed range, as in etcd; parts then grow or shrink towards their size.
const FIRST_CHUNK_KEYS: usize = 10;
/// How often a read is begun again because compaction overtook it.
const ATTEMPTS: usize = 4;

/// Answers a range at one revision, values in memory.
pub(crate) async fn read_range(shared: &SharedState, query: RangeQuery) -> Result<RangeReply, RequestError> {
    query.validate()?;
    shared.count_range();
    for _ in 0..ATTEMPTS {
        match attempt(shared, &query).await? {
            Some(reply) => return Ok(reply),
            None if query.revision.0 > 0 => return Err(Refusal::Compacted.into()),
            None => {}
        }
    }
    Err(RequestError::Unreadable(
        "rows of the newest revision are missing".into(),
    ))
}

/// None if rows disappeared while they were read: only compaction deletes rows.
async fn attempt(shared: &SharedState, query: &RangeQuery) -> Result<Option<RangeReply>, RequestError> {
    let mut scan = match run(shared, query.clone()).await {
        Err(RequestError::Refused(Refusal::Compacted)) if query.revision.0 <= 0 => return Ok(None),
        other => other?,
    };
    if scan.sorts_by_value() && !shared.resolve(scan.pairs_mut().iter_mut().collect()).await? {
        return Ok(None);
    }
    let mut reply = scan.finish();
    let complete = shared.resolve(reply.kvs.iter_mut().collect()).await?;
    Ok(complete.then_some(reply))
}

async fn run(shared: &SharedState, query: RangeQuery) -> Result<Scan, RequestError> {
    let (mut scan, mut step) = shared.read(|state| {
        let mut scan = Scan::begin(query, state)?;
        let step = scan.step(state, STEP)?;
        Ok::<_, Refusal>((scan, step))
    })?;
    let mut steps = 1;
    while step == ScanStep::More {
        if steps % STEPS_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
        steps += 1;
        step = shared.read(|state| scan.step(state, STEP))?;
    }
    Ok(scan)
}

/// One part of a streamed range.
#[derive(Clone, Debug, Default)]
pub struct RangeChunk {
    /// The pairs of this part.
    pub kvs: Vec<KeyValue>,
    /// With the last part: revision, count and whether the limit cut; its own pairs are empty.
    pub last: Option<RangeReply>,
}

/// A range answered in parts, each within a byte budget, all at the revision of the first.
pub struct RangeChunks {
    shared: Arc<SharedState>,
    query: RangeQuery,
    chunk_bytes: usize,
    chunk_keys: usize,
    /// The revision of the first part, and the newest one then.
    pinned: Option<(Revision, Revision)>,
    sent: i64,
    finished: bool,
}

impl RangeChunks {
    pub(crate) fn new(shared: Arc<SharedState>, query: RangeQuery, chunk_bytes: usize) -> Self {
        let chunk_keys = FIRST_CHUNK_KEYS;
        Self {
            shared,
            query,
            chunk_bytes,
            chunk_keys,
            pinned: None,
            sent: 0,
            finished: false,
        }
    }

    /// The next part; none after the last. A compaction past the revision ends the stream with an error.
    pub async fn next(&mut self) -> Option<Result<RangeChunk, RequestError>> {
        if self.finished {
            return None;
        }
        let chunk = self.read_chunk().await;
        self.finished = !matches!(&chunk, Ok(RangeChunk { last: None, .. }));
        Some(chunk)
    }

    async fn read_chunk(&mut self) -> Result<RangeChunk, RequestError> {
        let left = (self.query.limit > 0).then(|| self.query.limit - self.sent);
        let mut query = self.query.clone();
        let wanted = i64::try_from(self.chunk_keys).unwrap_or(i64::MAX);
        query.limit = left.map_or(wanted, |left| left.min(wanted));
        query.revision = self.pinned.map_or(query.revision, |(at, _)| at);
        let mut reply = read_range(&self.shared, query).await?;
        let newest = self.pin(&reply);
        let kvs = std::mem::take(&mut reply.kvs);
        let got = i64::try_from(kvs.len()).unwrap_or(i64::MAX);
        let remaining = if self.query.count_only {
            0
        } else {
            reply.count - got
        };
        self.sent += got;
        self.go_on_behind(&kvs);
        if remaining > 0 && left.is_none_or(|left| left > got) {
            return Ok(RangeChunk { kvs, last: None });
        }
        let count = if self.query.count_only {
            reply.count
        } else {
            self.sent + remaining
        };
        let last = RangeReply {
            revision: newest,
            kvs: Vec::new(),
            more: remaining > 0,
            count,
        };
        Ok(RangeChunk {
            kvs,
            last: Some(last),
        })
    }

    fn pin(&mut self, reply: &RangeReply) -> Revision {
        let asked = self.query.revision;
        let at = if asked.0 > 0 { asked } else { reply.revision };
        self.pinned.get_or_insert((at, reply.revision)).1
    }

    /// The next part begins behind the last key, and holds about as many keys as fit the budget.
    fn go_on_behind(&mut self, kvs: &[KeyValue]) {
        let Some(last) = kvs.last() else { return };
        let next = model::key_after(&last.key);
        self.query.range = match &self.query.range {
            KeyRange::Single(_) => KeyRange::Between(next.clone(), next),
            KeyRange::Between(_, end) => KeyRange::Between(next, end.clone()),
            KeyRange::From(_) => KeyRange::From(next),
        };
        let bytes: usize = kvs.iter().map(pair_size).sum();
        if bytes * 2 <= self.chunk_bytes {
            self.chunk_keys *= 2;
        } else if bytes > self.chunk_bytes {
            self.chunk_keys = (self.chunk_keys / 2).max(1);
        }
    }
}

fn pair_size(pair: &KeyValue) -> usize {
    let value = match &pair.value {
        Value::Resident(value) => value.len(),
        Value::Stored(_) => 0,
    };
    pair.key.len() + value
}
