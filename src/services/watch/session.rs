//! One watch stream: requests go to the hub, what the hub tells goes to the client.

use std::collections::VecDeque;
use std::sync::Arc;

use actors::{WatchRequests, WatchResponse, WatchResponses};
use proto::etcdserverpb as pb;
use tonic::{Request, Status, Streaming};

use super::fragment::fragments;
use crate::services::streams::{LeaderLost, Session, Shutdown, on_leader_lost, on_shutdown};
use crate::services::{Context, convert, status};

/// A client's stream. Dropping it, when the client goes away, closes the hub's side of it.
///
/// One task does both directions: it reads requests whenever the client takes answers, so a client that never
/// reads its answers fills its own connection, and nothing is queued here.
pub(super) struct WatchSession {
    context: Arc<Context>,
    inbound: Streaming<pb::WatchRequest>,
    /// Whether the client may still say something. It may stop and go on to listen.
    listening: bool,
    requests: WatchRequests,
    responses: WatchResponses,
    /// What is left of a response that was split.
    fragments: VecDeque<pb::WatchResponse>,
    shutdown: Shutdown,
    leader_lost: LeaderLost,
}

/// What happened next on a stream.
enum Turn {
    Shutdown,
    LeaderLost,
    Received(Result<Option<pb::WatchRequest>, Status>),
    Told(Option<WatchResponse>),
}

/// The client's next request, once the hub has room for it.
async fn receive(
    requests: &WatchRequests,
    inbound: &mut Streaming<pb::WatchRequest>,
) -> Result<Option<pb::WatchRequest>, Status> {
    requests.ready().await;
    inbound.message().await
}

impl WatchSession {
    pub(super) fn new(context: Arc<Context>, request: Request<Streaming<pb::WatchRequest>>) -> Self {
        let leader_lost = on_leader_lost(context.store(), request.metadata());
        let inbound = request.into_inner();
        let (requests, responses) = context.store().open_watch_stream();
        let shutdown = on_shutdown(context.shutdown());
        Self {
            context,
            inbound,
            listening: true,
            requests,
            responses,
            fragments: VecDeque::new(),
            shutdown,
            leader_lost,
        }
    }

    /// Requests come first: a client that is flooded with events must still be able to cancel.
    async fn turn(&mut self) -> Turn {
        tokio::select! {
            biased;
            () = &mut self.shutdown => Turn::Shutdown,
            () = &mut self.leader_lost => Turn::LeaderLost,
            received = receive(&self.requests, &mut self.inbound), if self.listening => Turn::Received(received),
            told = self.responses.next() => Turn::Told(told),
        }
    }

    fn received(&mut self, request: Option<pb::WatchRequest>) {
        match request.map(convert::watch_request) {
            Some(Some(request)) => self.requests.send(request),
            Some(None) => {}
            None => self.listening = false,
        }
    }

    /// The response for the wire, or its first part.
    fn answer(&mut self, told: WatchResponse) -> pb::WatchResponse {
        let may_split = matches!(&told, WatchResponse::Events { fragment: true, .. });
        let header = self.context.header(convert::header_of_watch(&told));
        let response = convert::watch_response(header, told);
        if !may_split {
            return response;
        }
        let (first, rest) = fragments(response, self.context.limits().max_message_bytes());
        self.fragments = rest;
        first
    }
}

impl Session for WatchSession {
    type Answer = pb::WatchResponse;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        if let Some(fragment) = self.fragments.pop_front() {
            return Some(Ok(fragment));
        }
        loop {
            match self.turn().await {
                Turn::Received(Ok(request)) => self.received(request),
                Turn::Received(Err(broken)) if broken.code() == tonic::Code::Cancelled => {
                    return Some(Err(status::watch_canceled()));
                }
                Turn::Received(Err(broken)) => return Some(Err(status::of_received(broken))),
                Turn::Told(Some(told)) => return Some(Ok(self.answer(told))),
                Turn::LeaderLost => return Some(Err(status::no_leader())),
                Turn::Told(None) | Turn::Shutdown => return Some(Err(status::stopped())),
            }
        }
    }
}
