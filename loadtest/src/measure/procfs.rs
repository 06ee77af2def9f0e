//! Readings of `/proc`, and the parsing of its files as pure functions.

use std::fs;
use std::ops::Add;
use std::time::Duration;

use anyhow::{Context, Result};

/// What one process had used, and held, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessSample {
    /// User and system time of all its threads, those that have ended included.
    pub(crate) cpu: Duration,
    /// Memory at that moment.
    pub(crate) memory: Memory,
    /// Bytes that it caused to be written to storage; `None` where the kernel does not tell.
    pub(crate) write_bytes: Option<u64>,
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Memory {
    /// All of it.
    pub(crate) rss: u64,
    /// What belongs to no file: heaps and stacks.
    pub(crate) anonymous: u64,
    /// Pages of mapped files; the kernel can take them back.
    pub(crate) file: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
}

impl Add for ProcessSample {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (one, two) = (self.memory, other.memory);
        Self {
            cpu: self.cpu + other.cpu,
            memory: Memory {
                rss: one.rss + two.rss,
                anonymous: one.anonymous + two.anonymous,
                file: one.file + two.file,
                peak: one.peak + two.peak,
            },
            write_bytes: self
                .write_bytes
                .zip(other.write_bytes)
                .map(|(one, two)| one + two),
        }
    }
}

/// Reads `/proc` for several processes, summed; `None` if there are none.
pub(crate) fn processes(pids: &[u32]) -> Result<Option<ProcessSample>> {
    let samples = pids.iter().map(|pid| process(*pid));
    let samples = samples.collect::<Result<Vec<_>>>()?;
    Ok(samples.into_iter().reduce(Add::add))
}

/// Forgets the most that was ever resident, so that [`Memory::peak`] counts from now. Needs the rights of the process's
/// owner.
pub(crate) fn reset_peak(pid: u32) -> std::io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

/// Reads `/proc/PID/{stat,status,io}`.
pub(crate) fn process(pid: u32) -> Result<ProcessSample> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    Ok(ProcessSample {
        cpu: cpu_of_stat(&read("stat")?, ticks_per_second()).context("/proc/PID/stat is not as expected")?,
        memory: memory_of_status(&read("status")?),
        write_bytes: read("io").ok().and_then(|text| field(&text, "write_bytes")),
    })
}

/// CPU time that all processes of the machine have used, stolen time not counted.
pub(crate) fn machine_busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    busy_of_stat(&text, ticks_per_second()).context("/proc/stat is not as expected")
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// utime and stime of `/proc/PID/stat`. The process's name may hold spaces and parentheses, so fields are counted
/// from the last `)`.
fn cpu_of_stat(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(ticks_to_time(ticks, ticks_per_second))
}

/// The first line of `/proc/stat` without idle, iowait and steal. Guest time is part of user time already.
fn busy_of_stat(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let times = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = times
        .split_ascii_whitespace()
        .map_while(|time| time.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = times[..] else {
        return None;
    };
    Some(ticks_to_time(
        user + nice + system + irq + softirq,
        ticks_per_second,
    ))
}

fn ticks_to_time(ticks: u64, ticks_per_second: u64) -> Duration {
    Duration::from_micros(ticks * 1_000_000 / ticks_per_second)
}

fn memory_of_status(status: &str) -> Memory {
    let bytes = |name| field(status, name).unwrap_or(0) * 1024;
    Memory {
        rss: bytes("VmRSS"),
        anonymous: bytes("RssAnon"),
        file: bytes("RssFile"),
        peak: bytes("VmHWM"),
    }
}

/// The number behind `name:`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_parentheses() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 9 20 0 12 0 100 1 2";
        assert_eq!(cpu_of_stat(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of_stat("42 (a) S 1", 100), None);
    }

    #[test]
    fn busy_time_leaves_out_idle_waiting_and_stolen_time() {
        let stat = "cpu  100 10 50 9000 800 20 20 700 5 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_of_stat(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(busy_of_stat("intr 1 2 3", 100), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tetcd\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     600 kB\nRssFile:\t 424 kB\n";
        let memory = Memory {
            rss: 1 << 20,
            anonymous: 600 << 10,
            file: 424 << 10,
            peak: 2 << 20,
        };
        assert_eq!(memory_of_status(status), memory);
    }

    #[test]
    fn written_bytes_are_not_the_cancelled_ones() {
        let io = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!(field(io, "write_bytes"), Some(4096));
    }

    #[test]
    fn several_processes_are_summed() {
        let own = std::process::id();
        assert_eq!(processes(&[]).expect("nothing to read"), None);
        let one = processes(&[own]).expect("our own entry").expect("a sample");
        let two = processes(&[own, own]).expect("our own entry").expect("a sample");
        assert!(two.cpu >= one.cpu * 2 && two.memory.rss > one.memory.rss);
        assert!(processes(&[own, 0]).is_err());
    }

    #[test]
    fn this_process_can_be_read() {
        let sample = process(std::process::id()).expect("our own entry in /proc");
        assert!(sample.memory.rss > 0);
        assert!(machine_busy().expect("/proc/stat") >= sample.cpu);
    }
}
