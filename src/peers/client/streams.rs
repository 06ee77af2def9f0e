//! What a member streams: what it committed, and its replica.

use std::sync::Arc;
use std::time::Duration;

use actors::{Feeder, ImageWriter, PeerError};
use proto::peer as pb;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tonic::Streaming;

use super::answered;
use super::line::Line;
use crate::peers::convert::{followed_from_wire, progress_to_wire};
use crate::peers::errors::{from_status, not_understood};

/// How often a leader hears how far its follower is. Nobody waits for that, and each time costs both about as much as a
/// batch does.
const BETWEEN_ACKNOWLEDGEMENTS: Duration = Duration::from_millis(20);

/// Feeds a follower with what the member streams, until either ends it.
pub(super) async fn follow(line: Arc<Line>, follower: u64, feeder: Feeder) {
    let reason = tokio::select! {
        reason = feed(&line, follower, &feeder) => reason,
        () = feeder.closed() => return,
    };
    feeder.end(reason);
}

/// Why the stream ended.
async fn feed(line: &Line, follower: u64, feeder: &Feeder) -> PeerError {
    let mut responses = match open_follow(line, follower, feeder).await {
        Ok(responses) => responses,
        Err(error) => return error,
    };
    loop {
        let response = match responses.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return PeerError::Lost("the member ended the stream".into()),
            Err(status) => return from_status(&status),
        };
        for followed in response.followed {
            match followed_from_wire(followed) {
                // Only a follower that is gone takes nothing, and then nobody waits for a reason.
                Ok(followed) => drop(feeder.send(followed).await),
                Err(error) => return not_understood(&error),
            }
        }
    }
}

/// The first request says where the follower stands, and each later one where it has come to since.
async fn open_follow(
    line: &Line,
    follower: u64,
    feeder: &Feeder,
) -> Result<Streaming<pb::FollowResponse>, PeerError> {
    let mut client = line.client().await?;
    let mut hello = Some(pb::Hello {
        from_member_id: follower,
        ..line.introduction.hello()
    });
    let acknowledgements = WatchStream::new(feeder.acknowledgements()).throttle(BETWEEN_ACKNOWLEDGEMENTS);
    let requests = acknowledgements.map(move |progress| pb::FollowRequest {
        hello: hello.take(),
        progress: Some(progress_to_wire(progress)),
    });
    answered(line.patience, client.follow(requests)).await
}

/// Hands the member's replica over, until either ends it. On a connection of its own, so that what is small
/// and urgent does not wait behind it.
pub(super) async fn image(line: Arc<Line>, writer: ImageWriter) {
    let fetched = tokio::select! {
        fetched = fetch(&line, &writer) => fetched,
        () = writer.closed() => return,
    };
    match fetched {
        Ok(()) => writer.finish().await,
        Err(reason) => writer.fail(reason).await,
    }
}

async fn fetch(line: &Line, writer: &ImageWriter) -> Result<(), PeerError> {
    let mut client = line.client_alone().await?;
    let hello = Some(line.introduction.hello());
    let mut chunks = answered(line.patience, client.image(pb::ImageRequest { hello })).await?;
    while let Some(chunk) = chunks.message().await.map_err(|status| from_status(&status))? {
        if !chunk.data.is_empty() && !writer.send(chunk.data).await {
            break;
        }
        if chunk.last {
            return Ok(());
        }
    }
    Err(PeerError::Lost("the replica ended early".into()))
}
