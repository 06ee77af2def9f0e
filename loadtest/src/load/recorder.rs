//! What the clients of one thread saw.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::pace::Window;
use crate::client::CallError;

/// Latencies are kept to three digits up to this; longer ones count as this long.
const LONGEST: Duration = Duration::from_secs(120);

/// How many different error texts are kept.
const ERROR_KINDS: usize = 8;

/// Counts and latencies of operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    kinds: Vec<(&'static str, Histogram<u64>)>,
    completed: u64,
    failed: u64,
    errors: BTreeMap<String, u64>,
}

impl Recorder {
    /// Notes an operation that was due at `intended` and was done at `finished`. Throughput counts what finished
    /// within the window; so do latencies in a closed loop, while those of an open loop count what was due in it,
    /// so that a stall at its end is not left out.
    pub(crate) fn record(
        &mut self,
        window: &Window,
        kind: &'static str,
        intended: Instant,
        finished: Instant,
    ) {
        let within = window.contains(finished);
        self.completed += u64::from(within);
        if if window.open_loop {
            window.contains(intended)
        } else {
            within
        } {
            let latency = finished.saturating_duration_since(intended).min(LONGEST);
            self.histogram(kind)
                .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Notes an operation that failed.
    pub(crate) fn record_error(&mut self, error: &CallError) {
        self.failed += 1;
        let text = error.to_string();
        if self.errors.len() < ERROR_KINDS || self.errors.contains_key(&text) {
            *self.errors.entry(text).or_default() += 1;
        }
    }

    fn histogram(&mut self, kind: &'static str) -> &mut Histogram<u64> {
        let position = self.kinds.iter().position(|(name, _)| *name == kind);
        let position = position.unwrap_or_else(|| {
            self.kinds.push((kind, empty()));
            self.kinds.len() - 1
        });
        &mut self.kinds[position].1
    }

    /// Adds what another thread saw.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (kind, histogram) in &other.kinds {
            self.histogram(kind)
                .add(histogram)
                .expect("all histograms have the same bounds");
        }
        self.completed += other.completed;
        self.failed += other.failed;
        for (text, count) in &other.errors {
            *self.errors.entry(text.clone()).or_default() += count;
        }
    }

    /// The figures, over a window that lasted `wall`.
    pub(crate) fn summary(&self, wall: Duration) -> Summary {
        let mut all = empty();
        self.kinds
            .iter()
            .for_each(|(_, one)| all.add(one).expect("all histograms have the same bounds"));
        Summary {
            completed: self.completed,
            throughput: self.completed as f64 / wall.as_secs_f64(),
            latency: Latency::of(&all),
            curve: curve(&all),
            kinds: self
                .kinds
                .iter()
                .map(|(kind, one)| ((*kind).to_owned(), Latency::of(one)))
                .collect(),
            failed: self.failed,
            errors: self.errors.clone(),
        }
    }
}

fn empty() -> Histogram<u64> {
    let longest = u64::try_from(LONGEST.as_nanos()).expect("two minutes fit");
    Histogram::new_with_bounds(1000, longest, 3).expect("the bounds are in order")
}

/// Eight points for each further nine, from the median's side to 99.99 %.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let share = |step: i32| 1.0 - 10_f64.powf(-f64::from(step) / 8.0);
    let point = |share| (share, histogram.value_at_quantile(share) as f64 / 1000.0);
    (0..=32).map(share).map(point).collect()
}

/// What the clients saw, in figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Operations that finished within the window.
    pub(crate) completed: u64,
    /// The same, a second.
    pub(crate) throughput: f64,
    /// Latencies of all operations.
    pub(crate) latency: Latency,
    /// The latencies in full: the share of operations that was not longer, and how long in microseconds.
    pub(crate) curve: Vec<(f64, f64)>,
    /// Latencies by kind of operation.
    pub(crate) kinds: BTreeMap<String, Latency>,
    /// Operations that failed, at any time.
    pub(crate) failed: u64,
    /// How often each error text was seen.
    pub(crate) errors: BTreeMap<String, u64>,
}

/// Latencies in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// How many there were.
    pub(crate) samples: u64,
    /// Half were shorter.
    pub(crate) p50: f64,
    /// Nine of ten were shorter.
    pub(crate) p90: f64,
    /// All but one of a hundred were shorter.
    pub(crate) p99: f64,
    /// All but one of a thousand were shorter.
    pub(crate) p999: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            samples: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(open_loop: bool) -> (Instant, Window) {
        let start = Instant::now();
        (
            start,
            Window {
                start,
                end: start + Duration::from_secs(1),
                open_loop,
            },
        )
    }

    fn at(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn quantiles_are_those_of_the_latencies() {
        let (start, window) = window(false);
        let mut recorder = Recorder::default();
        for milliseconds in 1..=100 {
            recorder.record(&window, "put", start, at(start, milliseconds));
        }
        let summary = recorder.summary(Duration::from_secs(1));
        let near = |figure: f64, wanted: f64| (figure - wanted).abs() <= wanted / 500.0;
        assert!(near(summary.latency.p50, 50_000.0) && near(summary.latency.p99, 99_000.0));
        assert!(near(summary.latency.max, 100_000.0) && near(summary.throughput, 100.0));
        let (share, longest) = *summary.curve.last().expect("a curve");
        assert!(near(share, 0.9999) && near(longest, 100_000.0));
        assert!(summary.curve.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn a_closed_loop_counts_what_finishes_in_the_window() {
        let (start, window) = window(false);
        let mut recorder = Recorder::default();
        recorder.record(&window, "put", start, at(start, 1500));
        recorder.record(&window, "put", start - Duration::from_millis(5), at(start, 1));
        let summary = recorder.summary(Duration::from_secs(1));
        assert_eq!((summary.completed, summary.latency.samples), (1, 1));
    }

    #[test]
    fn an_open_loop_keeps_the_latency_of_a_stall_at_the_end() {
        let (start, window) = window(true);
        let mut recorder = Recorder::default();
        recorder.record(&window, "put", at(start, 900), at(start, 1900));
        recorder.record(&window, "put", at(start, 1900), at(start, 1901));
        let summary = recorder.summary(Duration::from_secs(1));
        assert_eq!((summary.completed, summary.latency.samples), (0, 1));
        assert!(summary.latency.max >= 1_000_000.0);
    }

    #[test]
    fn merging_adds_kinds_and_errors() {
        let (start, window) = window(false);
        let mut one = Recorder::default();
        let mut other = Recorder::default();
        one.record(&window, "get", start, at(start, 1));
        other.record(&window, "get", start, at(start, 2));
        other.record(&window, "page", start, at(start, 3));
        other.record_error(&CallError::Wrong("a key is missing".to_owned()));
        one.merge(&other);
        let summary = one.summary(Duration::from_secs(1));
        assert_eq!((summary.completed, summary.failed), (3, 1));
        assert_eq!(summary.kinds["get"].samples, 2);
        assert_eq!(summary.errors["wrong answer: a key is missing"], 1);
    }
}
