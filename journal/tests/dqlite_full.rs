//! A full disk under the node.
#![cfg(feature = "dqlite")]

mod common;
#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use common::{created, keys, replayed_events};
use journal::{DqliteLog, DqliteOptions, SharedLog as _};
use model::{Effect, Event};
use std::path::Path;
use std::process::Command;
use support::Node;
use tempfile::TempDir;

const FOLDER: &str = "JOURNAL_TEST_DQLITE_FULL_FOLDER";
const TEST: &str = "a_full_disk";

#[test]
fn a_full_disk() {
    match std::env::var_os(FOLDER) {
        Some(mounted) => on_small_disk(Path::new(&mounted)),
        None => in_mount_namespace(),
    }
}

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
    let node = Node::start(1, "@full", &folder);
    let log = DqliteLog::new(DqliteOptions::new(1, "@full"));
    let mut journal = log.writer(&log.claim().unwrap()).unwrap();
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 20 << 20]).unwrap();
    let mut next = 1;
    loop {
        match journal.append(&batch(next)) {
            Ok(()) => next += 20,
            Err(error) => {
                println!("{next}: {error:?}");
                break;
            }
        }
    }
    for f in std::fs::read_dir(&folder).unwrap() {
        let f = f.unwrap();
        println!("{:?} {}", f.file_name(), f.metadata().unwrap().len());
    }
    for _ in 0..3 {
        println!("claim: {:?}", log.claim().map(|claim| claim.epoch));
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    std::fs::remove_file(&ballast).unwrap();
    println!("space");
    for _ in 0..6 {
        println!("claim: {:?}", log.claim().map(|claim| claim.epoch));
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    println!("stop");
    drop(node);
    println!("start");
    let _node = Node::start(1, "@full", &folder);
    println!("claim: {:?}", log.claim().map(|claim| claim.epoch));
    println!("{} {}", next, replayed_events(&*log.reader()).len());
}
