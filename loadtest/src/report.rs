//! What a run came to, for people and for programs.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::load::{Latency, Plan, Summary};
use crate::measure::Usage;

/// A thread of the client that is busier than this may be what limits the run.
const BUSY_CLIENT: f64 = 0.85;

/// The figures of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunReport {
    /// The kind of load.
    pub(crate) scenario: String,
    /// Calls in flight at most.
    pub(crate) clients: usize,
    /// Connections that they shared.
    pub(crate) connections: usize,
    /// Threads of the client.
    pub(crate) threads: usize,
    /// Keys or leases at the start.
    pub(crate) keys: usize,
    /// Calls a second that were due; none in a closed loop.
    pub(crate) rate: Option<f64>,
    /// What the clients saw.
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// What it cost.
    pub(crate) usage: Usage,
    /// CPU time of the server in microseconds an operation.
    pub(crate) server_cpu_us: Option<f64>,
    /// CPU time of the client in microseconds an operation.
    pub(crate) client_cpu_us: f64,
    /// Bytes that the server wrote to storage, an operation.
    pub(crate) write_bytes: Option<f64>,
    /// Fsyncs of the server's log of writes, an operation.
    pub(crate) fsyncs: Option<f64>,
    /// The client, not the server, may have been the limit.
    pub(crate) client_was_busy: bool,
}

impl RunReport {
    /// Works out the figures for each operation.
    pub(crate) fn new(scenario: String, plan: &Plan, summary: Summary, usage: Usage) -> Self {
        let each = |total: f64| total / summary.completed.max(1) as f64;
        let server = usage.server.as_ref();
        Self {
            server_cpu_us: server.map(|server| each(server.cpu.as_secs_f64() * 1e6)),
            client_cpu_us: each(usage.client_cpu.as_secs_f64() * 1e6),
            write_bytes: server
                .and_then(|server| server.write_bytes)
                .map(|bytes| each(bytes as f64)),
            fsyncs: usage.fsyncs.map(|fsyncs| each(fsyncs as f64)),
            client_was_busy: usage.cores(usage.client_cpu) > BUSY_CLIENT * plan.load.threads as f64,
            scenario,
            clients: plan.load.clients,
            connections: plan.load.connections,
            keys: plan.load.keys,
            threads: plan.load.threads,
            rate: plan.load.rate,
            summary,
            usage,
        }
    }
}

impl Display for RunReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            clients,
            connections,
            summary,
            usage,
            ..
        } = self;
        let loop_kind = self.rate.map_or("closed loop".to_owned(), |rate| {
            format!("open loop, {rate}/s due")
        });
        writeln!(
            out,
            "{scenario}: {clients} clients on {connections} connections, {loop_kind}"
        )?;
        let seconds = usage.wall.as_secs_f64();
        writeln!(
            out,
            "  {:>12.0} /s      {} operations in {seconds:.2} s",
            summary.throughput, summary.completed
        )?;
        writeln!(out, "  latency         {}", line(&summary.latency))?;
        if summary.kinds.len() > 1 {
            for (kind, latency) in &summary.kinds {
                writeln!(
                    out,
                    "    {kind:<12}  {}  ({} of them)",
                    line(latency),
                    latency.samples
                )?;
            }
        }
        self.cost(out)?;
        for (text, count) in &summary.errors {
            writeln!(out, "  ERROR {count} x {text}")?;
        }
        Ok(())
    }
}

impl RunReport {
    fn cost(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let usage = &self.usage;
        if let Some((server, each)) = usage.server.as_ref().zip(self.server_cpu_us) {
            let memory = &server.memory;
            let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            writeln!(
                out,
                "  server CPU      {each:.1} us each, {:.2} cores",
                usage.cores(server.cpu)
            )?;
            writeln!(
                out,
                "  server memory   {:.1} MiB resident ({:.1} anonymous, {:.1} file), {:.1} at most",
                mebibytes(memory.rss),
                mebibytes(memory.anonymous),
                mebibytes(memory.file),
                mebibytes(memory.peak)
            )?;
        }
        if let Some(bytes) = self.write_bytes {
            writeln!(out, "  disk writes     {bytes:.0} bytes each")?;
        }
        if let Some(fsyncs) = self.fsyncs {
            writeln!(
                out,
                "  fsyncs          {fsyncs:.3} each, of the log of writes, as the server counts them"
            )?;
        }
        let busy = if self.client_was_busy {
            " - THE CLIENT MAY BE THE LIMIT, try more --threads"
        } else {
            ""
        };
        let cores = usage.cores(usage.client_cpu);
        writeln!(
            out,
            "  client CPU      {:.1} us each, {cores:.2} cores{busy}",
            self.client_cpu_us
        )?;
        writeln!(out, "  other load      {:.2} cores", usage.cores(usage.other_cpu))
    }
}

fn line(latency: &Latency) -> String {
    let Latency {
        p50,
        p90,
        p99,
        p999,
        max,
        ..
    } = latency;
    format!("p50 {p50:.0} us, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}")
}
