//! kill -9 of the process that hosts the node: what was acknowledged is there, what was not is whole or absent.
#![cfg(feature = "dqlite")]

mod common;
#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use common::{created, keys, lease, replayed};
use journal::{DqliteLog, DqliteOptions, SharedLog as _};
use model::{Effect, Position};
use support::Node;
use tempfile::TempDir;

const FOLDER: &str = "JOURNAL_TEST_DQLITE_CRASH_FOLDER";
const TEST: &str = "nothing_acknowledged_is_lost_and_nothing_is_half_there";
const ROUNDS: u32 = 16;

/// The address in the cluster's configuration, the same in every round and nobody else's.
fn address(folder: &Path) -> String {
    format!("@{}", folder.display())
}

/// Rows of a batch; together they are one revision, and the value of each says how many they are.
fn batch_length(revision: i64) -> i64 {
    1 + revision * 7 % 40
}

/// Every other batch is events only, the others are scripts with a lease.
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
    if revision % 2 == 0 {
        effects.push(Effect::LeaseGranted(lease(revision, length, 0)));
    }
    effects
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return append_until_killed(Path::new(&folder));
    }
    let home = TempDir::new().unwrap();
    let mut acknowledged = 1;
    for round in 0..ROUNDS {
        acknowledged = acknowledged.max(run_and_kill(home.path(), round));
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
    Duration::from_micros(u64::from(clock.rotate_left(round) % 200_000))
}

/// Lets a child append, kills it, and returns the newest revision that it acknowledged.
fn run_and_kill(folder: &Path, round: u32) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (first, began) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let stored = lines.map_while(Result::ok).filter_map(stored);
        stored.inspect(|_| tell(&first)).max()
    });
    // Now and then it is killed while it starts.
    if round % 4 != 3 {
        began
            .recv_timeout(Duration::from_secs(60))
            .expect("the child begins to append");
    }
    std::thread::sleep(delay(round));
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap().unwrap_or(1)
}

/// Nobody listens any more after the first time.
fn tell(first: &mpsc::Sender<()>) {
    let _unheard = first.send(());
}

fn stored(line: String) -> Option<i64> {
    line.strip_prefix("stored ")?.parse().ok()
}

/// The child: goes on where the log ends, says what is durable, scrubs old rows now and then.
fn append_until_killed(folder: &Path) {
    let _node = Node::start(1, &address(folder), folder);
    let log = DqliteLog::new(DqliteOptions::new(1, address(folder)));
    let mut journal = log.writer(&log.claim().unwrap()).unwrap();
    let (mut revision, mut position) = (1, 0);
    let mut last = |effect| {
        if let Effect::Key(event) = effect {
            (revision, position) = (event.version.mod_revision.0, event.version.position.0);
        }
    };
    log.reader().replay(&mut last).unwrap();
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
    }
}

/// Returns the newest revision stored.
fn check(folder: &Path, acknowledged: i64) -> i64 {
    let _node = Node::start(1, &address(folder), folder);
    let log = DqliteLog::new(DqliteOptions::new(1, address(folder)));
    log.claim().expect("it leads, alone as it is");
    let mut rows = BTreeMap::<i64, i64>::new();
    let mut leases = Vec::new();
    for effect in replayed(&*log.reader()) {
        match effect {
            Effect::Key(event) => *rows.entry(event.version.mod_revision.0).or_default() += 1,
            Effect::LeaseGranted(lease) => leases.push((lease.id.0, lease.ttl)),
            other => panic!("{other:?}"),
        }
    }
    let newest = rows.keys().next_back().copied().unwrap_or(1);
    assert!(
        newest >= acknowledged,
        "stored {newest}, acknowledged {acknowledged}"
    );
    let expected: Vec<_> = (2..=newest)
        .filter(|revision| revision % 2 == 0)
        .map(|revision| (revision, batch_length(revision)))
        .collect();
    assert_eq!(
        leases, expected,
        "a lease with every other revision, in one transaction with its rows"
    );
    for (revision, count) in rows.iter().rev().take(20) {
        assert_eq!(*count, batch_length(*revision), "revision {revision} is whole");
    }
    newest
}
