//! Measures the log on Dqlite, on one node in this process:
//! `cargo run --release -p taffrail-journal --features dqlite --example measure_dqlite -- [SECONDS]`.
//!
//! Appends batches of several sizes for so many seconds each, as events only and with a lease among them,
//! then reads: values, pages of events, images and a claim. CPU is that of the whole process, node and client.

#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{DqliteLog, DqliteOptions, Journal, Reader, SharedLog};
use model::{Effect, Event, Lease, LeaseId, Position, Revision, Version};
use support::Single;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let seconds = std::env::args().nth(1).map_or(Ok(4), |number| number.parse())?;
    println!("batch  rows/s  batches/s  p50_us  p99_us  max_us  cpu_us/row  written_bytes/row");
    for with_lease in [false, true] {
        println!(
            "{}",
            if with_lease {
                "with a lease renewed in each batch:"
            } else {
                "events only:"
            }
        );
        for rows in [1, 10, 30, 100, 300, 1000] {
            append(rows, with_lease, Duration::from_secs(seconds))?;
        }
    }
    read()
}

fn start() -> (Single, DqliteLog) {
    let node = Single::start_in(std::env::current_dir().expect("a folder"));
    let log = DqliteLog::new(DqliteOptions::new(1, node.address()));
    (node, log)
}

fn append(rows: i64, with_lease: bool, long: Duration) -> Outcome {
    let (_node, log) = start();
    let mut journal = log.writer(&log.claim()?)?;
    let mut next = 1;
    fill(
        &mut *journal,
        &mut next,
        (rows, with_lease),
        Duration::from_millis(300),
    )?;
    let (began, cpu_before, written_before, first) = (Instant::now(), cpu(), written(), next);
    let mut times = fill(&mut *journal, &mut next, (rows, with_lease), long)?;
    let (wall, done) = (began.elapsed().as_secs_f64(), (next - first) as f64);
    times.sort_unstable();
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1000].as_micros();
    println!(
        "{rows:5} {:7.0} {:10.0} {:7} {:7} {:7} {:11.1} {:10.0}",
        done / wall,
        times.len() as f64 / wall,
        at(500),
        at(990),
        at(1000),
        (cpu() - cpu_before).as_secs_f64() * 1e6 / done,
        (written() - written_before) as f64 / done,
    );
    Ok(())
}

fn fill(
    journal: &mut dyn Journal,
    next: &mut i64,
    (rows, with_lease): (i64, bool),
    long: Duration,
) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < long {
        let mut effects: Vec<_> = (*next..*next + rows).map(row).collect();
        if with_lease {
            let lease = Lease {
                id: LeaseId(*next % 1000),
                ttl: 60,
                deadline_ms: *next,
            };
            effects.push(Effect::LeaseRenewed(lease));
        }
        let started = Instant::now();
        journal.append(&effects)?;
        times.push(started.elapsed());
        *next += rows;
    }
    Ok(times)
}

/// A row of 1 KiB, a revision of its own, over 10,000 keys.
fn row(at: i64) -> Effect {
    let key = format!(
        "/registry/pods/namespace-{:03}/pod-with-a-usual-name-{:05}",
        at % 100,
        at % 10_000
    );
    let mut value = vec![0; 1024];
    for (place, byte) in value.iter_mut().enumerate() {
        *byte = (at as usize).wrapping_mul(31).wrapping_add(place * 7) as u8;
    }
    let version = Version {
        position: Position(at),
        mod_revision: Revision(at + 1),
        create_revision: Revision(at % 10_000 + 1),
        version: at / 10_000 + 1,
        lease: LeaseId::NONE,
    };
    Effect::Key(Event {
        key: Bytes::from(key),
        value: Bytes::from(value),
        version,
    })
}

/// CPU time of the process so far, in the kernel's ticks of 10 ms.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Bytes that the process has written to disk so far.
fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn read() -> Outcome {
    let (_node, log) = start();
    let mut journal = log.writer(&log.claim()?)?;
    let count = 100_000_i64;
    let filling = Instant::now();
    for from in (1..=count).step_by(500) {
        journal.append(&(from..from + 500).map(row).collect::<Vec<_>>())?;
    }
    let reader = log.reader();
    println!("{count} rows in {:?}: {:?}", filling.elapsed(), reader.size()?);
    look_up(&*reader, count)?;
    for _ in 0..3 {
        let started = Instant::now();
        let bytes = log.image()?.len();
        println!("image: {:?} for {} MiB", started.elapsed(), bytes >> 20);
        let (started, mut seen) = (Instant::now(), 0);
        reader.replay(&mut |effect| seen += black_box(effect).size())?;
        println!("image and replay: {:?}", started.elapsed());
    }
    let started = Instant::now();
    log.claim()?;
    println!("claim: {:?}", started.elapsed());
    scrub(&log, &*reader, count)
}

fn look_up(reader: &dyn Reader, count: i64) -> Outcome {
    for size in [1, 8, 500] {
        let positions: Vec<_> = (0..size).map(|at| Position((at * 7919) % count + 1)).collect();
        let started = Instant::now();
        for _ in 0..100 {
            black_box(reader.values(&positions)?);
        }
        println!("values of {size} rows: {:?}", started.elapsed() / 100);
    }
    for budget in [1, 1 << 20] {
        let started = Instant::now();
        for at in 0..50 {
            black_box(reader.events(Revision((at * 7919) % count), budget)?);
        }
        println!("events, a page of {budget} bytes: {:?}", started.elapsed() / 50);
    }
    Ok(())
}

/// Nine rows of ten go, 1,000 in a batch: what stays allocated.
fn scrub(log: &DqliteLog, reader: &dyn Reader, count: i64) -> Outcome {
    let mut journal = log.writer(&log.claim()?)?;
    let gone: Vec<_> = (1..count).filter(|at| at % 10 != 0).map(Position).collect();
    let started = Instant::now();
    for positions in gone.chunks(1000) {
        journal.append(&[Effect::Scrubbed(positions.to_vec())])?;
    }
    println!(
        "scrubbed {} rows in {:?}: {:?}",
        gone.len(),
        started.elapsed(),
        reader.size()?
    );
    let mut next = count + 1;
    for _ in 0..50 {
        journal.append(&(next..next + 500).map(row).collect::<Vec<_>>())?;
        next += 500;
    }
    println!("25,000 rows later: {:?}", reader.size()?);
    Ok(())
}
