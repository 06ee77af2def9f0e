//! Why a request did not get its answer.

use model::Refusal;
use thiserror::Error;

/// A request that failed. The texts are etcd's where etcd has one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The rules say no; nothing was changed, and the same request will be refused again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The pipeline is full; nothing was changed, and the request may be tried again later.
    #[error("etcdserver: too many requests")]
    Overloaded,
    /// The server is going down; a write may or may not have been made.
    #[error("etcdserver: server stopped")]
    Stopped,
    /// The log could not be written; nothing was changed.
    #[error("etcdserver: request failed: {0}")]
    NotStored(String),
    /// The log could not be read.
    #[error("etcdserver: log read failed: {0}")]
    Unreadable(String),
    /// There is no leader, or it cannot be reached; nothing was changed.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// Nobody led for as long as the request might take; nothing was changed. etcd proposes nothing then, and has no text
    /// of its own for the end of that time.
    #[error("context deadline exceeded")]
    NotProposed,
    /// The leader changed while the request was under way; a write may or may not have been made.
    #[error("etcdserver: leader changed")]
    LeaderChanged,
    /// The answer took too long; a write may or may not have been made.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// The leader failed while the request was under way; a write may or may not have been made.
    #[error("etcdserver: request timed out, possibly due to previous leader failure")]
    TimedOutLeaderFailure,
    /// The connection to the leader broke while the request was under way; a write may or may not have been made.
    #[error("etcdserver: request timed out, possibly due to connection lost")]
    TimedOutConnectionLost,
    /// The member that was asked does not lead; nothing was changed.
    #[error("etcdserver: not leader")]
    NotLeader,
    /// The member that is to lead cannot; nothing was changed.
    #[error("etcdserver: bad leader transferee")]
    BadTransferee,
    /// Too few members are in good health for a change of membership; nothing was changed.
    #[error("etcdserver: unhealthy cluster")]
    UnhealthyCluster,
    /// The leader's release does not know how; nothing was changed.
    #[error("etcdserver: not capable")]
    NotCapable,
    /// The leader's answer was not understood by this release; a write may or may not have been made.
    #[error("etcdserver: the leader's answer was not understood: {0}")]
    NotUnderstood(String),
}
