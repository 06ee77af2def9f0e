//! What a decision changes. Effects are what the log stores and what a state is made of.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::{LeaseId, Position, Revision, Version};

/// One change of one key: etcd's event, PUT or DELETE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key that changed.
    pub key: Bytes,
    /// The new value; empty for a delete.
    pub value: Bytes,
    /// Revisions, version, lease and the log row of this change.
    pub version: Version,
}

impl Event {
    /// Whether this event deletes its key.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        self.version.is_tombstone()
    }

    /// Whether this event creates its key, as clients see it.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.version.create_revision == self.version.mod_revision
    }

    /// Bytes that the event occupies in memory and, nearly, in the log: the unit of every byte budget.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.len() + self.value.len() + size_of::<Self>()
    }
}

/// A lease as it is stored: its promise and how long it is good for without another write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lease's identity.
    pub id: LeaseId,
    /// The granted time to live, seconds.
    pub ttl: i64,
    /// Milliseconds on the lease clock before which the lease must not expire, also not after a restart.
    pub deadline_ms: i64,
}

impl Lease {
    /// Bounds of the slack, milliseconds. A longer slack saves more writes, and may lengthen a lease more
    /// when the server restarts.
    const SLACK_MS: RangeInclusive<i64> = 5_000..=60_000;

    /// How far the stored deadline runs ahead of the promised one, milliseconds: renewals within it need
    /// no write, and the time that a write takes cannot shorten a lease.
    #[must_use]
    pub fn slack_ms(ttl: i64) -> i64 {
        Self::ttl_ms(ttl).clamp(*Self::SLACK_MS.start(), *Self::SLACK_MS.end())
    }

    /// A time to live in milliseconds.
    #[must_use]
    pub fn ttl_ms(ttl: i64) -> i64 {
        ttl.saturating_mul(1000)
    }
}

/// What an alarm says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// The space quota is used up: writes that need space are refused.
    NoSpace,
    /// The data was found to be corrupt: every write is refused.
    Corrupt,
}

/// An alarm as it is raised: each member has its own, and any of them binds the whole cluster.
///
/// As in etcd, a client may raise one for an identity that no member has, zero for instance; it is
/// cleared by the same identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmMember {
    /// What it says.
    pub alarm: Alarm,
    /// The member it is raised for.
    pub member_id: u64,
}

/// One change of the store. A state is the sum of its effects, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A key was put or deleted.
    Key(Event),
    /// A lease was granted.
    LeaseGranted(Lease),
    /// The stored deadline of a lease was moved.
    LeaseRenewed(Lease),
    /// A lease is gone, its keys were deleted by the effects before this one.
    LeaseRevoked(LeaseId),
    /// History below this revision may no longer be read.
    Compacted(Revision),
    /// Log rows that no readable revision needs were deleted.
    Scrubbed(Vec<Position>),
    /// An alarm was raised.
    AlarmRaised(AlarmMember),
    /// An alarm was cleared.
    AlarmCleared(AlarmMember),
}

impl Effect {
    /// Bytes that the effect occupies, for batch and queue budgets.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Key(event) => event.size(),
            Self::Scrubbed(positions) => positions.len() * size_of::<Position>(),
            _ => size_of::<Self>(),
        }
    }
}
