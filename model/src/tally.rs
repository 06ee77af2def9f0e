//! What etcd counts of a store's work, for the metrics of the same names.

use std::ops::AddAssign;

use crate::Event;

/// The operations of one of etcd's transactions on its store: a put is one, a delete is one, and a `Txn`
/// that may write is two, of which the first only looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    /// Look-ups: ranges asked for, conditions, pairs before.
    pub(crate) ranges: u64,
    /// Puts.
    pub(crate) puts: u64,
    /// Deletes, whatever number of keys each found.
    pub(crate) deletes: u64,
}

/// A count of operations, as etcd counts: also those of commands that were refused in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// `etcd_mvcc_range_total`, without the ranges that are no part of a command.
    pub ranges: u64,
    /// `etcd_mvcc_put_total`.
    pub puts: u64,
    /// `etcd_mvcc_delete_total`: deletes asked for, not keys deleted. Revoking a lease is one for each key.
    pub deletes: u64,
    /// `etcd_mvcc_txn_total`: transactions on the store with more than one operation, whoever asked for them.
    pub transactions: u64,
}

impl AddAssign<Work> for Tally {
    fn add_assign(&mut self, work: Work) {
        self.ranges += work.ranges;
        self.puts += work.puts;
        self.deletes += work.deletes;
        self.transactions += u64::from(work.ranges + work.puts + work.deletes > 1);
    }
}

impl Tally {
    /// What can be told from events alone: a delete found a key each time.
    #[must_use]
    pub fn of_history(events: &[Event]) -> Self {
        let deletes = events.iter().filter(|event| event.is_delete()).count() as u64;
        Self {
            deletes,
            ..Self::default()
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.ranges += more.ranges;
        self.puts += more.puts;
        self.deletes += more.deletes;
        self.transactions += more.transactions;
    }
}
