//! Medians, ratios, their spread, and whether they are good enough.

use serde::Serialize;

use crate::report::RunReport;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Metric {
    /// Operations a second.
    Throughput,
    /// The median latency in microseconds.
    P50,
    /// The 99th percentile of latencies in microseconds.
    P99,
    /// CPU time of the server in microseconds an operation.
    ServerCpu,
    /// Bytes written to storage, an operation.
    WriteBytes,
    /// Resident memory of the server in MiB at the end.
    Memory,
}

impl Metric {
    const ALL: [Self; 6] = [
        Self::Throughput,
        Self::P50,
        Self::P99,
        Self::ServerCpu,
        Self::WriteBytes,
        Self::Memory,
    ];

    fn of(self, report: &RunReport) -> Option<f64> {
        match self {
            Self::Throughput => Some(report.summary.throughput),
            Self::P50 => Some(report.summary.latency.p50),
            Self::P99 => Some(report.summary.latency.p99),
            Self::ServerCpu => report.server_cpu_us,
            Self::WriteBytes => report.write_bytes.filter(|bytes| *bytes > 0.0),
            Self::Memory => report
                .usage
                .server
                .as_ref()
                .map(|server| server.memory.rss as f64 / f64::from(1 << 20)),
        }
    }
}

/// What a ratio Taffrail / peer must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(limit) => ratio >= limit,
            Self::AtMost(limit) => ratio <= limit,
        }
    }
}

/// A bound on one figure of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Requirement {
    /// The figure.
    pub(super) metric: Metric,
    /// Its bound.
    pub(super) bound: Bound,
}

/// One figure of both servers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Verdict {
    /// The figure.
    pub(super) metric: Metric,
    /// Median of Taffrail's runs.
    pub(super) taffrail: f64,
    /// Median of the peer's runs.
    pub(super) peer: f64,
    /// Taffrail's median divided by the peer's.
    pub(super) ratio: f64,
    /// The smallest and the largest ratio of two runs that followed each other.
    pub(super) spread: (f64, f64),
    /// What is required.
    pub(super) bound: Option<Bound>,
    /// Whether it is met, where something is required.
    pub(super) met: Option<bool>,
}

/// Compares what both servers have; a row in which operations failed meets nothing.
pub(super) fn verdicts(required: &[Requirement], taffrail: &[RunReport], peer: &[RunReport]) -> Vec<Verdict> {
    let sound = taffrail
        .iter()
        .chain(peer)
        .all(|report| report.summary.failed == 0);
    let judged = |metric: Metric| {
        let figures = |reports: &[RunReport]| {
            reports
                .iter()
                .map(|report| metric.of(report))
                .collect::<Option<Vec<_>>>()
        };
        let bound = required
            .iter()
            .find(|requirement| requirement.metric == metric)
            .map(|found| found.bound);
        match (figures(taffrail), figures(peer)) {
            (Some(taffrail), Some(peer)) => Some(judge(metric, bound, (&taffrail, &peer), sound)),
            _ => None,
        }
    };
    Metric::ALL.into_iter().filter_map(judged).collect()
}

fn judge(metric: Metric, bound: Option<Bound>, (taffrail, peer): (&[f64], &[f64]), sound: bool) -> Verdict {
    let ratio = median(taffrail) / median(peer);
    let pairs = || taffrail.iter().zip(peer).map(|(ours, theirs)| ours / theirs);
    Verdict {
        metric,
        taffrail: median(taffrail),
        peer: median(peer),
        ratio,
        spread: (pairs().fold(f64::INFINITY, f64::min), pairs().fold(0.0, f64::max)),
        bound,
        met: bound.map(|bound| sound && bound.holds(ratio)),
    }
}

/// The middle figure, or the mean of the two in the middle.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_LEAST: Option<Bound> = Some(Bound::AtLeast(1.5));
    const AT_MOST: Option<Bound> = Some(Bound::AtMost(0.5));

    #[test]
    fn the_median_is_not_moved_by_one_bad_run() {
        assert_eq!(median(&[900.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_ratio_is_of_medians_and_the_spread_of_pairs() {
        let verdict = judge(
            Metric::Throughput,
            AT_LEAST,
            (&[30.0, 20.0, 10.0], &[10.0, 10.0, 20.0]),
            true,
        );
        assert_eq!((verdict.taffrail, verdict.peer, verdict.ratio), (20.0, 10.0, 2.0));
        assert_eq!(verdict.spread, (0.5, 3.0));
        assert_eq!(verdict.met, Some(true));
    }

    #[test]
    fn bounds_include_their_limit() {
        let met = |bound, ours: f64| judge(Metric::ServerCpu, bound, (&[ours], &[10.0]), true).met;
        assert_eq!(
            (met(AT_LEAST, 15.0), met(AT_LEAST, 14.9)),
            (Some(true), Some(false))
        );
        assert_eq!((met(AT_MOST, 5.0), met(AT_MOST, 5.1)), (Some(true), Some(false)));
        assert_eq!(met(None, 5.0), None);
    }

    #[test]
    fn failed_operations_and_missing_figures_meet_nothing() {
        assert_eq!(
            judge(Metric::ServerCpu, AT_MOST, (&[1.0], &[10.0]), false).met,
            Some(false)
        );
        assert_eq!(
            judge(Metric::ServerCpu, AT_MOST, (&[0.0], &[0.0]), true).met,
            Some(false)
        );
    }
}
