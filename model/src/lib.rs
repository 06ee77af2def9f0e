//! The rules of etcd as pure functions.
//!
//! A [`Command`] is decided against a [`View`] of the newest state and becomes a [`Decision`]: the
//! [`Effect`]s that must be durable, and the [`Reply`] that may be told once they are. Applying an
//! effect to a [`State`] has no rules and cannot refuse, so a state is a projection of the log that
//! can be thrown away and replayed. Reads are a [`RangeQuery`] evaluated by a [`Scan`] at one revision.
//!
//! This crate has no IO, no clock and no async: time and stored values are handed in.

mod command;
mod decide;
mod effect;
mod hash;
mod index;
mod key_range;
mod overlay;
mod query;
mod refusal;
mod reply;
mod scan;
mod state;
mod tally;
mod types;
mod view;

pub use command::{
    AlarmAction, Command, Compare, CompareResult, CompareTarget, DeleteRange, LeaseGrant, Operation, Put, Txn,
};
pub use decide::{Decision, Limits, decide, space_cost, validate};
pub use effect::{Alarm, AlarmMember, Effect, Event, Lease};
pub use hash::{HashKv, KvHasher};
pub use index::{CompactedVersions, Index};
pub use key_range::KeyRange;
pub use overlay::Overlay;
pub use query::{RangeQuery, SortOrder, SortTarget};
pub use refusal::Refusal;
pub use reply::{
    DeleteRangeReply, KeyValue, LeaseGrantReply, OperationReply, PairRef, PutReply, RangeReply, Reply,
    TxnReply, Value,
};
pub use scan::{Found, Scan, ScanStep, key_after};
pub use state::{Rest, State};
pub use tally::Tally;
pub use types::{LeaseId, Position, Revision, Version};
pub use view::{ValueSource, View};
