//! What one member asks of this one: calls go to the pipeline as they come, answers go back as they are there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actors::{AskOutcome, Peer, PeerAnswer, RequestError};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use proto::peer as pb;
use tonic::{Status, Streaming};

use crate::peers::convert::{ask_from_wire, outcome_to_wire};
use crate::peers::{CALLS_MAX, PACK_BYTES, PACK_OVERHEAD};
use crate::services::streams::{Session, Shutdown};

/// A call under way in the pipeline.
struct Answering {
    id: u64,
    answer: PeerAnswer<AskOutcome>,
}

impl Future for Answering {
    type Output = pb::Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.id;
        self.answer.as_mut().poll(context).map(|outcome| pb::Outcome {
            id,
            outcome: Some(outcome_to_wire(outcome)),
        })
    }
}

/// One stream. It is driven by who reads the answers: a member that does not read them is not listened to.
pub(super) struct ForwardSession {
    member: Arc<dyn Peer>,
    requests: Streaming<pb::ForwardRequest>,
    /// Whether there may be more calls.
    listening: bool,
    answering: FuturesUnordered<Answering>,
    shutdown: Shutdown,
}

/// What happened next on a stream.
enum Turn {
    Shutdown,
    Received(Result<Option<pb::ForwardRequest>, Status>),
    Answered(pb::Outcome),
    AllAnswered,
}

impl ForwardSession {
    pub(super) fn new(
        member: Arc<dyn Peer>,
        requests: Streaming<pb::ForwardRequest>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            member,
            requests,
            listening: true,
            answering: FuturesUnordered::new(),
            shutdown,
        }
    }

    /// Hands calls to the pipeline. One that is not understood is answered so, and nothing is done.
    pub(super) fn call(&mut self, calls: Vec<pb::Call>) {
        for pb::Call { id, ask } in calls {
            let answer = match ask_from_wire(ask) {
                Ok(ask) => self.member.ask(ask),
                Err(error) => {
                    tracing::warn!(%error, "a peer asked for something that this release does not know");
                    Box::pin(std::future::ready(Err(RequestError::NotCapable)))
                }
            };
            self.answering.push(Answering { id, answer });
        }
    }

    async fn turn(&mut self) -> Turn {
        let has_room = self.answering.len() < CALLS_MAX;
        tokio::select! {
            () = &mut self.shutdown, if self.listening => Turn::Shutdown,
            request = self.requests.message(), if self.listening && has_room => Turn::Received(request),
            Some(outcome) = self.answering.next() => Turn::Answered(outcome),
            else => Turn::AllAnswered,
        }
    }

    /// An answer, with those that are there already.
    fn pack(&mut self, first: pb::Outcome) -> pb::ForwardResponse {
        let size = |outcome: &pb::Outcome| PACK_OVERHEAD + prost::Message::encoded_len(outcome);
        let mut bytes = size(&first);
        let mut outcomes = vec![first];
        while bytes < PACK_BYTES
            && let Some(Some(outcome)) = self.answering.next().now_or_never()
        {
            bytes += size(&outcome);
            outcomes.push(outcome);
        }
        pb::ForwardResponse { outcomes }
    }
}

impl Session for ForwardSession {
    type Answer = pb::ForwardResponse;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        loop {
            match self.turn().await {
                Turn::Received(Ok(Some(request))) => self.call(request.calls),
                Turn::Received(Ok(None)) | Turn::Shutdown => self.listening = false,
                Turn::Received(Err(broken)) => return Some(Err(broken)),
                Turn::Answered(outcome) => return Some(Ok(self.pack(outcome))),
                Turn::AllAnswered => return None,
            }
        }
    }
}
