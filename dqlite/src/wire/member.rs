//! The nodes of a cluster, as they are told on the wire.

use std::fmt;

use super::DecodeError;

/// A node, and where it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Server {
    /// The node's identity, not zero.
    pub id: u64,
    /// The address in the cluster's configuration.
    pub address: String,
}

/// A node of a cluster and its part in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The node's identity, not zero.
    pub id: u64,
    /// The address in the cluster's configuration.
    pub address: String,
    /// The node's part.
    pub role: Role,
}

/// What a node does for its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It holds the data, and its vote and its copy count.
    #[default]
    Voter,
    /// It holds the data, and counts for nothing.
    Standby,
    /// It holds no data.
    Spare,
}

impl Role {
    /// The number of the role on the wire and in go-dqlite's files.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Voter => 0,
            Self::Standby => 1,
            Self::Spare => 2,
        }
    }

    /// The role of this number.
    pub fn from_number(number: u64) -> Result<Self, DecodeError> {
        match number {
            0 => Ok(Self::Voter),
            1 => Ok(Self::Standby),
            2 => Ok(Self::Spare),
            other => Err(DecodeError::UnknownRole(other)),
        }
    }
}

impl fmt::Display for Role {
    /// The words that go-dqlite uses.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Voter => "voter",
            Self::Standby => "stand-by",
            Self::Spare => "spare",
        })
    }
}
