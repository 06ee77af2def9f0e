//! The running deadlines of all leases: what happens to them when, as a function of the time handed in.

use std::collections::{BTreeSet, HashMap};
use std::mem;

use model::{Lease, LeaseId, Revision};
use tokio::sync::oneshot;

use super::KeepAliveReply;
use crate::errors::RequestError;

#[cfg(test)]
mod tests;

/// What every lease has left after a restart, milliseconds: its clients could not renew it while the server was down.
const GRACE_MS: i64 = 5_000;

/// Somebody who keeps a lease alive and waits for the answer.
pub(super) struct Keeper {
    /// The store's revision before the renewal.
    pub(super) revision: Revision,
    pub(super) answer: oneshot::Sender<Result<KeepAliveReply, RequestError>>,
}

impl Keeper {
    fn told(self, ttl: i64) {
        let _gone = self.answer.send(Ok(KeepAliveReply {
            revision: self.revision,
            ttl,
        }));
    }
}

/// What a lease is going through.
enum Stage {
    /// It runs, and its stored deadline is not before the running one.
    Running,
    /// The stored deadline is being moved to this millisecond: the lease does not expire meanwhile.
    Storing { deadline_ms: i64, keepers: Vec<Keeper> },
    /// It is over and being revoked; nothing brings it back.
    Expiring,
}

struct Running {
    ttl: i64,
    /// When the lease expires unless it is renewed.
    due_ms: i64,
    /// What the log has: no restart lets the lease expire before this.
    stored_ms: i64,
    stage: Stage,
}

impl Running {
    fn deadline_for(&self, due_ms: i64) -> i64 {
        due_ms.saturating_add(Lease::slack_ms(self.ttl))
    }
}

/// A write that makes a renewal safe: the lease's stored deadline must be moved to this millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewal {
    pub(super) id: LeaseId,
    pub(super) deadline_ms: i64,
}

/// What became of a keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeptAlive {
    /// There is no such lease any more; the keeper was told.
    Gone,
    /// It was renewed within the slack; the keeper was told.
    Renewed,
    /// The keeper will be told when this is stored.
    Store(Renewal),
    /// The keeper will be told when the write under way is done.
    Shares,
}

/// All leases by identity and by when they are due.
#[derive(Default)]
pub(super) struct Deadlines {
    leases: HashMap<LeaseId, Running>,
    /// Every lease that is not expiring.
    by_due: BTreeSet<(i64, LeaseId)>,
    expiring: BTreeSet<LeaseId>,
    /// Those of `expiring` whose revocation failed.
    to_retry: Vec<LeaseId>,
}

impl Deadlines {
    /// Takes over the leases of the log. None has less left than was stored (but a grace, for the server
    /// was away), none more than it can have been given: a clock that went astray makes no lease immortal.
    pub(super) fn load(leases: impl IntoIterator<Item = Lease>, now_ms: i64) -> Self {
        let mut deadlines = Self::default();
        for lease in leases {
            let full = Lease::ttl_ms(lease.ttl);
            let most = full.saturating_add(Lease::slack_ms(lease.ttl));
            let left = lease
                .deadline_ms
                .saturating_sub(now_ms)
                .clamp(full.min(GRACE_MS), most);
            deadlines.insert(lease, now_ms.saturating_add(left));
        }
        deadlines
    }

    /// A lease was granted: its time begins when that is durable.
    pub(super) fn granted(&mut self, lease: Lease, now_ms: i64) {
        self.revoked(lease.id);
        self.insert(lease, now_ms.saturating_add(Lease::ttl_ms(lease.ttl)));
    }

    fn insert(&mut self, lease: Lease, due_ms: i64) {
        let Lease {
            id,
            ttl,
            deadline_ms: stored_ms,
        } = lease;
        self.by_due.insert((due_ms, id));
        self.leases.insert(
            id,
            Running {
                ttl,
                due_ms,
                stored_ms,
                stage: Stage::Running,
            },
        );
    }

    /// The stored deadline of a lease was moved.
    pub(super) fn stored(&mut self, lease: Lease) {
        if let Some(running) = self.leases.get_mut(&lease.id) {
            running.stored_ms = lease.deadline_ms;
        }
    }

    /// A lease is gone. Returns whether it was there.
    pub(super) fn revoked(&mut self, id: LeaseId) -> bool {
        let Some(running) = self.leases.remove(&id) else {
            return false;
        };
        self.by_due.remove(&(running.due_ms, id));
        self.expiring.remove(&id);
        if let Stage::Storing { keepers, .. } = running.stage {
            keepers.into_iter().for_each(|keeper| keeper.told(0));
        }
        true
    }

    /// Gives a lease its full time again. A lease that is due is over, revoked or not.
    pub(super) fn keep_alive(&mut self, id: LeaseId, now_ms: i64, keeper: Keeper) -> KeptAlive {
        let Some(running) = self
            .leases
            .get_mut(&id)
            .filter(|running| !is_over(running, now_ms))
        else {
            keeper.told(0);
            return KeptAlive::Gone;
        };
        let due_ms = now_ms.saturating_add(Lease::ttl_ms(running.ttl));
        move_due(&mut self.by_due, id, running, due_ms);
        match &mut running.stage {
            Stage::Storing { keepers, .. } => {
                keepers.push(keeper);
                KeptAlive::Shares
            }
            _ if due_ms <= running.stored_ms => {
                keeper.told(running.ttl);
                KeptAlive::Renewed
            }
            _ => {
                let deadline_ms = running.deadline_for(due_ms);
                running.stage = Stage::Storing {
                    deadline_ms,
                    keepers: vec![keeper],
                };
                KeptAlive::Store(Renewal { id, deadline_ms })
            }
        }
    }

    /// A renewal was stored, or not. The keepers are told, and get the full time from now on, unless the
    /// write took longer than the slack: then another one is needed, and returned.
    pub(super) fn settle(
        &mut self,
        renewal: Renewal,
        outcome: Result<(), RequestError>,
        now_ms: i64,
    ) -> (usize, Option<Renewal>) {
        let Some(running) = self.leases.get_mut(&renewal.id) else {
            return (0, None);
        };
        let Stage::Storing { deadline_ms, keepers } = &mut running.stage else {
            return (0, None);
        };
        if *deadline_ms != renewal.deadline_ms {
            return (0, None);
        }
        let mut keepers = mem::take(keepers);
        keepers.retain(|keeper| !keeper.answer.is_closed());
        running.stage = Stage::Running;
        if let Err(error) = outcome {
            keepers
                .into_iter()
                .for_each(|keeper| drop(keeper.answer.send(Err(error.clone()))));
            return (0, None);
        }
        let full_ms = now_ms.saturating_add(Lease::ttl_ms(running.ttl));
        let due_ms = full_ms.min(running.stored_ms).max(running.due_ms);
        move_due(&mut self.by_due, renewal.id, running, due_ms);
        if full_ms > running.stored_ms && !keepers.is_empty() {
            let deadline_ms = running.deadline_for(full_ms);
            running.stage = Stage::Storing { deadline_ms, keepers };
            return (
                0,
                Some(Renewal {
                    deadline_ms,
                    ..renewal
                }),
            );
        }
        let told = keepers.len();
        keepers.into_iter().for_each(|keeper| keeper.told(running.ttl));
        (told, None)
    }

    /// Gives up all leases: those who wait for a renewal are told why.
    pub(super) fn abandon(self, error: &RequestError) {
        for running in self.leases.into_values() {
            if let Stage::Storing { keepers, .. } = running.stage {
                keepers
                    .into_iter()
                    .for_each(|keeper| drop(keeper.answer.send(Err(error.clone()))));
            }
        }
    }

    /// How many leases are due and not taken yet, counted up to `most`.
    pub(super) fn count_due(&self, now_ms: i64, most: usize) -> usize {
        let upto = ..=(now_ms, LeaseId(i64::MAX));
        self.by_due.range(upto).take(most).count()
    }

    /// At most `room` leases whose time is over, to be revoked; first those whose revocation failed.
    pub(super) fn take_due(&mut self, now_ms: i64, room: usize) -> Vec<LeaseId> {
        let mut due: Vec<LeaseId> = Vec::new();
        while due.len() < room
            && let Some(id) = self.to_retry.pop()
        {
            due.extend(self.expiring.contains(&id).then_some(id));
        }
        let leases = &self.leases;
        let over = |(_, id): &&(i64, LeaseId)| leases.get(id).is_some_and(|running| is_over(running, now_ms));
        let upto = ..=(now_ms, LeaseId(i64::MAX));
        let newly: Vec<_> = self
            .by_due
            .range(upto)
            .filter(over)
            .take(room - due.len())
            .copied()
            .collect();
        for (due_ms, id) in newly {
            self.by_due.remove(&(due_ms, id));
            self.expiring.insert(id);
            if let Some(running) = self.leases.get_mut(&id) {
                running.stage = Stage::Expiring;
            }
            due.push(id);
        }
        due
    }

    /// An expired lease could not be revoked; it is among the next due ones.
    pub(super) fn retry(&mut self, id: LeaseId) {
        if self.expiring.contains(&id) {
            self.to_retry.push(id);
        }
    }

    /// When the next lease is due.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.by_due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Whole seconds that a lease has left, and the granted ones.
    pub(super) fn time_to_live(&self, id: LeaseId, now_ms: i64) -> Option<(i64, i64)> {
        let running = self.leases.get(&id)?;
        let left = if is_over(running, now_ms) {
            0
        } else {
            running.due_ms.saturating_sub(now_ms).max(0) / 1000
        };
        Some((left.min(running.ttl), running.ttl))
    }

    /// Every lease, the first to expire first.
    pub(super) fn by_expiry(&self) -> Vec<LeaseId> {
        self.expiring
            .iter()
            .copied()
            .chain(self.by_due.iter().map(|(_, id)| *id))
            .collect()
    }

    /// How many leases there are.
    pub(super) fn len(&self) -> usize {
        self.leases.len()
    }
}

/// A lease whose renewal is being stored is not over: whoever renewed it came in time.
fn is_over(running: &Running, now_ms: i64) -> bool {
    match running.stage {
        Stage::Running => running.due_ms <= now_ms,
        Stage::Storing { .. } => false,
        Stage::Expiring => true,
    }
}

fn move_due(by_due: &mut BTreeSet<(i64, LeaseId)>, id: LeaseId, running: &mut Running, due_ms: i64) {
    by_due.remove(&(running.due_ms, id));
    running.due_ms = due_ms;
    by_due.insert((due_ms, id));
}
