//! What clients saw of leases besides their calls.

use serde::{Deserialize, Serialize};

use super::Moment;

/// A keep-alive. It bears no revision of its own, so it is no [`super::Call`] whose order is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// Who sent it.
    pub client: u32,
    /// The member it was sent to, counted from 0.
    pub member: u32,
    /// The lease.
    pub lease: i64,
    /// When it left.
    pub invoked: Moment,
    /// When the answer came, or the client gave up.
    pub returned: Moment,
    /// Seconds that the server answered, 0 for "there is no such lease"; none without an answer.
    pub ttl: Option<i64>,
}

/// What became of a lease once its clients had stopped and all faults were over: it was asked about again and again
/// until it was gone, or until there was no patience left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// The lease.
    pub lease: i64,
    /// The member that was asked, counted from 0.
    pub member: u32,
    /// When it was asked about first.
    pub asked: Moment,
    /// When the last answer came.
    pub at: Moment,
    /// What that answer said: seconds left, or -1 for "there is no such lease".
    pub ttl: i64,
}

impl Fate {
    /// Whether it was gone in the end.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.ttl < 0
    }
}
