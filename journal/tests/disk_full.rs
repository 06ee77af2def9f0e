//! A full disk, a real one: a file system of a few MiB that is filled to the last page.

mod common;

use std::path::Path;
use std::process::Command;

use common::{created, keys, replayed, replayed_events};
use journal::{AppendError, Journal, Reader, SqliteJournal, SqliteOptions, verify};
use model::{Effect, Event};
use tempfile::TempDir;

const DIRECTORY: &str = "JOURNAL_TEST_FULL_DIRECTORY";
const TEST: &str = "a_full_disk_refuses_writes_serves_reads_and_recovers";

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    match std::env::var_os(DIRECTORY) {
        Some(mounted) => on_small_disk(Path::new(&mounted)),
        None => in_mount_namespace(),
    }
}

/// Runs this test again where a small file system is mounted, seen by nobody else.
fn in_mount_namespace() {
    let home = TempDir::new().unwrap();
    let script =
        format!("mount -t tmpfs -o size=8m tmpfs \"${DIRECTORY}\" && exec \"$0\" --exact {TEST} --nocapture");
    let outcome = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, home.path())
        .status()
        .expect("this test needs `unshare` of util-linux");
    assert!(
        outcome.success(),
        "this test needs user and mount namespaces, or it failed above: {outcome}"
    );
}

fn row(at: i64) -> Event {
    created(at, at + 1, &at.to_string(), &[at as u8; 1000])
}

fn batch(first: i64) -> Vec<Effect> {
    keys(&(first..first + 20).map(row).collect::<Vec<_>>())
}

fn open(data_dir: &Path) -> (SqliteJournal, std::sync::Arc<dyn Reader>) {
    let options = SqliteOptions {
        checkpoint: 64 << 10,
        wal_limit: 512 << 10,
        ..SqliteOptions::default()
    };
    SqliteJournal::open(data_dir, options).unwrap()
}

fn on_small_disk(disk: &Path) {
    let data_dir = disk.join("data");
    let (mut journal, reader) = open(&data_dir);
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let next = fill(&mut journal);
    println!("full at row {next}: {:?}", reader.size());
    let stored: Vec<_> = (1..next).map(row).collect();
    assert_eq!(
        replayed_events(&*reader),
        stored,
        "reads go on, and nothing is half there"
    );
    for _ in 0..5 {
        assert_eq!(journal.append(&batch(next)), Err(AppendError::Full), "still full");
        let _ = journal.upkeep();
    }
    std::fs::remove_file(&ballast).unwrap();
    journal.append(&batch(next)).expect("there is space again");
    let everything: Vec<_> = (1..next + 20).map(row).collect();
    assert_eq!(replayed_events(&*reader), everything);
    drop((journal, reader));
    assert_eq!(verify(&data_dir).unwrap().problems, []);
    let (_journal, reader) = open(&data_dir);
    assert_eq!(replayed(&*reader), keys(&everything));
}

/// Returns the first position that found no space.
fn fill(journal: &mut SqliteJournal) -> i64 {
    for first in (1..).step_by(20) {
        match journal.append(&batch(first)) {
            Ok(()) => {}
            Err(AppendError::Full) => return first,
            Err(error) => panic!("{error}"),
        }
        // The checkpointer meets the full disk too, and upkeep tells.
        assert!(matches!(journal.upkeep(), Ok(_) | Err(AppendError::Full)));
    }
    unreachable!("the disk has an end")
}
