//! How a node is.

use std::time::Duration;

use super::NodeError;
use super::raw::RawNode;

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The abstract socket to listen on.
    pub bind: Bind,
    /// The one-way latency that is expected between nodes, whole milliseconds: a heartbeat is sent every 1.5 of
    /// it, and an election begins 15 to 30 of it after the last one was heard.
    ///
    /// Measured on two processors (example `failover`): after the leader's death writes succeed again after 0.6 s with
    /// 20 ms, 0.9 s with 30, 1.7 s with 50 and 4.1 s with 100, medians of nine. Beside 24 busy threads
    /// leaders changed for no reason with 20 ms, with 30 and more they did not. The node's own pauses, such as for a
    /// copy of a large database, must fit in as well.
    pub network_latency: Duration,
    /// When the log is cut.
    pub snapshots: Snapshots,
    /// Whether the start may delete files of the log that are damaged. Not by default: they may hold what
    /// other nodes were promised.
    pub auto_recovery: bool,
    /// In what blocks the log is written: a power of two from 512 bytes to 256 KiB. Chosen by the C
    /// library, after the file system, if not set.
    pub block_size: Option<u32>,
    /// Where the node fails together with others, by whatever numbers; voters are spread over these.
    pub failure_domain: u64,
    /// Whether the C library promotes and demotes members while this node leads. It demotes a voter after one
    /// failed question, and stops adjusting when a change meets another one; off by
    /// default, since the membership of this crate does it better.
    pub role_management: Option<Targets>,
    /// How long a write waits for the one before it, whole milliseconds. None: it fails at once.
    pub busy_timeout: Option<Duration>,
}

impl Default for Options {
    /// The values that this crate recommends.
    fn default() -> Self {
        Self {
            bind: Bind::Any,
            network_latency: Duration::from_millis(50),
            snapshots: Snapshots::default(),
            auto_recovery: false,
            block_size: None,
            failure_domain: 0,
            role_management: None,
            busy_timeout: Some(Duration::from_secs(5)),
        }
    }
}

impl Options {
    pub(super) fn apply(&self, raw: &RawNode) -> Result<(), NodeError> {
        raw.set_network_latency(milliseconds("network latency", self.network_latency)?)?;
        self.snapshots.apply(raw)?;
        raw.set_auto_recovery(self.auto_recovery)?;
        raw.set_failure_domain(self.failure_domain)?;
        if let Some(size) = self.block_size {
            raw.set_block_size(size as usize)?;
        }
        if let Some(targets) = self.role_management {
            raw.manage_roles(targets)?;
        }
        match self.busy_timeout {
            Some(timeout) => raw.set_busy_timeout(milliseconds("busy timeout", timeout)?),
            None => Ok(()),
        }
    }
}

fn milliseconds(name: &str, time: Duration) -> Result<u32, NodeError> {
    let whole = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    if (1..=3_600_000).contains(&whole) {
        return Ok(whole);
    }
    Err(NodeError::misuse(format!(
        "{name} of {time:?}: it must be from 1 ms to 1 h"
    )))
}

/// The abstract socket that a node listens on; only its own process can connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// A name that the kernel chooses.
    #[default]
    Any,
    /// A name, without `@`; go-dqlite's would be `dqlite-<id>`.
    Name(String),
}

impl Bind {
    pub(super) fn address(&self) -> String {
        match self {
            Self::Any => "@".to_owned(),
            Self::Name(name) => format!("@{name}"),
        }
    }
}

/// When a snapshot of all databases is written and the log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// After how many entries at the earliest. Every snapshot writes all databases in full; so the next one waits, with
    /// a library built from its sources, until the entries weigh a quarter of it and 32 MiB, or are `trailing`.
    pub threshold: u32,
    /// How many entries are kept behind a snapshot for members that lag, in memory too. At least 4, and
    /// at least `threshold`.
    pub trailing: u32,
    /// Whether fewer are kept when they are larger than the snapshot.
    pub strategy: Trailing,
    /// Whether snapshots are compressed (LZ4).
    pub compressed: bool,
}

/// How much of the log is kept behind a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailing {
    /// As many entries as is set.
    Static,
    /// At most as many, and no more bytes than the snapshot has.
    Dynamic,
}

impl Default for Snapshots {
    /// The numbers of the C library, and no more log than snapshot.
    fn default() -> Self {
        Self {
            threshold: 1024,
            trailing: 8192,
            strategy: Trailing::Dynamic,
            compressed: true,
        }
    }
}

impl Snapshots {
    fn apply(&self, raw: &RawNode) -> Result<(), NodeError> {
        if self.threshold == 0 || self.trailing < 4 || self.trailing < self.threshold {
            return Err(NodeError::misuse(format!(
                "a snapshot after {} entries with {} behind it: at least 4 must stay, and as many as come between snapshots",
                self.threshold, self.trailing
            )));
        }
        raw.set_snapshots(self)
    }
}

/// How many members are to have which role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// How many vote; an odd number.
    pub voters: u32,
    /// How many of the others hold the data.
    pub standbys: u32,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            voters: 3,
            standbys: 0,
        }
    }
}
