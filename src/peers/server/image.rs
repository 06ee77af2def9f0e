//! This member's replica for one without: in parts of a size that leaves the connection free for others.

use actors::Image;
use bytes::Bytes;
use proto::peer as pb;
use tonic::Status;

use super::stopping;
use crate::peers::PACK_BYTES;
use crate::peers::errors::to_status;
use crate::services::streams::{Session, Shutdown};

/// One transfer.
pub(super) struct ImageSession {
    image: Image,
    /// What was read of the replica and not sent yet.
    rest: Bytes,
    finished: bool,
    shutdown: Shutdown,
}

impl ImageSession {
    pub(super) fn new(image: Image, shutdown: Shutdown) -> Self {
        Self {
            image,
            rest: Bytes::new(),
            finished: false,
            shutdown,
        }
    }

    /// The next chunk; the last one is empty.
    async fn chunk(&mut self) -> Result<pb::ImageChunk, Status> {
        while self.rest.is_empty() && !self.finished {
            let part = tokio::select! {
                part = self.image.next() => part.map_err(to_status)?,
                () = &mut self.shutdown => return Err(stopping()),
            };
            match part {
                Some(part) => self.rest = part,
                None => self.finished = true,
            }
        }
        let size = self.rest.len().min(PACK_BYTES);
        Ok(pb::ImageChunk {
            data: self.rest.split_to(size),
            last: self.finished,
        })
    }
}

impl Session for ImageSession {
    type Answer = pb::ImageChunk;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        if self.finished {
            return None;
        }
        Some(self.chunk().await)
    }
}
