//! Everything the pipeline shows of itself, gathered for the metrics and the page for people.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::batch_meter::{BatchMeter, BatchReport};
use crate::compactor::{CompactorMeter, CompactorReport};
use crate::gate::{Gate, GateReport};
use crate::keyspace::{KeyspaceMeter, KeyspaceReport};
use crate::leadership::{LeadershipMeter, LeadershipReport};
use crate::lease_actor::{LeaseMeter, LeaseReport};
use crate::meter::{MailboxReport, Meter};
use crate::replicator::{ReplicatorMeter, ReplicatorReport};
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::watch_hub::{HubMeter, HubReport};

/// An actor with work that has not finished any of it for this long is stalled. A commit on a
/// struggling disk may take seconds; a minute is no longer a struggle.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// The mailbox meters of the actors, in the order a write meets them.
#[derive(Clone)]
pub(crate) struct MailboxMeters {
    pub(crate) router: Arc<Meter>,
    pub(crate) revision_allocator: Arc<Meter>,
    pub(crate) write_batcher: Arc<Meter>,
    pub(crate) keyspace: Arc<Meter>,
    pub(crate) watch_hub: Arc<Meter>,
    pub(crate) lease_actor: Arc<Meter>,
    pub(crate) compactor: Arc<Meter>,
    pub(crate) read_index: Arc<Meter>,
    pub(crate) replicator: Arc<Meter>,
}

impl MailboxMeters {
    pub(crate) fn new() -> Self {
        Self {
            router: Meter::new("router"),
            revision_allocator: Meter::new("revision_allocator"),
            write_batcher: Meter::new("write_batcher"),
            keyspace: Meter::new("keyspace"),
            watch_hub: Meter::new("watch_hub"),
            lease_actor: Meter::new("lease_actor"),
            compactor: Meter::new("compactor"),
            read_index: Meter::new("read_index"),
            replicator: Meter::new("replicator"),
        }
    }

    fn all(&self) -> [&Arc<Meter>; ALONE + 2] {
        [
            &self.router,
            &self.revision_allocator,
            &self.write_batcher,
            &self.keyspace,
            &self.watch_hub,
            &self.lease_actor,
            &self.compactor,
            &self.read_index,
            &self.replicator,
        ]
    }
}

/// How many of the actors a member that is alone has; the others come last.
const ALONE: usize = 7;

/// Every meter of the pipeline.
pub(crate) struct Meters {
    pub(crate) mailboxes: MailboxMeters,
    pub(crate) gate: Arc<Gate>,
    pub(crate) batches: Arc<BatchMeter>,
    pub(crate) keyspace: Arc<KeyspaceMeter>,
    pub(crate) hub: Arc<HubMeter>,
    pub(crate) leases: Arc<LeaseMeter>,
    pub(crate) compactions: Arc<CompactorMeter>,
    pub(crate) space: Arc<Space>,
    /// Of a member of several; none for one that is alone.
    pub(crate) cluster: Option<ClusterMeters>,
}

/// The meters of a member of several.
#[derive(Clone, Default)]
pub(crate) struct ClusterMeters {
    pub(crate) leadership: Arc<LeadershipMeter>,
    pub(crate) replicator: Arc<ReplicatorMeter>,
}

/// What a member of several shows of its place among them.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterReport {
    /// What it is and sees.
    pub leadership: LeadershipReport,
    /// Whom it feeds.
    pub replicator: ReplicatorReport,
}

/// What the pipeline looks like at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineReport {
    /// The newest revision that can be read.
    pub revision: i64,
    /// The oldest revision that can be read.
    pub compact_revision: i64,
    /// The mailboxes, in the order a write meets them.
    pub mailboxes: Vec<MailboxReport>,
    /// The door.
    pub gate: GateReport,
    /// The write batcher's batches.
    pub batches: BatchReport,
    /// Keys and memory.
    pub keyspace: KeyspaceReport,
    /// Watch streams and watchers.
    pub hub: HubReport,
    /// Leases.
    pub leases: LeaseReport,
    /// Compaction and space.
    pub compactor: CompactorReport,
    /// The space quota in bytes, if there is one.
    pub quota_bytes: Option<u64>,
    /// Of a member of several; none for one that is alone.
    pub cluster: Option<ClusterReport>,
}

impl Meters {
    fn mailbox_reports(&self) -> Vec<MailboxReport> {
        let all = self.mailboxes.all();
        let there = if self.cluster.is_some() { all.len() } else { ALONE };
        all.iter().take(there).map(|meter| meter.report()).collect()
    }

    pub(crate) fn report(&self, shared: &SharedState) -> PipelineReport {
        PipelineReport {
            revision: shared.revision().0,
            compact_revision: shared.compact_revision().0,
            mailboxes: self.mailbox_reports(),
            gate: self.gate.report(),
            batches: self.batches.report(),
            keyspace: self.keyspace(shared),
            hub: self.hub.report(),
            leases: self.leases.report(),
            compactor: self.compactions.report(),
            quota_bytes: self.space.quota(),
            cluster: self.cluster.as_ref().map(|cluster| ClusterReport {
                leadership: cluster.leadership.report(),
                replicator: cluster.replicator.report(),
            }),
        }
    }

    fn keyspace(&self, shared: &SharedState) -> KeyspaceReport {
        let mut report = shared.read(|state| self.keyspace.report(state));
        report.ranges += shared.ranges();
        report
    }

    /// Progress is supervised, not existence: an actor whose mailbox holds work must finish some of it.
    /// The gate tells of work that got lost between actors: nothing committed while requests wait.
    pub(crate) fn stalled(&self) -> Option<String> {
        let reports = self.mailbox_reports();
        let stuck = |report: &&MailboxReport| report.depth > 0 && report.idle > STALLED_AFTER;
        if let Some(report) = reports.iter().find(stuck) {
            return Some(format!(
                "{} has {} messages and no progress",
                report.actor, report.depth
            ));
        }
        let in_flight = self.gate.report().in_flight;
        let idle = reports.iter().take(WRITE_PATH).map(|report| report.idle).min()?;
        let waits_for_leader = self
            .cluster
            .as_ref()
            .is_some_and(|cluster| !cluster.leadership.report().is_leading());
        (in_flight > 0 && idle > STALLED_AFTER && !waits_for_leader)
            .then(|| format!("{in_flight} writes wait and none is finished"))
    }
}

/// How many of the mailboxes a write passes.
const WRITE_PATH: usize = 4;
