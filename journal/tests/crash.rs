//! kill -9 at any moment: what was acknowledged is there, what was not is whole or absent.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::{created, keys, lease, replayed};
use journal::{Journal, SqliteJournal, SqliteOptions, verify};
use model::{Effect, Position};
use tempfile::TempDir;

const DIRECTORY: &str = "JOURNAL_TEST_CRASH_DIRECTORY";
const ROUNDS: u32 = 30;

/// Small pieces, so that checkpoints, restarts and upkeep are also what the kill interrupts.
fn options() -> SqliteOptions {
    SqliteOptions {
        checkpoint: 256 << 10,
        wal_limit: 1 << 20,
        spare: 0,
        readers: 1,
    }
}

/// Rows of a batch; together they are one revision, and the value of each says how many they are.
fn batch_length(revision: i64) -> i64 {
    1 + revision * 7 % 40
}

fn batch(revision: i64, first: i64) -> Vec<Effect> {
    let length = batch_length(revision);
    let row = |at| {
        created(
            first + at,
            revision,
            &format!("{revision}/{at}"),
            &vec![length as u8; 700],
        )
    };
    let mut effects = keys(&(0..length).map(row).collect::<Vec<_>>());
    effects.push(Effect::LeaseGranted(lease(revision, length, 0)));
    effects
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    if let Some(data_dir) = std::env::var_os(DIRECTORY) {
        return append_until_killed(Path::new(&data_dir));
    }
    let home = TempDir::new().unwrap();
    let mut acknowledged = 1;
    for round in 0..ROUNDS {
        acknowledged = acknowledged.max(run_and_kill(home.path(), delay(round)));
        let newest = check(home.path(), acknowledged);
        println!("round {round}: acknowledged {acknowledged}, stored {newest}");
    }
    assert!(
        acknowledged > i64::from(ROUNDS),
        "the child got something done: {acknowledged}"
    );
}

/// Some milliseconds, different in each round and each run.
fn delay(round: u32) -> Duration {
    let clock = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    Duration::from_micros(u64::from(clock.rotate_left(round) % 120_000))
}

/// Lets a child append, kills it, and returns the newest revision that it acknowledged.
fn run_and_kill(data_dir: &Path, after: Duration) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "nothing_acknowledged_is_lost_and_nothing_is_half_there",
            "--nocapture",
        ])
        .env(DIRECTORY, data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("stored ")?.parse().ok())
            .max()
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap().unwrap_or(1)
}

/// The child: goes on where the log ends, says what is durable, scrubs old rows now and then.
fn append_until_killed(data_dir: &Path) {
    let (mut journal, reader) = SqliteJournal::open(data_dir, options()).unwrap();
    let (mut revision, mut position) = (1, 0);
    reader
        .replay(&mut |effect| {
            if let Effect::Key(event) = effect {
                (revision, position) = (event.version.mod_revision.0, event.version.position.0);
            }
        })
        .unwrap();
    loop {
        revision += 1;
        journal.append(&batch(revision, position + 1)).unwrap();
        println!("stored {revision}");
        std::io::stdout().flush().unwrap();
        position += batch_length(revision);
        if revision % 20 == 0 {
            // Never the newest thousand, by which the check knows what was stored.
            let old = (position - 1500).max(1)..(position - 1000).max(1);
            journal
                .append(&[Effect::Scrubbed(old.map(Position).collect())])
                .unwrap();
        }
        journal.upkeep().unwrap();
    }
}

/// Returns the newest revision stored.
fn check(data_dir: &Path, acknowledged: i64) -> i64 {
    if data_dir.join("taffrail.db").exists() {
        // Before anything else opens the log: as the kill left it.
        assert_eq!(verify(data_dir).unwrap().problems, []);
    } else {
        assert_eq!(acknowledged, 1, "the log is gone");
    }
    let (_journal, reader) = SqliteJournal::open(data_dir, options()).unwrap();
    let mut rows = BTreeMap::<i64, i64>::new();
    let mut leases = Vec::new();
    for effect in replayed(&*reader) {
        match effect {
            Effect::Key(event) => *rows.entry(event.version.mod_revision.0).or_default() += 1,
            Effect::LeaseGranted(lease) => leases.push((lease.id.0, lease.ttl)),
            other => panic!("{other:?}"),
        }
    }
    let newest = leases.last().map_or(1, |(revision, _)| *revision);
    assert!(
        newest >= acknowledged,
        "stored {newest}, acknowledged {acknowledged}"
    );
    let expected: Vec<_> = (2..=newest)
        .map(|revision| (revision, batch_length(revision)))
        .collect();
    assert_eq!(
        leases, expected,
        "one lease for each revision, in one transaction with its rows"
    );
    for (revision, count) in rows.iter().rev().take(20) {
        assert_eq!(*count, batch_length(*revision), "revision {revision} is whole");
    }
    assert_eq!(rows.keys().next_back().copied().unwrap_or(1), newest);
    newest
}
