//! What the kernel says of this process, under the names of Prometheus' own client libraries.

use std::fs;

use super::exposition::Exposition;

/// Kernel ticks a second, in which CPU time is reported: fixed in the interface to user space.
const TICKS_PER_SECOND: f64 = 100.0;
/// Memory pages are of this size on the architectures we run on.
const PAGE_BYTES: u64 = 4096;

/// Writes the `process_*` and `os_fd_*` families.
pub(super) fn write(page: &mut Exposition) {
    if let Some(stat) = Stat::read() {
        page.counter(
            "process_cpu_seconds_total",
            "CPU time taken, in seconds.",
            stat.cpu_seconds,
        );
        page.gauge(
            "process_resident_memory_bytes",
            "Resident memory, in bytes.",
            stat.resident_bytes,
        );
        page.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory, in bytes.",
            stat.virtual_bytes,
        );
        page.gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
            stat.started,
        );
        page.gauge("process_threads", "Threads of the process.", stat.threads);
    }
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limit = open_files_limit().unwrap_or(0);
    page.gauge("process_open_fds", "Open file descriptors.", open);
    page.gauge("process_max_fds", "File descriptors that may be open.", limit);
    page.gauge("os_fd_used", "The number of used file descriptors.", open);
    page.gauge("os_fd_limit", "The file descriptor limit.", limit);
}

/// The fields of `/proc/self/stat` that are exposed.
struct Stat {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    started: f64,
    threads: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let booted = fs::read_to_string("/proc/stat").ok()?;
        let booted = booted
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()?;
        Self::parse(&stat, booted)
    }

    /// Reads the line; the fields are counted behind the command's name, which may hold anything.
    fn parse(stat: &str, booted: f64) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
        let whole = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            cpu_seconds: (number(11)? + number(12)?) / TICKS_PER_SECOND,
            threads: whole(17)?,
            started: booted + number(19)? / TICKS_PER_SECOND,
            virtual_bytes: whole(20)?,
            resident_bytes: whole(21)? * PAGE_BYTES,
        })
    }
}

fn open_files_limit() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_whatever_the_command_is_called() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 12 0 1000 4096000 25 0";
        let stat = Stat::parse(stat, 500.0).unwrap();
        assert_eq!(
            (stat.threads, stat.resident_bytes, stat.virtual_bytes),
            (12, 102_400, 4_096_000)
        );
        assert!((stat.cpu_seconds - 2.0).abs() < 1e-9 && (stat.started - 510.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_can_be_described() {
        let mut page = Exposition::default();
        write(&mut page);
        let page = page.finish();
        for name in [
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_start_time_seconds ",
        ] {
            assert!(page.contains(name), "{name} is missing");
        }
    }
}
