//! What a member does for others: its pipeline behind the generated service.

mod follow;
mod forward;
mod image;

use std::sync::Arc;

use actors::{Claim, Epoch, MemberDescription, Peer, PeerError, Promised};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use journal::Identity;
use proto::peer as pb;
use proto::peer::peer_server::{self, PeerServer};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::convert::{description_to_wire, progress_from_wire};
use super::errors::{not_understood, to_status};
use super::introduction::{Admitted, accept};
use super::{CONNECTION_WINDOW, MESSAGE_BYTES_MAX, PROTOCOL, Patience, STREAM_WINDOW, Wire};
use crate::services::streams::{Answers, Session, on_shutdown};
use follow::FollowSession;
use forward::ForwardSession;
use image::ImageSession;

/// Streams that one member may have open: some long ones, and claims and questions in between.
const STREAMS_MAX: u32 = 256;
/// Streams that it may open and reset before they were looked at.
const PENDING_RESETS: usize = 2048;

/// Lets other members see a member. Clones share it.
#[derive(Clone)]
pub struct PeerService {
    member: Arc<dyn Peer>,
    identity: Identity,
    patience: Patience,
    stopping: CancellationToken,
}

impl PeerService {
    /// The service of this member. When it is `stopping`, what was asked is still answered and streams end.
    #[must_use]
    pub fn new(
        member: Arc<dyn Peer>,
        identity: Identity,
        patience: Patience,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            member,
            identity,
            patience,
            stopping,
        }
    }

    /// Serves one connection until the other member ends it or falls silent, or this one has stopped.
    ///
    /// # Errors
    /// How the connection broke.
    pub async fn serve<W: Wire>(&self, wire: W) -> Result<(), hyper::Error> {
        let service = PeerServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .keep_alive_interval(self.patience.silence)
            .keep_alive_timeout(self.patience.pong)
            .serve_connection(TokioIo::new(wire), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    fn accept(&self, hello: Option<pb::Hello>, admitted: Admitted) -> Result<u64, Status> {
        accept(hello, self.identity, admitted).map_err(to_status)
    }

    /// The first request of a stream.
    async fn first<T>(&self, requests: &mut Streaming<T>) -> Result<T, Status> {
        let said = tokio::time::timeout(self.patience.answer, requests.message()).await;
        let said = said.map_err(|_| to_status(PeerError::NotUnderstood("no hello in time".into())))?;
        said?.ok_or_else(|| to_status(PeerError::NotUnderstood("a stream without a hello".into())))
    }
}

#[tonic::async_trait]
impl peer_server::Peer for PeerService {
    type ForwardStream = Answers<pb::ForwardResponse>;
    type FollowStream = Answers<pb::FollowResponse>;
    type ImageStream = Answers<pb::ImageChunk>;

    async fn forward(
        &self,
        request: Request<Streaming<pb::ForwardRequest>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        let mut requests = request.into_inner();
        let first = self.first(&mut requests).await?;
        self.accept(first.hello, Admitted::Members)?;
        let shutdown = on_shutdown(&self.stopping);
        let mut session = ForwardSession::new(Arc::clone(&self.member), requests, shutdown);
        session.call(first.calls);
        Ok(Response::new(session.answers()))
    }

    async fn follow(
        &self,
        request: Request<Streaming<pb::FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let mut requests = request.into_inner();
        let first = self.first(&mut requests).await?;
        let follower = self.accept(first.hello, Admitted::Members)?;
        let from = progress_from_wire(first.progress).map_err(|error| to_status(not_understood(&error)))?;
        let following = self.member.follow(follower, from);
        let session = FollowSession::new(requests, following, on_shutdown(&self.stopping));
        Ok(Response::new(session.answers()))
    }

    async fn promise(
        &self,
        request: Request<pb::PromiseRequest>,
    ) -> Result<Response<pb::PromiseResponse>, Status> {
        let request = request.into_inner();
        self.accept(request.hello, Admitted::Members)?;
        let claim = Claim {
            epoch: Epoch(request.epoch),
            leader: request.leader_member_id,
            confirm: request.confirm,
        };
        let promised = self.member.promise(claim).await.map_err(to_status)?;
        Ok(Response::new(match promised {
            Promised::Granted => pb::PromiseResponse {
                granted: true,
                highest_epoch: 0,
            },
            Promised::Refused { highest } => pb::PromiseResponse {
                granted: false,
                highest_epoch: highest.0,
            },
        }))
    }

    async fn image(&self, request: Request<pb::ImageRequest>) -> Result<Response<Self::ImageStream>, Status> {
        self.accept(request.into_inner().hello, Admitted::Newcomers)?;
        let session = ImageSession::new(self.member.image(), on_shutdown(&self.stopping));
        Ok(Response::new(session.answers()))
    }

    async fn describe(
        &self,
        request: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::DescribeResponse>, Status> {
        self.accept(request.into_inner().hello, Admitted::Newcomers)?;
        let member = self.member.describe().await.map_err(to_status)?;
        Ok(Response::new(description_to_wire(MemberDescription {
            protocol: PROTOCOL,
            ..member
        })))
    }
}

/// The member is going down.
fn stopping() -> Status {
    to_status(PeerError::NotReady("the member is stopping".into()))
}
