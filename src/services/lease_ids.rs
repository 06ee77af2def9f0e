//! Identities for leases whose clients name none.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use model::LeaseId;

/// Draws identities in ascending order, as etcd's request ids are, which it gives to leases: grants that follow
/// each other lie side by side in the log's table, and share the pages that a commit writes.
///
/// The upper half is drawn at random for each process, where etcd has the member and the time: a clock
/// that was set back must not give out again what it gave before.
#[derive(Debug)]
pub(super) struct LeaseIds(AtomicU64);

impl LeaseIds {
    /// Identities that no process had before, as far as 31 random bits go.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(fastrand::u64(1..1 << 31) << 32))
    }

    /// The next one; positive.
    pub(super) fn draw(&self) -> LeaseId {
        let next = self.0.fetch_add(1, Relaxed);
        LeaseId((next & i64::MAX.unsigned_abs()).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_ascend_and_are_positive() {
        let ids = LeaseIds::new();
        let drawn: Vec<i64> = std::iter::repeat_with(|| ids.draw().0).take(1000).collect();
        assert!(drawn[0] > 0);
        assert!(drawn.is_sorted_by(|former, latter| former < latter));
    }

    #[test]
    fn two_processes_do_not_meet() {
        let (one, other) = (LeaseIds::new().draw().0, LeaseIds::new().draw().0);
        assert!(one.abs_diff(other) >= 1 << 32, "{one:x} and {other:x}");
    }
}
