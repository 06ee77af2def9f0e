//! A member of another release: it answers with what this one does not know.

use std::sync::Arc;

use actors::{Ask, Claim, Epoch, Peer, PeerError, Progress, RequestError};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use proto::peer as pb;
use proto::peer::peer_server::{self, PeerServer};
use tonic::{Request, Response, Status, Streaming};

use super::ground::{CALLER, PATIENCE};
use super::*;
use crate::services::streams::Answers;

struct OtherRelease;

#[tonic::async_trait]
impl peer_server::Peer for OtherRelease {
    type ForwardStream = Answers<pb::ForwardResponse>;
    type FollowStream = Answers<pb::FollowResponse>;
    type ImageStream = Answers<pb::ImageChunk>;

    async fn forward(
        &self,
        request: Request<Streaming<pb::ForwardRequest>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        let answers = request.into_inner().map(|request| {
            let answer = |call: pb::Call| pb::Outcome {
                id: call.id,
                outcome: None,
            };
            let outcomes = request?.calls.into_iter().map(answer).collect();
            Ok(pb::ForwardResponse { outcomes })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn follow(
        &self,
        _: Request<Streaming<pb::FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let said = |followed| pb::Followed { followed };
        let known = pb::followed::Followed::Continued(pb::Continued {});
        let followed = vec![said(Some(known)), said(None)];
        let answers = stream::iter([Ok(pb::FollowResponse { followed })]);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn promise(&self, _: Request<pb::PromiseRequest>) -> Result<Response<pb::PromiseResponse>, Status> {
        Err(Status::unimplemented("no promises"))
    }

    async fn image(&self, _: Request<pb::ImageRequest>) -> Result<Response<Self::ImageStream>, Status> {
        let chunk = pb::ImageChunk {
            data: Bytes::from_static(b"a part"),
            last: false,
        };
        Ok(Response::new(Box::pin(stream::iter([Ok(chunk)]))))
    }

    async fn describe(
        &self,
        _: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::DescribeResponse>, Status> {
        Ok(Response::new(pb::DescribeResponse::default()))
    }
}

fn peer() -> RemotePeer {
    let connector: Connector = Arc::new(|| {
        Box::pin(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            let service = TowerToHyperService::new(PeerServer::new(OtherRelease));
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(far), service));
            Ok(Box::new(near) as Box<dyn Wire>)
        })
    });
    let introduction = Introduction {
        caller: CALLER,
        called: 0,
    };
    RemotePeer::new(connector, introduction, PATIENCE)
}

fn is_not_understood<T>(result: Result<T, PeerError>) -> bool {
    matches!(result, Err(PeerError::NotUnderstood(_)))
}

#[tokio::test]
async fn an_answer_of_tomorrow_is_an_outcome_that_nobody_can_say() {
    let answer = soon(peer().ask(Ask::Leases)).await;
    assert!(
        matches!(answer, Err(RequestError::NotUnderstood(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_is_followed_ends_before_what_is_not_known() {
    let mut following = peer().follow(2, Progress::default());
    assert_eq!(soon(following.next()).await, Ok(actors::Followed::Continued));
    assert!(is_not_understood(soon(following.next()).await));
}

#[tokio::test]
async fn a_replica_without_an_end_is_not_complete() {
    let read = soon(peer().image().collect()).await;
    assert!(matches!(read, Err(PeerError::Lost(_))), "{read:?}");
}

#[tokio::test]
async fn what_is_not_served_or_says_too_little_is_not_understood() {
    let claim = Claim {
        epoch: Epoch(1),
        leader: 2,
        confirm: false,
    };
    assert!(is_not_understood(soon(peer().promise(claim)).await));
    assert!(is_not_understood(soon(peer().describe()).await));
}
