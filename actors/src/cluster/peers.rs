//! How a member reaches another one: over gRPC, or directly where both are in one process.

use std::pin::Pin;

use thiserror::Error;

use super::feed::Following;
use super::image::Image;
use super::messages::{Ask, AskOutcome, Claim, MemberDescription, Progress, Promised};

/// The answer of a peer, on its way. Dropping it gives up waiting; what was asked may be done all the same.
pub type PeerAnswer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A member, as another member sees it.
///
/// What a member does for others and how others reach it have the same face: the pipeline implements it for
/// itself, the gRPC server asks that implementation, and the gRPC client implements it for a member elsewhere.
/// In one process a pipeline can be handed to another as its peer.
pub trait Peer: Send + Sync + 'static {
    /// Asks the member to do something as the leader: at once, not when the answer is awaited. Many may be under
    /// way, answered in any order. Nothing is asked twice. The answer is waited for as long as the member is
    /// there; who wants it sooner bounds the wait.
    ///
    /// A failure says what is known: [`NoLeader`](crate::RequestError::NoLeader) and
    /// [`NotLeader`](crate::RequestError::NotLeader) that it was not done;
    /// [`TimedOutConnectionLost`](crate::RequestError::TimedOutConnectionLost) that nobody can say.
    fn ask(&self, ask: Ask) -> PeerAnswer<AskOutcome>;

    /// Follows the member as leader from where the follower stands. What it says first is
    /// [`Continued`](super::Followed::Continued), [`Reconciled`](super::Followed::Reconciled) or
    /// [`TooFarBehind`](super::Followed::TooFarBehind). Dropping what is returned ends it.
    fn follow(&self, follower: u64, from: Progress) -> Following;

    /// Asks for a promise of followership, or whether it still holds: at once, not when the answer is awaited.
    fn promise(&self, claim: Claim) -> PeerAnswer<Result<Promised, PeerError>>;

    /// The member's replica as bytes, for a member without one.
    fn image(&self) -> Image;

    /// Asks the member what it is.
    fn describe(&self) -> PeerAnswer<Result<MemberDescription, PeerError>>;
}

/// Why a peer gave no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PeerError {
    /// No connection could be made, so nothing was asked; it may be tried again later.
    #[error("peer cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke or the member fell silent; what was asked may or may not have been done.
    #[error("peer connection lost: {0}")]
    Lost(String),
    /// The member does not do what was asked at present: it does not lead, or is starting or stopping.
    #[error("peer is not ready: {0}")]
    NotReady(String),
    /// The members do not belong together: another cluster, or releases without a common protocol. Trying
    /// again does not help.
    #[error("peer does not belong to this cluster: {0}")]
    Stranger(String),
    /// The member said something that this release does not understand.
    #[error("peer said something not understood: {0}")]
    NotUnderstood(String),
    /// The reader was too slow and was left behind: it may begin again from where it stands.
    #[error("left behind: {0}")]
    LeftBehind(String),
}
