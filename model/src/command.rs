//! What clients, and time, may ask the store to change.

use bytes::Bytes;

use crate::{AlarmMember, KeyRange, LeaseId, Position, RangeQuery, Revision};

/// Writes one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The key, not empty.
    pub key: Bytes,
    /// The value; must be empty with `ignore_value`.
    pub value: Bytes,
    /// The lease to attach the key to; none detaches it.
    pub lease: LeaseId,
    /// Whether the reply carries the pair as it was before.
    pub prev_kv: bool,
    /// Keep the value the key has; the key must exist.
    pub ignore_value: bool,
    /// Keep the lease the key has; the key must exist.
    pub ignore_lease: bool,
}

/// Deletes every key of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRange {
    /// The keys to delete.
    pub range: KeyRange,
    /// Whether the reply carries the pairs as they were before.
    pub prev_kv: bool,
}

/// How a compared number or value must relate to the given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareResult {
    /// Equal to it.
    Equal,
    /// Greater than it.
    Greater,
    /// Less than it.
    Less,
    /// Not equal to it.
    NotEqual,
    /// A wire value that etcd does not know: it lets such a comparison hold.
    Unknown,
}

/// What of a key is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The key's version.
    Version(i64),
    /// The key's create revision.
    CreateRevision(i64),
    /// The key's mod revision.
    ModRevision(i64),
    /// The key's value.
    Value(Bytes),
    /// The key's lease.
    Lease(i64),
    /// A wire value that etcd does not know: it compares equal.
    Unknown,
}

/// One condition of a transaction; it must hold for every key of the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The keys the condition is about; a range without keys counts as one missing key.
    pub range: KeyRange,
    /// What is compared with what.
    pub target: CompareTarget,
    /// The relation that must hold.
    pub result: CompareResult,
}

/// One step of a transaction's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read a range.
    Range(RangeQuery),
    /// Write a key.
    Put(Put),
    /// Delete a range.
    DeleteRange(DeleteRange),
    /// A transaction inside the transaction.
    Txn(Txn),
    /// A step without content, which etcd refuses as "key not found".
    Missing,
}

/// A transaction: all conditions are looked at first, then one of the branches runs in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The conditions, all of which must hold.
    pub compare: Vec<Compare>,
    /// What to do if they hold.
    pub success: Vec<Operation>,
    /// What to do if they do not.
    pub failure: Vec<Operation>,
}

/// Asks for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseGrant {
    /// The wanted identity; zero lets `chosen` be used.
    pub id: LeaseId,
    /// An identity drawn by the caller, positive, for when `id` is zero.
    pub chosen: LeaseId,
    /// The wanted time to live, seconds.
    pub ttl: i64,
    /// The lease clock when the request arrived, milliseconds.
    pub now_ms: i64,
}

/// Activates or deactivates an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmAction {
    /// Raise it.
    Activate(AlarmMember),
    /// Clear it.
    Deactivate(AlarmMember),
}

/// Everything that can change the store. Time is one more client: expiry, renewal and scrubbing are commands too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Write one key.
    Put(Put),
    /// Delete a range of keys.
    DeleteRange(DeleteRange),
    /// Run a transaction.
    Txn(Txn),
    /// Forget history below a revision.
    Compact(Revision),
    /// Grant a lease.
    LeaseGrant(LeaseGrant),
    /// Move the stored deadline of a lease to this lease-clock millisecond.
    LeaseRenew {
        /// The lease to renew.
        id: LeaseId,
        /// The new stored deadline.
        deadline_ms: i64,
    },
    /// Revoke a lease and delete its keys.
    LeaseRevoke(LeaseId),
    /// Delete log rows that compaction made unreachable.
    Scrub(Vec<Position>),
    /// Raise or clear an alarm.
    Alarm(AlarmAction),
}
