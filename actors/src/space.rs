//! The space quota: bytes in use, measured now and then, estimated in between.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use model::{Alarm, AlarmMember};

/// How much of the quota is used. Free pages of the log do not count: they will be used again.
#[derive(Debug)]
pub struct Space {
    quota: Option<u64>,
    in_use: AtomicU64,
    /// Whether the quota, and not an operator, asked for the alarm.
    exceeded: AtomicBool,
    alarm: AlarmMember,
}

impl Space {
    /// The quota, in bytes, of the member that keeps the log; none for no bound.
    #[must_use]
    pub fn new(quota: Option<u64>, in_use: u64, member_id: u64) -> Self {
        Self {
            quota,
            in_use: AtomicU64::new(in_use),
            exceeded: AtomicBool::new(false),
            alarm: AlarmMember {
                alarm: Alarm::NoSpace,
                member_id,
            },
        }
    }

    /// The quota, if there is one.
    #[must_use]
    pub fn quota(&self) -> Option<u64> {
        self.quota
    }

    /// The alarm that the quota raises and clears.
    #[must_use]
    pub fn alarm(&self) -> AlarmMember {
        self.alarm
    }

    /// Counts a write of this cost; false, and nothing is counted, if the quota has no room for it.
    pub fn take(&self, cost: u64) -> bool {
        let Some(quota) = self.quota else { return true };
        if self.in_use.load(Relaxed).saturating_add(cost) >= quota {
            self.exceeded.store(true, Relaxed);
            return false;
        }
        self.in_use.fetch_add(cost, Relaxed);
        true
    }

    /// Replaces the estimate by a measurement. True if the quota's alarm may be cleared: it was raised
    /// by the quota, and a tenth of the quota is free again.
    pub fn measured(&self, in_use: u64) -> bool {
        self.in_use.store(in_use, Relaxed);
        let Some(quota) = self.quota else { return false };
        in_use < quota - quota / 10 && self.exceeded.swap(false, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_clears_when_space_returned_and_only_if_the_quota_raised_it() {
        let space = Space::new(Some(1000), 0, 7);
        assert!(!space.measured(0), "an operator's alarm is not ours to clear");
        assert!(space.take(900));
        assert!(!space.take(100), "etcd refuses at the quota, not beyond it");
        assert!(!space.measured(950));
        assert!(space.measured(100));
        assert!(!space.measured(100));
    }
}
