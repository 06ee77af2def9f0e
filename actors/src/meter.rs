//! What actix cannot tell of a mailbox: how deep it is, how long its messages wait and take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Bucket `n` of a histogram counts durations below `2^n` microseconds; the last one counts the rest.
pub const HISTOGRAM_BUCKETS: usize = 25;

/// Durations by powers of two, cheap enough for every message. All counters only grow.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; HISTOGRAM_BUCKETS],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.buckets[bucket.min(HISTOGRAM_BUCKETS - 1)].fetch_add(1, Relaxed);
        self.sum_nanos
            .fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(0), Relaxed);
    }

    /// The counts of this moment.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let buckets: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        HistogramSnapshot {
            count: buckets.iter().sum(),
            buckets,
            sum_nanos: self.sum_nanos.load(Relaxed),
        }
    }
}

/// The counts of a [`Histogram`] at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HistogramSnapshot {
    /// How many durations were below `2^n` microseconds and in no smaller bucket.
    pub buckets: Vec<u64>,
    /// The sum of all durations, nanoseconds.
    pub sum_nanos: u64,
    /// How many durations were counted.
    pub count: u64,
}

impl HistogramSnapshot {
    /// The upper bound, in microseconds, of the bucket in which this share (0 to 1) of the durations ends.
    #[must_use]
    pub fn quantile_micros(&self, share: f64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation
        )]
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (exponent, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return 1 << exponent;
            }
        }
        0
    }
}

/// The measurements of one actor's mailbox.
#[derive(Debug)]
pub struct Meter {
    name: &'static str,
    started: Instant,
    entered: AtomicU64,
    left: AtomicU64,
    handled: AtomicU64,
    max_depth: AtomicU64,
    last_progress_nanos: AtomicU64,
    wait: Histogram,
    handle: Histogram,
}

impl Meter {
    /// A meter for the actor of this name.
    #[must_use]
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            started: Instant::now(),
            entered: AtomicU64::new(0),
            left: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            max_depth: AtomicU64::new(0),
            last_progress_nanos: AtomicU64::new(0),
            wait: Histogram::default(),
            handle: Histogram::default(),
        })
    }

    /// Notes that a message was queued.
    pub fn enter(&self) {
        let entered = self.entered.fetch_add(1, Relaxed) + 1;
        self.max_depth
            .fetch_max(entered.saturating_sub(self.left.load(Relaxed)), Relaxed);
    }

    /// Notes that a message left the mailbox, handled or dropped.
    pub fn leave(&self) {
        self.left.fetch_add(1, Relaxed);
    }

    /// Notes that a message queued at `queued` was handled from `begun` until now.
    pub fn handled(&self, queued: Instant, begun: Instant) {
        let now = Instant::now();
        self.wait.record(begun.saturating_duration_since(queued));
        self.handle.record(now.saturating_duration_since(begun));
        self.handled.fetch_add(1, Relaxed);
        let progress =
            u64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        self.last_progress_nanos.store(progress, Relaxed);
    }

    /// What the meter shows at this moment.
    #[must_use]
    pub fn report(&self) -> MailboxReport {
        let progress = Duration::from_nanos(self.last_progress_nanos.load(Relaxed));
        MailboxReport {
            actor: self.name,
            depth: self.entered.load(Relaxed).saturating_sub(self.left.load(Relaxed)),
            max_depth: self.max_depth.load(Relaxed),
            handled: self.handled.load(Relaxed),
            idle: self.started.elapsed().saturating_sub(progress),
            wait: self.wait.snapshot(),
            handle: self.handle.snapshot(),
        }
    }
}

/// What one actor's mailbox looks like.
#[derive(Clone, Debug, Serialize)]
pub struct MailboxReport {
    /// The actor's name.
    pub actor: &'static str,
    /// Messages queued and not yet handled.
    pub depth: u64,
    /// The greatest depth since the start.
    pub max_depth: u64,
    /// Messages handled since the start.
    pub handled: u64,
    /// Time since the last message was handled (since the start if none was).
    pub idle: Duration,
    /// How long messages waited in the mailbox.
    pub wait: HistogramSnapshot,
    /// How long messages took to handle.
    pub handle: HistogramSnapshot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_name_the_bucket_they_end_in() {
        let histogram = Histogram::default();
        for micros in [0, 1, 3, 900] {
            histogram.record(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(
            (
                snapshot.count,
                snapshot.quantile_micros(0.5),
                snapshot.quantile_micros(1.0)
            ),
            (4, 2, 1024)
        );
    }

    #[test]
    fn depth_is_what_entered_and_did_not_leave() {
        let meter = Meter::new("test");
        meter.enter();
        meter.enter();
        meter.leave();
        let report = meter.report();
        assert_eq!((report.depth, report.max_depth), (1, 2));
    }
}
