//! What a build from sources tells of raft, which dqlite's own interface does not.

use std::ffi::{c_int, c_void};

use crate::DqliteNode;

/// [`TaffrailRaft::state`]: not started, stopped, or not able to write its log.
pub const TAFFRAIL_UNAVAILABLE: u64 = 0;
/// [`TaffrailRaft::state`]: follows, or waits for a leader to follow.
pub const TAFFRAIL_FOLLOWER: u64 = 1;
/// [`TaffrailRaft::state`]: asks for votes.
pub const TAFFRAIL_CANDIDATE: u64 = 2;
/// [`TaffrailRaft::state`]: leads, as far as it knows.
pub const TAFFRAIL_LEADER: u64 = 3;

/// Raft as a node sees it, all of one moment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaffrailRaft {
    /// One of the constants.
    pub state: u64,
    /// The latest term it has seen.
    pub term: u64,
    /// The leader's id in that term. 0: it is not known, or the leader, this node, hands over.
    pub leader: u64,
    /// The last entry in its log, committed or not.
    pub last_index: u64,
    /// The last entry it knows to be committed.
    pub commit_index: u64,
    /// The last entry in its databases.
    pub applied_index: u64,
}

/// Called on the node's loop thread whenever anything in `now` is new. Must not block, nor call the node.
pub type TaffrailRaftChanged = unsafe extern "C" fn(arg: *mut c_void, now: *const TaffrailRaft);

unsafe extern "C" {
    /// Copies what the node saw last: changes of state at once, the rest at most a turn of its loop late. From any
    /// thread, as long as the node is not destroyed.
    pub fn taffrail_node_raft(n: *mut DqliteNode, now: *mut TaffrailRaft);
    /// Sets what is called on changes. Before the start.
    pub fn taffrail_node_set_raft_changed(
        n: *mut DqliteNode,
        changed: Option<TaffrailRaftChanged>,
        arg: *mut c_void,
    ) -> c_int;
}
