//! Automatic compaction: which revision history is forgotten up to, and when. Time and revisions are handed in.
//!
//! The rules are etcd's (`--auto-compaction-mode`, `--auto-compaction-retention`).

use std::collections::VecDeque;
use std::time::Duration;

use model::Revision;

/// A long period is still compacted this often.
const PERIODIC_INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Revisions are sampled, and failed compactions tried again, this many times in an interval.
const SAMPLES_PER_INTERVAL: u32 = 10;
/// How often the revision mode looks.
const REVISION_INTERVAL: Duration = Duration::from_secs(300);

/// Whether and how history is compacted without being asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Only when asked.
    #[default]
    Off,
    /// Keep what is younger than this; zero is off. Compacts once a period, a long one every hour,
    /// for the first time when a period is over.
    Periodic(Duration),
    /// Keep this many revisions; zero and less is off. Compacts every five minutes.
    Revision(i64),
}

/// A running automatic compaction.
#[derive(Debug)]
pub(crate) enum Schedule {
    Periodic(Window),
    Revision(Keep),
}

impl AutoCompaction {
    /// Begins at `now`, with the store at `revision`; none if there is nothing to do, ever.
    pub(crate) fn begin(&self, now: Duration, revision: Revision) -> Option<Schedule> {
        match *self {
            Self::Periodic(period) if !period.is_zero() => {
                Some(Schedule::Periodic(Window::begin(period, now, revision)))
            }
            Self::Revision(keep) if keep > 0 => Some(Schedule::Revision(Keep {
                keep,
                compacted: Revision(0),
            })),
            _ => None,
        }
    }
}

impl Schedule {
    /// How long to wait from one [`due`](Self::due) to the next.
    pub(crate) fn interval(&self) -> Duration {
        match self {
            Self::Periodic(window) => window.sample_interval(),
            Self::Revision(_) => REVISION_INTERVAL,
        }
    }

    /// The revision to compact at now, if it is time. To be called once an interval.
    pub(crate) fn due(&mut self, now: Duration, revision: Revision) -> Option<Revision> {
        match self {
            Self::Periodic(window) => window.due(now, revision),
            Self::Revision(keep) => keep.due(revision),
        }
    }

    /// History below `revision` is gone now. Without this call the compaction counts as failed.
    pub(crate) fn compacted(&mut self, now: Duration, revision: Revision) {
        match self {
            Self::Periodic(window) => {
                window.compacted_at = now;
                window.compacted = revision;
            }
            Self::Revision(keep) => keep.compacted = revision,
        }
    }
}

/// The revisions of the last period, oldest first.
#[derive(Debug)]
pub(crate) struct Window {
    period: Duration,
    revisions: VecDeque<Revision>,
    /// When history was last compacted, or when the window began.
    compacted_at: Duration,
    compacted: Revision,
    /// What has to pass between two compactions: a whole period before the first.
    wait: Duration,
}

impl Window {
    fn begin(period: Duration, now: Duration, revision: Revision) -> Self {
        Self {
            period,
            revisions: VecDeque::from([revision]),
            compacted_at: now,
            compacted: Revision(0),
            wait: period,
        }
    }

    fn interval(&self) -> Duration {
        self.period.min(PERIODIC_INTERVAL_MAX)
    }

    fn sample_interval(&self) -> Duration {
        (self.interval() / SAMPLES_PER_INTERVAL).max(Duration::from_millis(1))
    }

    /// One more than fit into the period: the oldest sample is never younger than a period.
    fn capacity(&self) -> usize {
        let samples = self.period.as_nanos() / self.sample_interval().as_nanos();
        usize::try_from(samples).unwrap_or(usize::MAX).saturating_add(1)
    }

    fn due(&mut self, now: Duration, revision: Revision) -> Option<Revision> {
        let oldest = self.revisions.front().copied();
        let waited = now.saturating_sub(self.compacted_at) >= self.wait;
        let due = oldest.filter(|oldest| waited && *oldest != self.compacted);
        if due.is_some() {
            self.wait = self.interval();
        }
        self.revisions.push_back(revision);
        if self.revisions.len() > self.capacity() {
            self.revisions.pop_front();
        }
        due
    }
}

/// A number of revisions to keep.
#[derive(Debug)]
pub(crate) struct Keep {
    keep: i64,
    compacted: Revision,
}

impl Keep {
    fn due(&self, newest: Revision) -> Option<Revision> {
        let due = Revision(newest.0.saturating_sub(self.keep));
        (due.0 > 0 && due != self.compacted).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Runs a schedule for some intervals; at interval `n` the store is at revision `100 * n + 1`.
    /// Tells at which interval which revision was compacted.
    fn run(auto: AutoCompaction, intervals: u32, succeeds: impl Fn(u32) -> bool) -> Vec<(u32, i64)> {
        let mut schedule = auto.begin(Duration::ZERO, Revision::INITIAL).expect("on");
        let interval = schedule.interval();
        let mut compacted = Vec::new();
        for tick in 1..=intervals {
            let now = interval * tick;
            if let Some(due) = schedule.due(now, Revision(i64::from(tick) * 100 + 1)) {
                compacted.push((tick, due.0));
                if succeeds(tick) {
                    schedule.compacted(now, due);
                }
            }
        }
        println!("{auto:?}: {compacted:?}");
        compacted
    }

    #[test]
    fn a_short_period_is_sampled_ten_times_and_compacted_once() {
        let auto = AutoCompaction::Periodic(MINUTE * 10);
        assert_eq!(
            auto.begin(Duration::ZERO, Revision(1)).expect("on").interval(),
            MINUTE
        );
        // Nothing before the first period is over; then each time what is at least a period old.
        assert_eq!(run(auto, 35, |_| true), [(10, 1), (20, 901), (30, 1901)]);
    }

    #[test]
    fn a_day_is_compacted_every_hour_once_it_is_over() {
        let auto = AutoCompaction::Periodic(MINUTE * 60 * 24);
        assert_eq!(
            auto.begin(Duration::ZERO, Revision(1)).expect("on").interval(),
            MINUTE * 6
        );
        assert_eq!(run(auto, 265, |_| true), [(240, 1), (250, 901), (260, 1901)]);
    }

    #[test]
    fn a_failed_compaction_is_tried_again_at_the_next_sample() {
        let auto = AutoCompaction::Periodic(MINUTE * 10);
        assert_eq!(
            run(auto, 22, |tick| tick >= 12),
            [(10, 1), (11, 1), (12, 101), (22, 1101)]
        );
    }

    #[test]
    fn a_store_at_rest_is_compacted_once() {
        let mut schedule = AutoCompaction::Periodic(MINUTE)
            .begin(Duration::ZERO, Revision(7))
            .expect("on");
        let mut compactions = 0;
        for tick in 1..=100 {
            if let Some(due) = schedule.due(schedule.interval() * tick, Revision(7)) {
                schedule.compacted(schedule.interval() * tick, due);
                compactions += 1;
            }
        }
        assert_eq!(compactions, 1);
    }

    #[test]
    fn the_revision_mode_keeps_that_many() {
        let auto = AutoCompaction::Revision(150);
        assert_eq!(
            auto.begin(Duration::ZERO, Revision(1)).expect("on").interval(),
            MINUTE * 5
        );
        assert_eq!(run(auto, 4, |_| true), [(2, 51), (3, 151), (4, 251)]);
    }

    #[test]
    fn the_revision_mode_tries_again_and_leaves_a_store_at_rest_alone() {
        let mut schedule = AutoCompaction::Revision(10)
            .begin(Duration::ZERO, Revision(1))
            .expect("on");
        assert_eq!(schedule.due(MINUTE, Revision(30)), Some(Revision(20)));
        assert_eq!(
            schedule.due(MINUTE, Revision(30)),
            Some(Revision(20)),
            "it was not told of success"
        );
        schedule.compacted(MINUTE, Revision(20));
        assert_eq!(schedule.due(MINUTE, Revision(30)), None);
    }

    #[test]
    fn nothing_to_keep_means_off() {
        let off = [
            AutoCompaction::Off,
            AutoCompaction::Periodic(Duration::ZERO),
            AutoCompaction::Revision(0),
        ];
        for auto in off {
            assert!(auto.begin(Duration::ZERO, Revision(1)).is_none(), "{auto:?}");
        }
    }
}
