//! What one measurement of one server came to: figures by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::{Latency, Plan};
use crate::measure::Memory;
use crate::report::RunReport;
use crate::scenario::{BEFORE, WHILE};

/// Bytes of a MiB.
const MEBIBYTE: f64 = 1048576.0;

/// Writes of a kind that there must be for their 99th percentile to be more than the longest of them.
const LEAST_WRITES: u64 = 500;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Metric {
    /// Operations a second.
    Throughput,
    /// The median latency in microseconds.
    P50,
    /// The 99th percentile of latencies in microseconds.
    P99,
    /// Microseconds that the disk alone takes to make durable what the server writes for one fsync.
    BareWrite,
    /// The median latency divided by that.
    OverBareWrite,
    /// CPU time of the server, or of all members, in microseconds an operation.
    ServerCpu,
    /// Bytes written to storage, an operation.
    WriteBytes,
    /// Fsyncs of the log of writes, an operation.
    Fsyncs,
    /// Bytes written to storage for each of them.
    SyncBytes,
    /// Resident memory in MiB at the end; of a cluster, that of the member with most.
    Memory,
    /// The part of it that belongs to no file.
    Anonymous,
    /// The same with 64 MiB for values, where a server can be told so.
    AnonymousSmall,
    /// By how much resident memory grew with the clients, in MiB.
    Growth,
    /// By how much it grew at most, in MiB a client.
    PeakGrowth,
    /// The data directory in MiB.
    Disk,
    /// Milliseconds from the start of the process until its first read is answered.
    Start,
    /// CPU time of that in milliseconds.
    StartCpu,
    /// p99 of writes while something runs beside them, divided by p99 before.
    Slowdown,
    /// Milliseconds until the last of what was due had happened.
    Last,
    /// Milliseconds from the death of the leader to the first write that is acknowledged.
    Failover,
    /// The longest time in milliseconds between two serializable reads that another member answered meanwhile.
    Silence,
    /// CPU of a member that nobody asks anything, in percent of a core.
    Idle,
}

impl Metric {
    /// What the table calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Throughput => "operations/s",
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::BareWrite => "bare write + fdatasync us",
            Self::OverBareWrite => "p50 / bare write",
            Self::ServerCpu => "server CPU us each",
            Self::WriteBytes => "disk bytes each",
            Self::Fsyncs => "fsyncs each",
            Self::SyncBytes => "disk bytes a fsync",
            Self::Memory => "resident MiB",
            Self::Anonymous => "anonymous MiB",
            Self::AnonymousSmall => "anonymous MiB, 64 MiB of values",
            Self::Growth => "growth MiB",
            Self::PeakGrowth => "peak growth MiB a client",
            Self::Disk => "disk MiB",
            Self::Start => "start ms",
            Self::StartCpu => "start CPU ms",
            Self::Slowdown => "p99 of writes, while / before",
            Self::Last => "the last after ms",
            Self::Failover => "failover ms",
            Self::Silence => "longest silence ms",
            Self::Idle => "idle CPU % a member",
        }
    }
}

/// One measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The figures.
    pub(crate) figures: BTreeMap<Metric, f64>,
    /// The run in full, if there was one.
    pub(crate) report: Option<RunReport>,
    /// Cores that the rest of the machine used meanwhile, if it was a run.
    pub(crate) other_cores: Option<f64>,
    /// What went wrong, and how often: with anything here, nothing is met.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Sample {
    /// Notes a figure.
    pub(crate) fn with(mut self, metric: Metric, figure: f64) -> Self {
        self.figures.insert(metric, figure);
        self
    }

    /// A measurement that could not be taken.
    pub(crate) fn failed(error: &anyhow::Error) -> Self {
        Self {
            errors: BTreeMap::from([(format!("{error:#}"), 1)]),
            ..Self::default()
        }
    }

    /// Everything that a run tells.
    pub(crate) fn of_run(report: RunReport, plan: &Plan) -> Self {
        let usage = &report.usage;
        let server = usage.server.as_ref();
        let memory = server.map(|server| (server.memory_before, server.memory));
        let kind = |name: &str| report.summary.kinds.get(name);
        let slowdown = kind(WHILE).zip(kind(BEFORE));
        let mut errors = report.summary.errors.clone();
        errors.extend(too_few(&report.summary.kinds).map(|text| (text, 1)));
        let figures = [
            (Metric::Throughput, Some(report.summary.throughput)),
            (Metric::P50, Some(report.summary.latency.p50)),
            (Metric::P99, Some(report.summary.latency.p99)),
            (Metric::ServerCpu, report.server_cpu_us),
            (
                Metric::WriteBytes,
                report.write_bytes.filter(|bytes| *bytes > 0.0),
            ),
            (Metric::Fsyncs, report.fsyncs.filter(|fsyncs| *fsyncs > 0.0)),
            (Metric::Memory, memory.map(|(_, after)| mebibytes(after.rss))),
            (Metric::Growth, memory.map(growth)),
            (
                Metric::PeakGrowth,
                memory.map(|both| peak_growth(both) / plan.load.clients as f64),
            ),
            (
                Metric::Slowdown,
                slowdown.map(|(during, before)| during.p99 / before.p99),
            ),
            (Metric::Last, kind("expiry").map(|expiry| expiry.max / 1000.0)),
        ];
        Self {
            figures: figures
                .into_iter()
                .filter_map(|(metric, figure)| Some((metric, figure?)))
                .collect(),
            other_cores: Some(usage.cores(usage.other_cpu)),
            errors,
            report: Some(report),
        }
    }

    /// Whether the client may have been what limited it.
    pub(crate) fn client_was_busy(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.client_was_busy)
    }
}

/// Writes before and while something runs beside them: if there are any, there must be enough of both.
fn too_few(kinds: &BTreeMap<String, Latency>) -> impl Iterator<Item = String> {
    let writes = [BEFORE, WHILE].map(|kind| (kind, kinds.get(kind).map_or(0, |latency| latency.samples)));
    let any = writes.iter().any(|(_, samples)| *samples > 0);
    let few = writes
        .into_iter()
        .filter(move |(_, samples)| any && *samples < LEAST_WRITES);
    few.map(|(kind, samples)| format!("{samples} of {kind} are too few: {LEAST_WRITES} are needed"))
}

/// Bytes as MiB.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MEBIBYTE
}

fn growth((before, after): (Memory, Memory)) -> f64 {
    mebibytes(after.rss) - mebibytes(before.rss)
}

fn peak_growth((before, after): (Memory, Memory)) -> f64 {
    mebibytes(after.peak.saturating_sub(before.rss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_may_be_negative_and_its_peak_is_not() {
        let memory = |rss: u64, peak: u64| Memory {
            rss: rss << 20,
            peak: peak << 20,
            ..Default::default()
        };
        assert_eq!(growth((memory(30, 30), memory(20, 50))), -10.0);
        assert_eq!(peak_growth((memory(30, 30), memory(20, 50))), 20.0);
        assert_eq!(peak_growth((memory(30, 30), memory(20, 20))), 0.0);
    }

    #[test]
    fn writes_before_and_while_must_be_many() {
        let latency = |samples| Latency {
            samples,
            p50: 1.0,
            p90: 1.0,
            p99: 1.0,
            p999: 1.0,
            max: 1.0,
        };
        let few = |writes: &[(&str, u64)]| {
            let kinds = writes
                .iter()
                .map(|(kind, samples)| ((*kind).to_owned(), latency(*samples)));
            too_few(&kinds.collect()).count()
        };
        assert_eq!(few(&[("put", 3)]), 0);
        assert_eq!(few(&[(BEFORE, LEAST_WRITES), (WHILE, LEAST_WRITES)]), 0);
        assert_eq!(few(&[(BEFORE, LEAST_WRITES), (WHILE, LEAST_WRITES - 1)]), 1);
        assert_eq!(few(&[(BEFORE, LEAST_WRITES)]), 1);
        assert_eq!(few(&[(BEFORE, 1), (WHILE, 1)]), 2);
    }

    #[test]
    fn figures_survive_being_written_down() {
        let sample = Sample::default()
            .with(Metric::Start, 12.5)
            .with(Metric::Disk, 7.0);
        let text = serde_json::to_string(&sample).expect("JSON");
        let read: Sample = serde_json::from_str(&text).expect("a sample");
        assert_eq!(read.figures, sample.figures);
    }
}
