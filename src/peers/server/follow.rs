//! One follower: what the pipeline feeds it goes out, how far it is comes in.

use actors::{Followed, Following};
use proto::peer as pb;
use tonic::{Status, Streaming};

use super::stopping;
use crate::peers::convert::{followed_to_wire, progress_from_wire};
use crate::peers::errors::{not_understood, to_status};
use crate::peers::{PACK_BYTES, PACK_OVERHEAD};
use crate::services::streams::{Session, Shutdown};

/// One stream. It is driven by who reads it: nothing is taken from the feed before the connection has room, so
/// a follower that reads slowly fills its feed.
pub(super) struct FollowSession {
    requests: Streaming<pb::FollowRequest>,
    following: Following,
    shutdown: Shutdown,
}

/// What happened next on a stream.
enum Turn {
    Shutdown,
    Received(Result<Option<pb::FollowRequest>, Status>),
    Fed(Followed),
    Ended(Status),
}

impl FollowSession {
    pub(super) fn new(
        requests: Streaming<pb::FollowRequest>,
        following: Following,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            requests,
            following,
            shutdown,
        }
    }

    async fn turn(&mut self) -> Turn {
        tokio::select! {
            () = &mut self.shutdown => Turn::Shutdown,
            request = self.requests.message() => Turn::Received(request),
            fed = self.following.next() => fed.map_or_else(|reason| Turn::Ended(to_status(reason)), Turn::Fed),
        }
    }

    fn acknowledged(&self, request: pb::FollowRequest) -> Result<(), Status> {
        let progress =
            progress_from_wire(request.progress).map_err(|error| to_status(not_understood(&error)))?;
        self.following.acknowledge(progress);
        Ok(())
    }

    /// What was fed, with what is there already. A feed that has ended says so when it is asked again.
    fn pack(&mut self, first: &Followed) -> pb::FollowResponse {
        let mut bytes = first.size();
        let mut followed = vec![followed_to_wire(first)];
        while bytes < PACK_BYTES
            && let Some(Ok(next)) = self.following.next_now()
        {
            bytes += next.size() + PACK_OVERHEAD;
            followed.push(followed_to_wire(&next));
        }
        pb::FollowResponse { followed }
    }
}

impl Session for FollowSession {
    type Answer = pb::FollowResponse;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        loop {
            match self.turn().await {
                Turn::Fed(followed) => return Some(Ok(self.pack(&followed))),
                Turn::Received(Ok(Some(request))) => {
                    if let Err(refused) = self.acknowledged(request) {
                        return Some(Err(refused));
                    }
                }
                Turn::Received(Ok(None)) => return None,
                Turn::Received(Err(ended)) | Turn::Ended(ended) => return Some(Err(ended)),
                Turn::Shutdown => return Some(Err(stopping())),
            }
        }
    }
}
