//! Two readings of `/proc` and what lies between them.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::procfs::{self, Memory, ProcessSample};

/// One reading of everything that a run is charged for.
#[derive(Debug)]
pub(crate) struct Probe {
    at: Instant,
    server: Option<ProcessSample>,
    client: ProcessSample,
    machine: Duration,
}

impl Probe {
    /// Reads the server's processes, if they are known and on this machine, and our own.
    pub(crate) fn take(server_pids: &[u32]) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            server: procfs::processes(server_pids)?,
            client: procfs::process(std::process::id())?,
            machine: procfs::machine_busy()?,
        })
    }

    /// What the servers hold.
    pub(crate) fn server_memory(&self) -> Memory {
        self.server
            .as_ref()
            .map_or_else(Memory::default, |server| server.memory)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Usage {
        let client_cpu = self.client.cpu.saturating_sub(earlier.client.cpu);
        let server = self.server.as_ref().zip(earlier.server.as_ref());
        let server = server.map(|(now, before)| ServerUsage::between(before, now));
        let ours = client_cpu + server.as_ref().map_or(Duration::ZERO, |server| server.cpu);
        Usage {
            wall: self.at.duration_since(earlier.at),
            server,
            fsyncs: None,
            client_cpu,
            other_cpu: self.machine.saturating_sub(earlier.machine).saturating_sub(ours),
        }
    }
}

/// What a run used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Time that passed.
    pub(crate) wall: Duration,
    /// The server's part, if its process was known.
    pub(crate) server: Option<ServerUsage>,
    /// Fsyncs of the server's log of writes, if it tells.
    pub(crate) fsyncs: Option<u64>,
    /// CPU time of the load generator.
    pub(crate) client_cpu: Duration,
    /// CPU time of everything else on the machine: the noise. It holds the server's time if its process was not
    /// known.
    pub(crate) other_cpu: Duration,
}

impl Usage {
    /// Cores that `cpu` kept busy on average.
    pub(crate) fn cores(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// What the server used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerUsage {
    /// CPU time of all its threads.
    pub(crate) cpu: Duration,
    /// Bytes written to storage, where the kernel tells.
    pub(crate) write_bytes: Option<u64>,
    /// Memory at the end.
    pub(crate) memory: Memory,
    /// Memory at the beginning.
    pub(crate) memory_before: Memory,
}

impl ServerUsage {
    fn between(before: &ProcessSample, now: &ProcessSample) -> Self {
        let written = now.write_bytes.zip(before.write_bytes);
        Self {
            cpu: now.cpu.saturating_sub(before.cpu),
            write_bytes: written.map(|(now, before)| now.saturating_sub(before)),
            memory: now.memory,
            memory_before: before.memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(at: Instant, milliseconds: [u64; 3], written: u64) -> Probe {
        let [server, client, machine] = milliseconds.map(Duration::from_millis);
        let sample = |cpu, write_bytes| ProcessSample {
            cpu,
            write_bytes,
            ..Default::default()
        };
        Probe {
            at,
            server: Some(sample(server, Some(written))),
            client: sample(client, None),
            machine,
        }
    }

    #[test]
    fn usage_is_the_difference_and_noise_is_what_is_left() {
        let start = Instant::now();
        let before = probe(start, [100, 50, 1000], 4096);
        let after = probe(start + Duration::from_secs(2), [1100, 550, 2900], 12_288);
        let usage = after.since(&before);
        let server = usage.server.clone().expect("the server's part");
        assert_eq!(
            (server.cpu, server.write_bytes),
            (Duration::from_secs(1), Some(8192))
        );
        assert_eq!(usage.client_cpu, Duration::from_millis(500));
        assert_eq!(usage.other_cpu, Duration::from_millis(400));
        assert!((usage.cores(server.cpu) - 0.5).abs() < 1e-9);
    }
}
