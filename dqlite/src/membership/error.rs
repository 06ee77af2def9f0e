//! What can go wrong with membership.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::client;
use crate::node::NodeError;
use crate::store::StoreError;

/// Why a node does not start as a member. Apart from [`StartError::Node`], nothing was changed.
#[derive(Debug, Error)]
pub enum StartError {
    /// The files cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The data directory belongs to a node with another address.
    #[error("data directory {} belongs to the node at {stored}, not to one at {configured}", path.display())]
    OtherAddress {
        /// The data directory.
        path: PathBuf,
        /// The address in `info.yaml`.
        stored: String,
        /// The address in the settings.
        configured: String,
    },
    /// The node was a member, and its log is gone: with its promises forgotten it could vote twice, or, as
    /// the node that began the cluster, begin a second one. Remove it from the cluster and let
    /// it join anew, from an empty directory.
    #[error("data directory {} belonged to node {id} and its log is gone: remove the node, and join with an empty directory", path.display())]
    LogMissing {
        /// The data directory.
        path: PathBuf,
        /// The node's identity.
        id: u64,
    },
    /// The node was told that it has been removed from its cluster. Its address may be another member's by now,
    /// which it must not be taken for.
    #[error(
        "data directory {} is that of member {id:x}, which has been removed from its cluster for good; to be a member \
         again it must be added anew, and start with an empty data directory",
        path.display()
    )]
    Removed {
        /// The data directory.
        path: PathBuf,
        /// The node's identity.
        id: u64,
    },
    /// The data directory is empty, and the cluster has a member at this address, which is not new: its data
    /// was lost. Remove that member, and let the node join under a new identity.
    #[error(
        "the cluster has member {id:x} at {address} already, whose data is not here: remove the member, then add it again"
    )]
    AddressTaken {
        /// The node's address.
        address: String,
        /// The member that is reached there.
        id: u64,
    },
    /// The node is to begin a cluster and another node belongs to one already.
    #[error(
        "the node at {other} belongs to a cluster of {members} already: this one must join it, not begin another"
    )]
    ClusterExists {
        /// The node that was asked.
        other: String,
        /// How many members its cluster has.
        members: usize,
    },
    /// The data directory is to join a cluster, and holds the identity of a node that begins one.
    #[error("data directory {} is to join a cluster, but its identity is that of a node that begins one", path.display())]
    BootstrapIdentity {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory is empty, and the settings say neither to begin nor whom to join.
    #[error("data directory {} is empty, and there is no cluster to begin or to join", path.display())]
    NoOrigin {
        /// The data directory.
        path: PathBuf,
    },
    /// The settings name no other node to join.
    #[error("there is no node to join but {address} itself")]
    NobodyToJoin {
        /// The node's own address.
        address: String,
    },
    /// A number of voters that cannot be aimed at.
    #[error("{0} voters: it must be an odd number")]
    Voters(u32),
}

/// Why the cluster was not changed or not asked.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// There was no leader that would do it in time. It may have been done, or be done yet: look at the members.
    #[error("no leader did it within {waited:?}: {reason}")]
    NotInTime {
        /// How long was waited.
        waited: Duration,
        /// What happened last.
        reason: String,
    },
    /// The leader refuses, or is not asked, since the member that it would be for is not there.
    #[error("the leader refuses: {0}")]
    Refused(#[source] client::Error),
    /// There is no such member.
    #[error("node {0} is not a member of the cluster")]
    NotAMember(u64),
    /// Without this member nobody votes.
    #[error("node {0} is the only voter of its cluster")]
    OnlyVoter(u64),
}
