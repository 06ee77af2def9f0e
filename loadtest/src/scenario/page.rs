//! Lists in pages as an apiserver reads them: the first page says at which revision, the others are pinned to it and
//! go on behind the last key.

use std::sync::Arc;

use anyhow::Result;
use bytes::{BufMut, Bytes, BytesMut};
use proto::etcdserverpb::{RangeRequest, RangeResponse};

use super::ground::Ground;
use crate::client::wire::{RangeSummary, decode, frame, range_summary};
use crate::client::{CallError, Connection, Route};
use crate::keys::KeyRange;
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct Page {
    ground: Ground,
}

impl Page {
    /// Walks through the ground's keys.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for Page {
    type Worker = Pager;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.ground.prepare(connection).await.map(drop)
    }

    async fn worker(&self, _index: usize, connections: &[Connection]) -> Result<Pager> {
        Ok(Pager {
            route: connections[0].route("/etcdserverpb.KV/Range")?,
            names: Arc::clone(&self.ground.names),
            range: self.ground.range(),
            size: self.ground.load.page,
            read: 0,
            revision: 0,
        })
    }
}

/// One client on its way through the keys.
pub(crate) struct Pager {
    route: Route,
    names: Arc<Vec<Bytes>>,
    range: KeyRange,
    size: usize,
    /// Number of keys that earlier pages have brought.
    read: usize,
    /// The revision of this walk; 0 before its first page.
    revision: i64,
}

impl Worker for Pager {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let summary = match self.read {
            0 => self.first_page().await?,
            _ => range_summary(self.route.call(self.request()).await?)?,
        };
        let wanted = page_of(self.names.len() - self.read, self.size);
        if summary != wanted {
            return Err(CallError::Wrong(format!(
                "a page is {summary:?} instead of {wanted:?}"
            )));
        }
        self.read = if wanted.more { self.read + self.size } else { 0 };
        Ok(Outcome::Done("page"))
    }
}

impl Pager {
    /// Goes back to the first page.
    pub(crate) fn begin_again(&mut self) {
        self.read = 0;
    }

    async fn first_page(&mut self) -> Result<RangeSummary, CallError> {
        self.revision = 0;
        let answer: RangeResponse = decode(self.route.call(self.request()).await?)?;
        self.revision = answer.header.map_or(0, |header| header.revision);
        Ok(RangeSummary {
            keys: answer.kvs.len(),
            count: answer.count as u64,
            more: answer.more,
        })
    }

    fn request(&self) -> Bytes {
        let key = match self.read {
            0 => self.range.start.clone(),
            read => behind(&self.names[read - 1]),
        };
        frame(&RangeRequest {
            key,
            range_end: self.range.end.clone(),
            limit: self.size as i64,
            revision: self.revision,
            ..Default::default()
        })
    }
}

/// The page that must come when so many keys are left.
fn page_of(left: usize, size: usize) -> RangeSummary {
    RangeSummary {
        keys: left.min(size),
        count: left as u64,
        more: left > size,
    }
}

/// The first key behind this one.
fn behind(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_is_short_and_says_so() {
        assert_eq!(
            page_of(1200, 500),
            RangeSummary {
                keys: 500,
                count: 1200,
                more: true
            }
        );
        assert_eq!(
            page_of(500, 500),
            RangeSummary {
                keys: 500,
                count: 500,
                more: false
            }
        );
        assert_eq!(
            page_of(200, 500),
            RangeSummary {
                keys: 200,
                count: 200,
                more: false
            }
        );
    }
}
