//! What this member is and sees, kept where anybody may read it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::cluster::{Epoch, Role};

/// What a member of several says of its place among them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LeadershipReport {
    /// The part it plays: `waiting`, `leading` or `following`.
    pub role: &'static str,
    /// The member that leads as this one sees it; zero for none.
    pub leader: u64,
    /// The newest leadership that this member took part in, as leader or follower, or promised itself to; zero
    /// before the first.
    pub epoch: i64,
    /// How often this member has seen another leader than before.
    pub leader_changes: u64,
}

impl LeadershipReport {
    /// Whether this member leads.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.role == LEADING
    }
}

const LEADING: &str = "leading";

/// Gauges of the leadership.
#[derive(Debug, Default)]
pub(crate) struct LeadershipMeter {
    leading: AtomicBool,
    following: AtomicBool,
    leader: AtomicU64,
    epoch: AtomicI64,
    leader_changes: AtomicU64,
}

impl LeadershipMeter {
    pub(super) fn sees(&self, leader: Option<u64>) {
        let seen = leader.unwrap_or(0);
        if self.leader.swap(seen, Relaxed) != seen && leader.is_some() {
            self.leader_changes.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn takes_part_in(&self, epoch: Epoch) {
        self.epoch.fetch_max(epoch.0, Relaxed);
    }

    pub(super) fn plays(&self, role: &Role) {
        if let Role::Leading(office) = role {
            self.takes_part_in(office.epoch);
        }
        self.leading.store(matches!(role, Role::Leading(_)), Relaxed);
        self.following
            .store(matches!(role, Role::Following { .. }), Relaxed);
    }

    /// The gauges of this moment.
    pub(crate) fn report(&self) -> LeadershipReport {
        let role = match (self.leading.load(Relaxed), self.following.load(Relaxed)) {
            (true, _) => LEADING,
            (_, true) => "following",
            _ => "waiting",
        };
        LeadershipReport {
            role,
            leader: self.leader.load(Relaxed),
            epoch: self.epoch.load(Relaxed),
            leader_changes: self.leader_changes.load(Relaxed),
        }
    }
}
