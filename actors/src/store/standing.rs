//! Where this member stands among the others.

use journal::Size;
use model::State;

use super::Store;
use crate::cluster::{Epoch, MemberDescription, Progress, Role};

impl Store {
    /// The member that leads as far as this one knows; itself if it is alone.
    #[must_use]
    pub fn leader_id(&self) -> Option<u64> {
        match self.roles.now() {
            Role::Waiting => None,
            Role::Leading(_) => Some(self.identity.member_id),
            Role::Following { leader, .. } => Some(leader),
        }
    }

    /// The epoch under which this member leads; none while it does not.
    pub(crate) fn leads_under(&self) -> Option<Epoch> {
        match self.roles.now() {
            Role::Leading(office) => Some(office.epoch),
            _ => None,
        }
    }

    /// The leadership that this member knows of: what clients are told as the Raft term.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        let known = self
            .meters
            .cluster
            .as_ref()
            .map(|cluster| cluster.leadership.report());
        known.map_or(Epoch(1), |report| Epoch(report.epoch))
    }

    /// Whether this member shares its log with others, or may.
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.meters.cluster.is_some()
    }

    /// Waits until there has been no leader for longer than streams that demand one put up with.
    pub async fn leader_lost(&self) {
        self.roles.leader_lost().await;
    }

    /// Completes what a member says of itself by how far it is.
    pub(crate) fn describe(&self, description: MemberDescription) -> MemberDescription {
        let report = self.meters.compactions.report();
        let replication = self
            .meters
            .cluster
            .as_ref()
            .map(|cluster| cluster.replicator.report());
        MemberDescription {
            identity: self.identity,
            progress: Progress {
                epoch: self.epoch(),
                sequence: replication.map_or(0, |report| report.sequence),
                position: self.shared.read(State::position),
                revision: self.revision(),
            },
            size: Size {
                allocated: report.allocated_bytes,
                in_use: report.in_use_bytes,
            },
            leader: self.leader_id(),
            ..description
        }
    }
}
