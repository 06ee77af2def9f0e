//! A range answered in parts.

use std::sync::Arc;

use bytes::Bytes;
use model::{Found, KeyRange, KeyValue, PairRef, RangeQuery, RangeReply, Revision};

use super::{read_range, read_range_into};
use crate::errors::RequestError;
use crate::gate::Gate;
use crate::shared_state::SharedState;

/// Keys in the first part of a streamed range, as in etcd; parts then grow or shrink towards their size.
const FIRST_CHUNK_KEYS: usize = 10;

/// One part of a streamed range.
#[derive(Clone, Debug, Default)]
pub struct RangeChunk {
    /// The pairs of this part.
    pub kvs: Vec<KeyValue>,
    /// With the last part: revision, count and whether the limit cut; its own pairs are empty.
    pub last: Option<RangeReply>,
}

/// One part of a streamed range, handed on where it lay if it was all in memory.
#[derive(Debug)]
pub enum RangePart<F> {
    /// Its pairs were handed on. With the last part, as in a [`RangeChunk`].
    Found(F, Option<RangeReply>),
    /// Its pairs.
    Pairs(RangeChunk),
}

/// A range answered in parts, each within a byte budget, all at the revision of the first.
pub struct RangeChunks {
    shared: Arc<SharedState>,
    gate: Arc<Gate>,
    query: RangeQuery,
    chunk_bytes: usize,
    chunk_keys: usize,
    /// The revision of the first part, and the newest one then.
    pinned: Option<(Revision, Revision)>,
    sent: i64,
    finished: bool,
}

impl RangeChunks {
    pub(crate) fn new(
        shared: Arc<SharedState>,
        gate: Arc<Gate>,
        query: RangeQuery,
        chunk_bytes: usize,
    ) -> Self {
        let chunk_keys = FIRST_CHUNK_KEYS;
        Self {
            shared,
            gate,
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

    /// As [`next`](Self::next), but hands the pairs to `found` if they are all in memory and no writes are under way.
    pub async fn next_into<F: Found>(&mut self, found: F) -> Option<Result<RangePart<F>, RequestError>> {
        if self.finished {
            return None;
        }
        let measured = Measured {
            found,
            extent: Extent::default(),
        };
        let query = self.part();
        let read = read_range_into(&self.shared, &self.gate, &query, measured);
        let Some((part, rest)) = read.await else {
            return Some(self.next().await?.map(RangePart::Pairs));
        };
        let last = self.advance(&rest, &part.extent);
        self.finished = last.is_some();
        Some(Ok(RangePart::Found(part.found, last)))
    }

    async fn read_chunk(&mut self) -> Result<RangeChunk, RequestError> {
        let mut reply = read_range(&self.shared, self.part()).await?;
        let kvs = std::mem::take(&mut reply.kvs);
        let mut extent = Extent::default();
        kvs.iter().for_each(|pair| extent.take_in(pair.into()));
        let last = self.advance(&reply, &extent);
        Ok(RangeChunk { kvs, last })
    }

    /// How many pairs the limit leaves.
    fn left(&self) -> Option<i64> {
        (self.query.limit > 0).then(|| self.query.limit - self.sent)
    }

    /// What is asked for the next part.
    fn part(&self) -> RangeQuery {
        let mut query = self.query.clone();
        let wanted = i64::try_from(self.chunk_keys).unwrap_or(i64::MAX);
        query.limit = self.left().map_or(wanted, |left| left.min(wanted));
        query.revision = self.pinned.map_or(query.revision, |(at, _)| at);
        query
    }

    /// Counts a part as sent, and returns what there is to say with it if it is the last one.
    fn advance(&mut self, reply: &RangeReply, part: &Extent) -> Option<RangeReply> {
        let newest = self.pin(reply);
        let left = self.left();
        let remaining = if self.query.count_only {
            0
        } else {
            reply.count - part.pairs
        };
        self.sent += part.pairs;
        self.go_on_behind(part);
        if remaining > 0 && left.is_none_or(|left| left > part.pairs) {
            return None;
        }
        let count = if self.query.count_only {
            reply.count
        } else {
            self.sent + remaining
        };
        Some(RangeReply {
            revision: newest,
            kvs: Vec::new(),
            more: remaining > 0,
            count,
        })
    }

    fn pin(&mut self, reply: &RangeReply) -> Revision {
        let asked = self.query.revision;
        let at = if asked.0 > 0 { asked } else { reply.revision };
        self.pinned.get_or_insert((at, reply.revision)).1
    }

    /// The next part begins behind the last key, and holds about as many keys as fit the budget.
    fn go_on_behind(&mut self, part: &Extent) {
        if part.pairs == 0 {
            return;
        }
        let next = model::key_after(&part.last_key);
        self.query.range = match &self.query.range {
            KeyRange::Single(_) => KeyRange::Between(next.clone(), next),
            KeyRange::Between(_, end) => KeyRange::Between(next, end.clone()),
            KeyRange::From(_) => KeyRange::From(next),
        };
        if part.bytes * 2 <= self.chunk_bytes {
            self.chunk_keys *= 2;
        } else if part.bytes > self.chunk_bytes {
            self.chunk_keys = (self.chunk_keys / 2).max(1);
        }
    }
}

/// How far a part goes.
#[derive(Debug, Default)]
struct Extent {
    pairs: i64,
    /// Octets of keys and values.
    bytes: usize,
    /// The last key, copied: it is another one with each pair, and sharing costs more.
    last_key: Vec<u8>,
}

impl Extent {
    fn take_in(&mut self, pair: PairRef<'_>) {
        self.pairs += 1;
        self.bytes += pair.key.len() + pair.value.map_or(0, Bytes::len);
        self.last_key.clear();
        self.last_key.extend_from_slice(pair.key);
    }
}

/// Measures what it hands on.
struct Measured<F> {
    found: F,
    extent: Extent,
}

impl<F: Found> Found for Measured<F> {
    fn add(&mut self, pair: PairRef<'_>) {
        self.extent.take_in(pair);
        self.found.add(pair);
    }

    fn copied(&self) -> usize {
        self.found.copied()
    }
}
