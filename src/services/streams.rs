//! What the streaming services share.

use std::pin::Pin;

use actors::Store;
use futures_util::stream::{self, Stream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::interceptor::demands_leader;

/// The answers of a streaming call.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The end of the server, waited for once per stream: registering again for each answer would be felt.
pub type Shutdown = Pin<Box<WaitForCancellationFutureOwned>>;

/// Waits for the end of the server.
pub fn on_shutdown(token: &CancellationToken) -> Shutdown {
    Box::pin(token.clone().cancelled_owned())
}

/// The loss of the leader that the client of a stream demands; it never comes for one that demands none.
pub(super) type LeaderLost = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits until the leader is lost that a call with this metadata demands.
pub(super) fn on_leader_lost(store: &Store, metadata: &MetadataMap) -> LeaderLost {
    if !demands_leader(metadata.as_ref()) {
        return Box::pin(std::future::pending());
    }
    let store = store.clone();
    Box::pin(async move { store.leader_lost().await })
}

/// One streaming call: it lives as long as somebody reads its answers, and is dropped when the client goes away.
pub trait Session: Send + Sized + 'static {
    /// What is answered.
    type Answer: Send + 'static;

    /// The next answer; an error or `None` ends the call.
    fn next(&mut self) -> impl Future<Output = Option<Result<Self::Answer, Status>>> + Send;

    /// The answers as tonic takes them.
    fn answers(self) -> Answers<Self::Answer> {
        Box::pin(stream::unfold(self, |mut session| async move {
            let answer = session.next().await?;
            Some((answer, session))
        }))
    }
}
