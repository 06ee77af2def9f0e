//! A log that several members share: whoever leads appends to it, and every later leader finds it there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use model::{AlarmMember, Effect, Lease, Revision};

use crate::{AppendError, Journal, ReadError, Reader};

/// One member's hold on a log that the members of a cluster share. Calls may block.
///
/// The log itself decides who may write: each leader claims it under an epoch of its own before it appends
/// anything, and from then on nothing can be appended under an earlier epoch.
pub trait SharedLog: Send + Sync + 'static {
    /// Claims the log for this member. Whatever was appended before is in what the claim tells, and nothing
    /// is appended any more by whoever claimed it before.
    ///
    /// # Errors
    /// [`AppendError::NotLeader`] when another member leads or none does. The claim may count all the same,
    /// if the error is [`AppendError::Lost`]: then the next one has a higher epoch.
    fn claim(&self) -> Result<Claim, AppendError>;

    /// The writing side under a claim. It ends with the first append that finds another epoch.
    ///
    /// # Errors
    /// As for [`claim`](Self::claim).
    fn writer(&self, claim: &Claim) -> Result<Box<dyn SharedJournal>, AppendError>;

    /// The reading side. On the member that leads it shows everything appended; on others it may be behind.
    fn reader(&self) -> Arc<dyn Reader>;

    /// The versions of the log's schema; zeros where there are none.
    fn schemas(&self) -> Schemas {
        Schemas::default()
    }

    /// This member's replica of the log as bytes, for a member that has none.
    ///
    /// # Errors
    /// When there is no replica here either.
    fn image(&self) -> Result<Bytes, ReadError>;

    /// Hands every effect stored in another member's replica to `sink`, as [`Reader::replay`] does.
    ///
    /// # Errors
    /// Bytes that are no replica.
    fn replay_image(&self, image: Vec<Bytes>, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError>;
}

/// The writing side of a log that members share. An append is spent waiting for others of them.
pub trait SharedJournal: Journal {
    /// [`append`](Journal::append) without blocking, on the runtime where it is awaited first. It is to be awaited to its
    /// end: of an append that is given up nobody knows whether it was made, and the writer is of no use after it.
    fn append_shared<'a>(&'a mut self, effects: &'a [Effect]) -> Appending<'a>;
}

/// An append under way.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<(), AppendError>> + 'a>>;

/// Versions of a shared log's schema, as one member sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schemas {
    /// The newest version that the member can read and write.
    pub known: u32,
    /// The version that the log has; zero while the member has not seen it.
    pub in_use: u32,
}

/// A leader's hold on the log, and what the log held at that moment beside its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Grows with every claim; never zero.
    pub epoch: i64,
    /// The compact revision.
    pub compact_revision: Revision,
    /// Every lease.
    pub leases: Vec<Lease>,
    /// The raised alarms.
    pub alarms: Vec<AlarmMember>,
    /// What the lease clock showed when leases were last stored, milliseconds; zero if they never were.
    pub lease_clock_ms: i64,
}
