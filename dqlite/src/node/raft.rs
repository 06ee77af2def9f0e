//! Raft as a node sees it: told only by a library that was built from its sources.

/// Raft as a node sees it, all of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raft {
    /// Who leads, and in which term.
    pub leadership: Leadership,
    /// The last entry in the node's log, committed or not.
    pub last_index: u64,
    /// The last entry that the node knows to be committed.
    pub commit_index: u64,
    /// The last entry in the node's databases.
    pub applied_index: u64,
}

/// Who leads, as a node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// What the node does.
    pub state: RaftState,
    /// The latest term that it has seen.
    pub term: u64,
    /// The leader in that term. None: it is not known, or it is this node and hands over.
    pub leader: Option<u64>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftState {
    /// Nothing: it is not started, stopped, or not able to write its log.
    Unavailable,
    /// It follows, or waits for a leader to follow.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It leads, as far as it knows.
    Leader,
}

impl Leadership {
    /// What is known before the node starts.
    #[cfg(dqlite_static)]
    pub(super) const NONE: Self = Self {
        state: RaftState::Unavailable,
        term: 0,
        leader: None,
    };
}

#[cfg(dqlite_static)]
impl From<&dqlite_sys::TaffrailRaft> for Raft {
    fn from(raft: &dqlite_sys::TaffrailRaft) -> Self {
        Self {
            leadership: Leadership::from(raft),
            last_index: raft.last_index,
            commit_index: raft.commit_index,
            applied_index: raft.applied_index,
        }
    }
}

#[cfg(dqlite_static)]
impl From<&dqlite_sys::TaffrailRaft> for Leadership {
    fn from(raft: &dqlite_sys::TaffrailRaft) -> Self {
        let state = match raft.state {
            dqlite_sys::TAFFRAIL_FOLLOWER => RaftState::Follower,
            dqlite_sys::TAFFRAIL_CANDIDATE => RaftState::Candidate,
            dqlite_sys::TAFFRAIL_LEADER => RaftState::Leader,
            _ => RaftState::Unavailable,
        };
        Self {
            state,
            term: raft.term,
            leader: Some(raft.leader).filter(|leader| *leader != 0),
        }
    }
}
