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
}
