//! A member elsewhere, as the pipeline sees it.

mod channel;
mod forward;
mod line;
mod streams;

use std::sync::Arc;

use actors::{
    Ask, AskOutcome, Claim, Epoch, Following, Image, MemberDescription, Peer, PeerAnswer, PeerError,
    Progress, Promised,
};
use proto::peer as pb;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tonic::{Response, Status};

use super::convert::description_from_wire;
use super::errors::{from_status, not_understood};
use super::{Connector, Introduction, Patience};
#[cfg(test)]
pub(super) use channel::Channel;
use forward::Forwarder;
use line::Line;

/// What a follower may have been fed and has not taken yet, in bytes.
const FEED_BYTES: usize = 8 << 20;
/// Claims and questions that may be under way. A leader that confirms reads gives up on a slow member as soon
/// as others have answered, and soon claims again: those must not pile up.
const QUESTIONS_MAX: usize = 64;

/// A member that is reached over gRPC.
///
/// There is one connection to it for everything but replicas, made when it is needed and again when it broke.
/// What was under way on one that broke is answered as lost and never asked again.
///
/// Everything runs on the runtime that it was made on, whoever asks: connections outlive an actor's thread,
/// and reading messages does not take its time.
pub struct RemotePeer {
    runtime: Handle,
    line: Arc<Line>,
    forwarder: Forwarder,
    questions: Arc<Semaphore>,
}

impl RemotePeer {
    /// A member at the other end of the connector's connections.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(connector: Connector, introduction: Introduction, patience: Patience) -> Self {
        let line = Arc::new(Line::new(connector, introduction, patience));
        Self {
            runtime: Handle::current(),
            forwarder: Forwarder::start(Arc::clone(&line)),
            line,
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        }
    }

    /// Asks a question at once. It is not taken back when nobody waits for the answer any more: to reset
    /// stream after stream would look like an attack to the other end.
    fn question<T: Send + 'static>(
        &self,
        asking: impl Future<Output = Result<T, PeerError>> + Send + 'static,
    ) -> PeerAnswer<Result<T, PeerError>> {
        let Ok(room) = Arc::clone(&self.questions).try_acquire_owned() else {
            let too_many = PeerError::NotReady("it has answered too few of the questions before".into());
            return Box::pin(std::future::ready(Err(too_many)));
        };
        let asked = self.runtime.spawn(async move {
            let answer = asking.await;
            drop(room);
            answer
        });
        Box::pin(async move {
            let stopped = |_| PeerError::Lost("this member is stopping".into());
            asked.await.map_err(stopped)?
        })
    }

    /// What was asked of the member and is not answered yet.
    #[cfg(test)]
    pub fn report(&self) -> actors::GateReport {
        self.forwarder.report()
    }
}

impl Peer for RemotePeer {
    fn ask(&self, ask: Ask) -> PeerAnswer<AskOutcome> {
        self.forwarder.ask(ask)
    }

    fn follow(&self, follower: u64, from: Progress) -> Following {
        let (feeder, following) = Following::channel(from, FEED_BYTES);
        self.runtime
            .spawn(streams::follow(Arc::clone(&self.line), follower, feeder));
        following
    }

    fn promise(&self, claim: Claim) -> PeerAnswer<Result<Promised, PeerError>> {
        let line = Arc::clone(&self.line);
        self.question(async move { promise(&line, claim).await })
    }

    fn image(&self) -> Image {
        let (writer, image) = Image::channel();
        self.runtime.spawn(streams::image(Arc::clone(&self.line), writer));
        image
    }

    fn describe(&self) -> PeerAnswer<Result<MemberDescription, PeerError>> {
        let line = Arc::clone(&self.line);
        self.question(async move { describe(&line).await })
    }
}

async fn promise(line: &Line, claim: Claim) -> Result<Promised, PeerError> {
    let mut client = line.client().await?;
    let request = pb::PromiseRequest {
        hello: Some(line.introduction.hello()),
        epoch: claim.epoch.0,
        leader_member_id: claim.leader,
        confirm: claim.confirm,
    };
    let response = answered(line.patience, client.promise(request)).await?;
    Ok(if response.granted {
        Promised::Granted
    } else {
        let highest = Epoch(response.highest_epoch);
        Promised::Refused { highest }
    })
}

async fn describe(line: &Line) -> Result<MemberDescription, PeerError> {
    let mut client = line.client().await?;
    let hello = Some(line.introduction.hello());
    let response = answered(line.patience, client.describe(pb::DescribeRequest { hello })).await?;
    description_from_wire(response).map_err(|error| not_understood(&error))
}

/// What the member answers, if it does in time.
async fn answered<T>(
    patience: Patience,
    answering: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, PeerError> {
    match tokio::time::timeout(patience.answer, answering).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(from_status(&status)),
        Err(_) => Err(PeerError::Lost("no answer in time".into())),
    }
}
