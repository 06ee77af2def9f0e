//! What members of a cluster say to each other.

use std::sync::Arc;

use journal::{Identity, Schemas, Size};
use model::{AlarmMember, Command, Effect, Lease, LeaseId, Position, Revision, Tally};

use crate::errors::RequestError;
use crate::lease_actor::{KeepAliveReply, TimeToLiveReply};
use crate::ticket::Committed;

/// Which leadership a batch or an answer belongs to; grows with every take-over. Zero is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

/// How far a follower is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The leadership whose batches it counts.
    pub epoch: Epoch,
    /// The last batch of that epoch it has applied; zero for none.
    pub sequence: u64,
    /// The newest log row it has applied.
    pub position: Position,
    /// The newest revision it has applied.
    pub revision: Revision,
}

/// What a follower asks its leader to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Carry out a command.
    Submit(Command),
    /// Renew a lease.
    KeepAlive(LeaseId),
    /// Say how much time a lease has left.
    TimeToLive {
        /// The lease.
        id: LeaseId,
        /// Whether its keys are wanted.
        keys: bool,
    },
    /// Say which leases there are, the first to expire first.
    Leases,
    /// Confirm the leadership after this was asked, then tell the newest revision.
    ReadRevision,
    /// Wait until the rows of every compaction so far are deleted from the log.
    CompactPhysically,
}

/// What the leader answers, of the kind of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// To [`Ask::Submit`]: done and durable.
    Committed(Committed),
    /// To [`Ask::KeepAlive`].
    KeptAlive(KeepAliveReply),
    /// To [`Ask::TimeToLive`].
    TimeToLive(TimeToLiveReply),
    /// To [`Ask::Leases`].
    Leases(Vec<LeaseId>),
    /// To [`Ask::ReadRevision`]: everything acknowledged before the question is at or below it.
    ReadRevision(Revision),
    /// To [`Ask::CompactPhysically`].
    Done,
}

/// What became of an [`Ask`].
pub type AskOutcome = Result<Told, RequestError>;

/// What a leader streams to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The follower is where it said it was, or where the last reconciliation was to bring it: the batches
    /// that come now follow on that.
    Continued,
    /// The follower's leases, alarms and compact revision are to become these. The events behind its revision
    /// follow, in batches that are not counted, and [`Continued`](Self::Continued) when they are complete.
    Reconciled(Standing),
    /// History that the follower needs is compacted: it must start from a replica.
    TooFarBehind,
    /// A committed batch.
    Batch {
        /// Counts the batches of this epoch; zero for history that leads to a [`Standing`].
        sequence: u64,
        /// What the batch changed, in order.
        effects: Arc<Vec<Effect>>,
        /// The leader's lease clock, milliseconds.
        lease_clock_ms: i64,
        /// What was asked of the leader since the batch before, as etcd counts: also what had no effect.
        tally: Tally,
    },
}

impl Followed {
    /// Bytes that this occupies, for the budgets of queues and messages.
    #[must_use]
    pub fn size(&self) -> usize {
        let held = match self {
            Self::Continued | Self::TooFarBehind => 0,
            Self::Reconciled(standing) => standing.leases.len() * size_of::<Lease>(),
            Self::Batch { effects, .. } => effects.iter().map(Effect::size).sum(),
        };
        size_of::<Self>() + held
    }
}

/// Everything in the leader's state that is not an event, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The moment: the last batch of the epoch that had been applied, and the revision then.
    pub at: Progress,
    /// The oldest revision that can be read.
    pub compact_revision: Revision,
    /// Every lease.
    pub leases: Vec<Lease>,
    /// The raised alarms.
    pub alarms: Vec<AlarmMember>,
    /// The leader's lease clock, milliseconds.
    pub lease_clock_ms: i64,
}

/// A member's claim to lead, or its question whether it still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The leadership that is claimed.
    pub epoch: Epoch,
    /// The member that claims it.
    pub leader: u64,
    /// Whether a majority has granted the claim before and is asked if it still stands. The answer is the same:
    /// a member that was not among them promises itself now.
    pub confirm: bool,
}

/// The answer to a [`Claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promised {
    /// The member follows this leader, and promises to follow none of a smaller epoch.
    Granted,
    /// The member follows somebody else, or knows of a newer epoch.
    Refused {
        /// The highest epoch that the member has promised itself to.
        highest: Epoch,
    },
}

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its cluster and its identity in it.
    pub identity: Identity,
    /// The name that its operator gave it.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// The release of the server.
    pub server_version: String,
    /// The version of the peer protocol that it speaks; filled in by whoever speaks it.
    pub protocol: u32,
    /// What it knows of the log's schema.
    pub schemas: Schemas,
    /// How far it is: the leadership it knows, and what it has applied of it.
    pub progress: Progress,
    /// How much space its log takes.
    pub size: Size,
    /// The member that leads as far as it knows, itself perhaps; none without a leader.
    pub leader: Option<u64>,
}

impl MemberDescription {
    /// Whether the member leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader == Some(self.identity.member_id)
    }
}
