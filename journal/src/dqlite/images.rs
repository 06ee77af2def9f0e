//! The local replica, read when nobody who leads can be asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dqlite::client::{Error, PlainConnector};
use model::Position;
use parking_lot::Mutex;

use super::fault::Fault;
use super::image::Image;
use super::session::{DATABASE, Session};
use crate::ReadError;

/// The node's code for a database that it does not have.
const NO_DATABASE: u64 = 1002;

/// What is dumped at most, bytes.
const LIMIT: u64 = 16 << 30;

/// Where the local node is, and the image of it that was made last.
pub(super) struct Images {
    node: String,
    timeout: Duration,
    kept: Duration,
    last: Mutex<Option<(Instant, Arc<Image>)>>,
}

impl Images {
    /// Images of this node's replica, each kept for so long.
    pub(super) fn new(node: String, timeout: Duration, kept: Duration) -> Self {
        Self {
            node,
            timeout,
            kept,
            last: Mutex::new(None),
        }
    }

    /// The replica's bytes at this moment.
    pub(super) fn dump(&self) -> Result<Bytes, Fault> {
        let mut session = Session::connect(&PlainConnector, &self.node, self.timeout)?;
        let files = session.run(async |log| log.client.dump(DATABASE, LIMIT).await)?;
        let main = files.into_iter().find(|file| file.name == DATABASE);
        main.map(|file| file.content)
            .ok_or_else(|| Fault::Corrupt("a copy without a database".to_owned()))
    }

    /// An image made now.
    pub(super) fn now(&self) -> Result<Arc<Image>, ReadError> {
        self.renew(&mut self.last.lock())
    }

    /// An image made now; none if there is no log yet in this replica, as on a member that has just begun.
    pub(super) fn now_if_any(&self) -> Result<Option<Arc<Image>>, ReadError> {
        match self.dump() {
            Err(Fault::Node(Error::Sqlite {
                code: NO_DATABASE, ..
            })) => Ok(None),
            Err(other) => Err(other.into()),
            // Opened by a leader that has not made its tables yet.
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(bytes) => Ok(Some(Arc::new(Image::from_parts(vec![bytes])?))),
        }
    }

    /// An image that reaches as far as this position: the last one if it does, or one made now.
    pub(super) fn reaching(&self, wanted: Position) -> Result<Arc<Image>, ReadError> {
        // Held while an image is made, so that it is made once for all who wait.
        let mut last = self.last.lock();
        let image = match &*last {
            Some((made, image)) if made.elapsed() < self.kept && image.newest() >= wanted => {
                Arc::clone(image)
            }
            _ => self.renew(&mut last)?,
        };
        super::select::refuse_behind(image.newest(), wanted)?;
        Ok(image)
    }

    /// As [`reaching`](Self::reaching); none if this member has no replica, as one that does not vote may not.
    pub(super) fn reaching_if_any(&self, wanted: Position) -> Result<Option<Arc<Image>>, ReadError> {
        let kept = self.last.lock().is_some();
        if !kept && self.now_if_any()?.is_none() {
            return Ok(None);
        }
        self.reaching(wanted).map(Some)
    }

    fn renew(&self, last: &mut Option<(Instant, Arc<Image>)>) -> Result<Arc<Image>, ReadError> {
        // The old one goes first: two databases in memory are one too many.
        *last = None;
        let image = Arc::new(Image::from_parts(vec![self.dump()?])?);
        *last = Some((Instant::now(), Arc::clone(&image)));
        Ok(image)
    }

    /// Gives the memory of an image back that nobody may use any more.
    pub(super) fn forget_old(&self) {
        if let Some(mut last) = self.last.try_lock()
            && last.as_ref().is_some_and(|(made, _)| made.elapsed() >= self.kept)
        {
            *last = None;
        }
    }
}
