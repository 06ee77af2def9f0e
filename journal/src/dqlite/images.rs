//! The local replica, read when nobody who leads can be asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dqlite::client::{Error, PlainConnector};
use model::{Position, Revision};
use parking_lot::Mutex;

use super::fault::Fault;
use super::image::Image;
use super::session::{DATABASE, Session};
use super::{DqliteOptions, SchemaRule};
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
    schema: SchemaRule,
    last: Mutex<Option<(Instant, Arc<Image>)>>,
}

impl Images {
    /// Images of the local node's replica.
    pub(super) fn new(options: &DqliteOptions) -> Self {
        Self {
            node: options.node.clone(),
            timeout: options.timeout,
            kept: options.image_kept,
            schema: options.schema.clone(),
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
            Ok(bytes) => Ok(Some(Arc::new(Image::under(&self.schema, vec![bytes])?))),
        }
    }

    /// An image that reaches as far as this position: the last one if it does, or one made now.
    pub(super) fn reaching(&self, wanted: Position) -> Result<Arc<Image>, ReadError> {
        let image = self.last_or_new(|image| image.newest() >= wanted)?;
        super::select::refuse_behind(image.newest(), wanted)?;
        Ok(image)
    }

    /// An image that reaches as far as this revision; none if this member has no replica, as one that does not vote
    /// may not.
    pub(super) fn up_to_if_any(&self, wanted: Revision) -> Result<Option<Arc<Image>>, ReadError> {
        let kept = self.last.lock().is_some();
        if !kept && self.now_if_any()?.is_none() {
            return Ok(None);
        }
        let image = self.last_or_new(|image| image.revision() >= wanted)?;
        if image.revision() < wanted {
            let (found, wanted) = (image.revision().0, wanted.0);
            let behind = format!("this member's replica ends at revision {found}, not {wanted}");
            return Err(ReadError::Failed(behind));
        }
        Ok(Some(image))
    }

    fn last_or_new(&self, reaches: impl Fn(&Image) -> bool) -> Result<Arc<Image>, ReadError> {
        // Held while an image is made, so that it is made once for all who wait.
        let mut last = self.last.lock();
        match &*last {
            Some((made, image)) if made.elapsed() < self.kept && reaches(image) => Ok(Arc::clone(image)),
            _ => self.renew(&mut last),
        }
    }

    fn renew(&self, last: &mut Option<(Instant, Arc<Image>)>) -> Result<Arc<Image>, ReadError> {
        // The old one goes first: two databases in memory are one too many.
        *last = None;
        let image = Arc::new(Image::under(&self.schema, vec![self.dump()?])?);
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
