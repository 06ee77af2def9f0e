//! A full disk, a real one, under the only node: the batch that finds no space is lost, and the log goes on
//! by itself when there is space again.
#![cfg(feature = "dqlite")]

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use cluster::eventually;
use common::{created, keys, replayed_events};
use journal::{AppendError, DqliteLog, DqliteOptions, SharedLog as _};
use model::{Effect, Event};
use support::Node;
use tempfile::TempDir;

const FOLDER: &str = "JOURNAL_TEST_DQLITE_FULL_FOLDER";
const TEST: &str = "a_full_disk_loses_one_batch_and_then_the_log_goes_on";

#[test]
fn a_full_disk_loses_one_batch_and_then_the_log_goes_on() {
    match std::env::var_os(FOLDER) {
        Some(mounted) => on_small_disk(Path::new(&mounted)),
        None => in_mount_namespace(),
    }
}

/// Runs this test again where a small file system is mounted, seen by nobody else.
fn in_mount_namespace() {
    let home = TempDir::new().unwrap();
    let script =
        format!("mount -t tmpfs -o size=64m tmpfs \"${FOLDER}\" && exec \"$0\" --exact {TEST} --nocapture");
    let outcome = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, home.path())
        .status()
        .expect("this test needs `unshare` of util-linux");
    assert!(outcome.success(), "{outcome}");
}

fn row(at: i64) -> Event {
    created(at, at + 1, &at.to_string(), &[at as u8; 1000])
}

fn batch(first: i64) -> Vec<Effect> {
    keys(&(first..first + 20).map(row).collect::<Vec<_>>())
}

fn on_small_disk(disk: &Path) {
    let folder = disk.join("node");
    std::fs::create_dir(&folder).unwrap();
    let address = format!("@{}", folder.display());
    let node = Node::start(1, &address, &folder);
    let log = DqliteLog::new(DqliteOptions::new(1, &*address));
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 20 << 20]).unwrap();
    let lost = fill(&log);
    for _ in 0..5 {
        let refused = log.claim().map(|claim| claim.epoch);
        assert!(
            matches!(refused, Err(AppendError::NotLeader(_) | AppendError::Lost(_))),
            "{refused:?}"
        );
    }
    std::fs::remove_file(&ballast).unwrap();
    let claim = eventually(|| log.claim());
    let kept = count(&log);
    assert!(
        kept == lost - 1 || kept == lost + 19,
        "all of the last batch or nothing: {kept} of {lost}"
    );
    log.writer(&claim)
        .unwrap()
        .append(&batch(1_000_000))
        .expect("there is space again");
    drop(node);
    let _node = Node::start(1, &address, &folder);
    log.claim().expect("it leads, alone as it is");
    assert_eq!(count(&log), kept + 20);
}

fn count(log: &DqliteLog) -> i64 {
    replayed_events(&*log.reader()).len() as i64
}

/// Returns the first position that found no space.
fn fill(log: &DqliteLog) -> i64 {
    let mut journal = log.writer(&log.claim().unwrap()).unwrap();
    for first in (1..).step_by(20) {
        match journal.append(&batch(first)) {
            Ok(()) => {}
            Err(AppendError::Lost(_)) => return first,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the disk has an end")
}
