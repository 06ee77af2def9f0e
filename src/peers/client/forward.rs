//! The way of what is asked: one stream to the member, many calls on it, small ones packed.
//!
//! A call is sent once. If the stream breaks, what was sent may have been done and is answered as lost; what
//! was not sent goes over the next stream, or is answered as not done if there is none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actors::{Ask, AskOutcome, Gate, PeerAnswer, PeerError, Permit, RequestError};
use proto::peer as pb;
use proto::peer::call::Ask as WireAsk;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::answered;
use super::line::Line;
use crate::peers::convert::{ask_to_wire, outcome_from_wire};
use crate::peers::{CALLS_MAX, PACK_BYTES, PACK_OVERHEAD};

/// Bytes of calls that may be under way to a member.
const CALL_BYTES_MAX: u64 = 64 << 20;
/// Callers that gave up are forgotten this often.
const TIDY: Duration = Duration::from_secs(1);

/// Where calls to a member go in.
pub(super) struct Forwarder {
    queue: mpsc::UnboundedSender<Call>,
    gate: Arc<Gate>,
}

/// A call that waits to be sent.
struct Call {
    ask: WireAsk,
    bytes: usize,
    caller: Caller,
}

/// Who waits for an answer, and the room that the call takes until then.
struct Caller {
    answer: oneshot::Sender<AskOutcome>,
    permit: Permit,
}

impl Caller {
    fn has_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    /// The room is given back first: whoever has an answer finds it free.
    fn tell(self, outcome: AskOutcome) {
        drop(self.permit);
        let _gone = self.answer.send(outcome);
    }
}

impl Forwarder {
    pub(super) fn start(line: Arc<Line>) -> Self {
        let (queue, calls) = mpsc::unbounded_channel();
        tokio::spawn(forward(
            line,
            Calls {
                queue: calls,
                held: None,
            },
        ));
        Self {
            queue,
            gate: Gate::new(CALLS_MAX as u64, CALL_BYTES_MAX),
        }
    }

    #[cfg(test)]
    pub(super) fn report(&self) -> actors::GateReport {
        self.gate.report()
    }

    pub(super) fn ask(&self, ask: Ask) -> PeerAnswer<AskOutcome> {
        let asked = self.enqueue(ask);
        Box::pin(async move { asked?.await.unwrap_or(Err(RequestError::Stopped)) })
    }

    fn enqueue(&self, ask: Ask) -> Result<oneshot::Receiver<AskOutcome>, RequestError> {
        // What cannot be said to any member is nothing that this cluster can do.
        let ask = ask_to_wire(ask).map_err(|_| RequestError::NotCapable)?;
        let bytes = ask.encoded_len() + PACK_OVERHEAD;
        let permit = self.gate.admit(bytes as u64)?;
        let (answer, answered) = oneshot::channel();
        let caller = Caller { answer, permit };
        let queued = self.queue.send(Call { ask, bytes, caller });
        queued.map_err(|_| RequestError::Stopped)?;
        Ok(answered)
    }
}

/// Calls that wait to be sent, and one that did not fit into a message.
struct Calls {
    queue: mpsc::UnboundedReceiver<Call>,
    held: Option<Call>,
}

impl Calls {
    /// Waits until there is a call; false when there will be none. Giving up waiting loses nothing.
    async fn wait(&mut self) -> bool {
        if self.held.is_none() {
            self.held = self.queue.recv().await;
        }
        self.held.is_some()
    }

    /// The next call that somebody still wants, if there is one already.
    fn next(&mut self) -> Option<Call> {
        loop {
            let call = self.held.take().or_else(|| self.queue.try_recv().ok())?;
            if !call.caller.has_given_up() {
                return Some(call);
            }
        }
    }

    /// As many calls as fit into a message, at least one if there is any.
    fn pack(&mut self) -> Vec<Call> {
        let mut packed = Vec::new();
        let mut bytes = 0;
        while let Some(call) = self.next() {
            bytes += call.bytes;
            if bytes > PACK_BYTES && !packed.is_empty() {
                self.held = Some(call);
                break;
            }
            packed.push(call);
        }
        packed
    }

    /// Nothing of what waits was sent.
    fn refuse(&mut self) {
        while let Some(call) = self.next() {
            call.caller.tell(Err(RequestError::NoLeader));
        }
    }
}

/// Sends calls, over one stream after the other.
async fn forward(line: Arc<Line>, mut calls: Calls) {
    while calls.wait().await {
        match Conversation::open(&line).await {
            Ok(conversation) => conversation.hold(&mut calls).await,
            Err(error) => {
                tracing::debug!(%error, "what was asked of a peer was not sent");
                calls.refuse();
            }
        }
    }
}

/// One stream.
struct Conversation {
    requests: Option<mpsc::Sender<pb::ForwardRequest>>,
    responses: Streaming<pb::ForwardResponse>,
    callers: HashMap<u64, Caller>,
    sent: u64,
    tidy: Interval,
}

/// What happened next on a stream.
enum Turn {
    /// There is a call, and room for a message.
    Send,
    /// There will be no more calls.
    NoMore,
    Received(Result<Option<pb::ForwardResponse>, Status>),
    Tidy,
}

/// Waits for a call and for room to send it. If the member stopped listening, what it answers says why.
async fn to_send(requests: Option<&mpsc::Sender<pb::ForwardRequest>>, calls: &mut Calls) -> Turn {
    let room = match requests {
        Some(requests) => requests.reserve().await.ok(),
        None => None,
    };
    if room.is_none() {
        std::future::pending::<()>().await;
    }
    if calls.wait().await {
        Turn::Send
    } else {
        Turn::NoMore
    }
}

impl Conversation {
    /// Opens a stream. Nothing but a hello is sent before the member has accepted it.
    async fn open(line: &Line) -> Result<Self, PeerError> {
        let mut client = line.client().await?;
        let (requests, sending) = mpsc::channel(1);
        let hello = pb::ForwardRequest {
            hello: Some(line.introduction.hello()),
            calls: Vec::new(),
        };
        // The channel is new and has room for one.
        let _has_room = requests.try_send(hello);
        let responses = answered(line.patience, client.forward(ReceiverStream::new(sending))).await?;
        let mut tidy = tokio::time::interval(TIDY);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            requests: Some(requests),
            responses,
            callers: HashMap::new(),
            sent: 0,
            tidy,
        })
    }

    /// Sends calls and hands out answers until the stream ends, or until there is no more to ask and to answer.
    async fn hold(mut self, calls: &mut Calls) {
        while self.requests.is_some() || !self.callers.is_empty() {
            match self.turn(calls).await {
                Turn::Send => self.send(calls.pack()),
                Turn::NoMore => self.requests = None,
                Turn::Received(Ok(Some(response))) => self.received(response),
                Turn::Received(ended) => return self.broken(ended.err()),
                Turn::Tidy => self.callers.retain(|_, caller| !caller.has_given_up()),
            }
        }
    }

    async fn turn(&mut self, calls: &mut Calls) -> Turn {
        tokio::select! {
            received = self.responses.message() => Turn::Received(received),
            turn = to_send(self.requests.as_ref(), calls) => turn,
            _ = self.tidy.tick(), if !self.callers.is_empty() => Turn::Tidy,
        }
    }

    fn send(&mut self, packed: Vec<Call>) {
        let mut request = pb::ForwardRequest::default();
        for call in packed {
            self.sent += 1;
            let (id, ask) = (self.sent, Some(call.ask));
            self.callers.insert(id, call.caller);
            request.calls.push(pb::Call { id, ask });
        }
        if request.calls.is_empty() {
            return;
        }
        // There is room, as nobody else sends. If the stream just broke, the callers learn it from the responses.
        if let Some(requests) = &self.requests {
            let _broken = requests.try_send(request);
        }
    }

    fn received(&mut self, response: pb::ForwardResponse) {
        for told in response.outcomes {
            if let Some(caller) = self.callers.remove(&told.id) {
                caller.tell(outcome_from_wire(told.outcome));
            }
        }
    }

    /// Nobody can say what became of the calls.
    fn broken(self, status: Option<Status>) {
        let reason = status
            .map(|status| status.message().to_owned())
            .unwrap_or_default();
        let lost = self.callers.len();
        tracing::debug!(reason, lost, "the stream of calls to a peer ended");
        for caller in self.callers.into_values() {
            caller.tell(Err(RequestError::TimedOutConnectionLost));
        }
    }
}
