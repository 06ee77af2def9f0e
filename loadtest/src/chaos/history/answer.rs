//! What a server said.

use serde::{Deserialize, Serialize};

use super::request::Text;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// With an answer.
    Answered(Answer),
    /// With an error that says that nothing was done, and why.
    Refused(Refusal),
    /// Without a word, or with an error that leaves it open: a write may have happened, or may happen later.
    Unknown(String),
}

/// Why a request was refused. The request had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The revision is compacted.
    Compacted,
    /// The revision is not there yet.
    FutureRevision,
    /// There is no such lease.
    LeaseNotFound,
    /// There is such a lease already.
    LeaseExists,
    /// The store is full.
    NoSpace,
    /// The server has too much to do.
    TooManyRequests,
    /// Anything else: chaos traffic sends nothing that deserves it.
    Other(String),
}

/// An answer: its body, and the revision that its header gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// `header.revision`.
    pub revision: i64,
    /// The rest.
    pub body: Body,
}

/// What an answer says besides its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// To a range.
    Range(RangeBody),
    /// To a put: the pair before.
    Put(Option<Pair>),
    /// To a deletion.
    DeleteRange {
        /// Keys deleted.
        deleted: i64,
        /// The pairs before.
        previous: Vec<Pair>,
    },
    /// To a transaction.
    Txn {
        /// Which branch ran.
        succeeded: bool,
        /// What its operations said.
        responses: Vec<Body>,
    },
    /// To a grant.
    LeaseGrant {
        /// The lease.
        id: i64,
        /// Seconds that it lives: what was asked for, or more.
        #[serde(default)]
        ttl: i64,
    },
    /// To a revocation.
    LeaseRevoke,
    /// To a compaction.
    Compact,
}

/// What a range found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeBody {
    /// The pairs, in order.
    pub pairs: Vec<Pair>,
    /// Keys in the range, whatever the limit.
    pub count: i64,
    /// The limit cut keys off.
    pub more: bool,
}

/// A key as it stood at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// The key.
    pub key: Text,
    /// Its value.
    pub value: Text,
    /// Revision at which it came to be.
    pub create_revision: i64,
    /// Revision of its newest change.
    pub mod_revision: i64,
    /// Puts since it came to be.
    pub version: i64,
    /// Its lease; 0 for none.
    pub lease: i64,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whether it was a deletion.
    pub delete: bool,
    /// The pair after it. A deletion has only the key and its own revision, as `mod_revision`.
    pub pair: Pair,
    /// The pair before it, if it was asked for and there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Pair>,
}

impl Event {
    /// The revision at which it happened.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.pair.mod_revision
    }
}

impl Body {
    /// Whether an answer says that a revision was used: every put, and every deletion of something.
    #[must_use]
    pub fn tells_change(&self) -> bool {
        match self {
            Self::Put(_) => true,
            Self::DeleteRange { deleted, .. } => *deleted > 0,
            Self::Txn { responses, .. } => responses.iter().any(Self::tells_change),
            Self::Range(_) | Self::LeaseGrant { .. } | Self::LeaseRevoke | Self::Compact => false,
        }
    }
}
