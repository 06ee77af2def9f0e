//! Measures the log on this machine: `cargo run --release -p taffrail-journal --example measure -- WHAT`.
//!
//! `append`: time and CPU per row at several batch sizes. `stall SECONDS`: how long an append of 64
//! rows takes at worst under continuous load, beside SQLite's own checkpoints in the writer. `read ROWS`:
//! replay, values, pages of events, upkeep and snapshot of a log of that many rows of 1 KiB.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{Journal, Reader, SqliteJournal, SqliteOptions};
use model::{Effect, Event, LeaseId, Position, Revision, Version};
use rusqlite::{Connection, params};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let number = arguments.next().map(|number| number.parse::<u64>()).transpose()?;
    let home = tempfile::tempdir_in(std::env::current_dir()?)?;
    match what.as_str() {
        "append" => append(home.path()),
        "stall" => stall(home.path(), Duration::from_secs(number.unwrap_or(20))),
        "read" => read(home.path(), number.unwrap_or(500_000)),
        _ => Err("say append, stall or read".into()),
    }
}

/// Rows of 1 KiB, each a revision of its own, over 10,000 keys.
fn rows(from: i64, count: usize) -> Vec<Effect> {
    (from..).take(count).map(row).collect()
}

fn row(at: i64) -> Effect {
    let key = format!(
        "/registry/pods/namespace-{:03}/pod-with-a-usual-name-{:05}",
        at % 100,
        at % 10_000
    );
    let mut value = vec![0; 1024];
    // Not compressible, not equal, cheap to make.
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

/// CPU time of the calling thread so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}

/// What this process has had written to storage so far, in bytes.
fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn append(home: &Path) -> Outcome {
    println!("batch rows/s cpu_us/row p50_us p99_us written_bytes/row");
    for batch in [1, 16, 32, 64, 256, 1024] {
        let data_dir = home.join(batch.to_string());
        let (mut journal, _reader) = SqliteJournal::open(&data_dir, SqliteOptions::default())?;
        let total = if batch == 1 { 5_000 } else { 100_000 };
        let mut times = Times::default();
        let mut next = 1;
        let written_before = written();
        while next < total {
            let effects = rows(next, batch);
            next += batch as i64;
            times.time(|| journal.append(&effects))?;
            journal.upkeep()?;
        }
        let bytes = (written() - written_before) as f64 / next as f64;
        let [p50, p99, _] = times.percentiles();
        let rate = next as f64 / times.wall.as_secs_f64();
        let each = times.cpu.as_secs_f64() * 1e6 / next as f64;
        println!(
            "{batch} {rate:.0} {each:.2} {} {} {bytes:.0}",
            p50.as_micros(),
            p99.as_micros()
        );
    }
    Ok(())
}

#[derive(Default)]
struct Times {
    all: Vec<Duration>,
    wall: Duration,
    cpu: Duration,
}

impl Times {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (started, cpu_before) = (Instant::now(), cpu());
        let outcome = work();
        self.cpu += cpu() - cpu_before;
        self.all.push(started.elapsed());
        self.wall += started.elapsed();
        outcome
    }

    fn percentiles(&mut self) -> [Duration; 3] {
        self.all.sort_unstable();
        let at = |per_mille: usize| self.all[(self.all.len() - 1) * per_mille / 1000];
        [at(500), at(990), at(1000)]
    }

    fn print(&mut self, name: &str) {
        let [p50, p99, max] = self.percentiles().map(|time| time.as_micros());
        let (count, rate) = (self.all.len(), self.all.len() as f64 / self.wall.as_secs_f64());
        println!("{name}: {count} appends, {rate:.0}/s, p50 {p50} us, p99 {p99} us, max {max} us");
    }
}

fn stall(home: &Path, long: Duration) -> Outcome {
    let (mut journal, reader) = SqliteJournal::open(&home.join("own"), SqliteOptions::default())?;
    let mut longest = 0;
    let (mut appends, mut upkeeps) = (Times::default(), Times::default());
    let mut next = 1;
    while appends.wall < long {
        let effects = rows(next, 64);
        next += 64;
        appends.time(|| journal.append(&effects))?;
        upkeeps.time(|| journal.upkeep())?;
        longest = longest.max(std::fs::metadata(home.join("own/taffrail.db-wal"))?.len());
    }
    println!(
        "{:?}, longest write-ahead log {} MiB",
        reader.size()?,
        longest >> 20
    );
    appends.print("own thread, append");
    upkeeps.print("own thread, upkeep");
    plain(&home.join("plain.db"), long)
}

/// The same load with the checkpoints that SQLite runs by itself, inside a commit.
fn plain(path: &Path, long: Duration) -> Outcome {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;
         CREATE TABLE log (position INTEGER PRIMARY KEY, revision INTEGER NOT NULL,
            create_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL,
            key BLOB NOT NULL, value BLOB NOT NULL) STRICT",
    )?;
    let mut times = Times::default();
    let mut next = 1;
    while times.wall < long {
        let effects = rows(next, 64);
        next += 64;
        times.time(|| append_plain(&connection, &effects))?;
    }
    times.print("SQLite's own, append");
    Ok(())
}

fn append_plain(connection: &Connection, effects: &[Effect]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut insert = transaction.prepare_cached("INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for effect in effects {
        let Effect::Key(Event { key, value, version }) = effect else {
            continue;
        };
        let (position, revision, create) = (
            version.position.0,
            version.mod_revision.0,
            version.create_revision.0,
        );
        insert.execute(params![
            position,
            revision,
            create,
            version.version,
            0,
            &key[..],
            &value[..]
        ])?;
    }
    drop(insert);
    transaction.commit()
}

fn read(home: &Path, count: u64) -> Outcome {
    let (mut journal, reader) = SqliteJournal::open(home, SqliteOptions::default())?;
    let count = i64::try_from(count)?;
    let fill = Instant::now();
    for from in (1..=count).step_by(1000) {
        journal.append(&rows(from, 1000))?;
        journal.upkeep()?;
    }
    println!(
        "{count} rows stored in {:?}: {:?}",
        fill.elapsed(),
        reader.size()?
    );
    lookups(&*reader, count)?;
    snapshot(home, &mut journal, &*reader, count)?;
    scrub(&mut journal, &*reader, count)?;
    drop((journal, reader));
    let open = Instant::now();
    drop(SqliteJournal::open(home, SqliteOptions::default())?);
    println!("opened in {:?}", open.elapsed());
    Ok(())
}

fn lookups(reader: &dyn Reader, count: i64) -> Outcome {
    for _ in 0..3 {
        let (started, cpu_before) = (Instant::now(), cpu());
        let mut seen = 0;
        reader.replay(&mut |effect| seen += black_box(effect).size())?;
        println!(
            "replay: {:?}, cpu {:?}, {seen} bytes",
            started.elapsed(),
            cpu() - cpu_before
        );
    }
    for size in [1, 500] {
        let positions: Vec<_> = (0..size).map(|at| Position((at * 7919) % count + 1)).collect();
        let started = Instant::now();
        for _ in 0..100 {
            black_box(reader.values(&positions)?);
        }
        println!("values of {size} rows: {:?}", started.elapsed() / 100);
    }
    for budget in [1, 1 << 20] {
        let started = Instant::now();
        for at in 0..100 {
            black_box(reader.events(Revision((at * 7919) % count), budget)?);
        }
        println!("events, a page of {budget} bytes: {:?}", started.elapsed() / 100);
    }
    Ok(())
}

/// The snapshot is taken on a thread of its own while batches of 64 rows go on.
fn snapshot(home: &Path, journal: &mut SqliteJournal, reader: &dyn Reader, count: i64) -> Outcome {
    let to = home.join("copy");
    let mut times = Times::default();
    let mut next = count + 1;
    let took = std::thread::scope(|scope| {
        let copy = scope.spawn(|| {
            let started = Instant::now();
            reader.snapshot(&to).map(|()| started.elapsed())
        });
        while !copy.is_finished() {
            let effects = rows(next, 64);
            next += 64;
            times.time(|| journal.append(&effects))?;
            journal.upkeep()?;
        }
        Ok::<_, Box<dyn std::error::Error>>(copy.join().map_err(|_| "the snapshot panicked")??)
    })?;
    println!("snapshot: {took:?}, {} MiB", std::fs::metadata(&to)?.len() >> 20);
    times.print("append meanwhile");
    Ok(())
}

/// Nine rows of ten go, 1,000 in a batch, and the space is given back.
fn scrub(journal: &mut SqliteJournal, reader: &dyn Reader, count: i64) -> Outcome {
    let (mut deletes, mut upkeeps) = (Times::default(), Times::default());
    let gone: Vec<_> = (1..count).filter(|at| at % 10 != 0).map(Position).collect();
    for positions in gone.chunks(1000) {
        let effects = [Effect::Scrubbed(positions.to_vec())];
        deletes.time(|| journal.append(&effects))?;
    }
    println!("scrubbed: {:?}", reader.size()?);
    while upkeeps.time(|| journal.upkeep())? {}
    println!("given back: {:?}", reader.size()?);
    deletes.print("scrub of 1000");
    upkeeps.print("upkeep");
    Ok(())
}
