//! Nodes under traffic that are killed, paused and restarted, and that lose their power: everything that clients and
//! watchers saw is checked by the load harness. `loadtest chaos run` does the same for longer, and with more faults.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use loadtest::chaos::faults::Kind;
use loadtest::chaos::history::History;
use loadtest::chaos::nodes::Program;
use loadtest::chaos::power::Power;
use loadtest::chaos::run::{Outcome, Plan, run};
use loadtest::chaos::traffic::{Load, ProfileName};
use tempfile::TempDir;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_taffrail");

/// So many nodes and nothing that hurts them yet.
fn plan(nodes: usize, profile: ProfileName, seed: u64) -> Plan {
    let load = Load {
        profile,
        clients: 6,
        roaming: 2,
        rate: 300.0,
        limit: Duration::from_secs(1),
        compaction: Duration::from_millis(500),
        seed,
    };
    Plan {
        program: Program::taffrail(Path::new(BINARY), nodes).expect("the binary is there"),
        nodes,
        duration: Duration::from_secs(20),
        faults: Vec::new(),
        power: Power::default(),
        load,
        // If something is wrong, logs and the history stay there.
        folder: std::env::temp_dir().join(format!("taffrail-chaos-{}-{seed}", std::process::id())),
        seed,
    }
}

fn hurt(plan: &Plan) -> Outcome {
    let outcome = run(plan).expect("a cluster that comes back after every fault");
    println!("seed {}: {outcome}", plan.seed);
    outcome
}

fn restarts(profile: ProfileName, seed: u64) -> Outcome {
    hurt(&Plan {
        faults: vec![Kind::Kill, Kind::Pause, Kind::Terminate],
        ..plan(1, profile, seed)
    })
}

#[test]
fn everything_holds_under_the_traffic_of_etcds_own_tests() {
    assert!(restarts(ProfileName::Etcd, 1).holds());
}

#[test]
fn everything_holds_under_the_traffic_of_kubernetes() {
    assert!(restarts(ProfileName::Kubernetes, 2).holds());
}

fn power_losses(nodes: usize, power: Power, seed: u64) -> Outcome {
    hurt(&Plan {
        faults: vec![Kind::Power],
        power,
        ..plan(nodes, ProfileName::Kubernetes, seed)
    })
}

#[test]
fn everything_holds_when_the_power_goes() {
    assert!(power_losses(1, Power::Posix, 3).holds());
}

#[cfg(feature = "dqlite")]
#[test]
fn everything_holds_when_the_power_of_three_members_goes() {
    assert!(power_losses(3, Power::Posix, 4).holds());
}

/// Everything that can happen to a member and to the network between them, one after the other. It takes namespaces,
/// as losses of power do.
#[cfg(feature = "dqlite")]
#[test]
fn everything_holds_when_members_are_cut_off_slow_and_full() {
    let outcome = hurt(&Plan {
        duration: Duration::from_secs(50),
        faults: vec![Kind::Kill, Kind::Pause, Kind::Partition, Kind::Slow, Kind::Disk],
        ..plan(3, ProfileName::Kubernetes, 11)
    });
    assert!(outcome.holds());
}

/// The planted fault: a disk that answers before it has synced makes a server of this one that acknowledges too early.
#[test]
fn what_was_acknowledged_too_early_is_missed() {
    let outcome = power_losses(1, Power::Lie, 5);
    assert!(!outcome.report.holds());
    assert!(outcome.too_little.is_empty(), "{outcome}");
    let kept = outcome.history.expect("the history is kept").with_file_name("");
    fs::remove_dir_all(kept).expect("it is removed");
}

/// A server that can be started once, and ends at once when it is started again. It is in a folder of its own.
fn mayfly() -> (TempDir, Program) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mayfly");
    let script = format!("#!/bin/sh\nmkdir \"$0.born\" || exit 1\nexec '{BINARY}' \"$@\"\n");
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    let program = Program::taffrail(&path, 1).expect("a program");
    (folder, program)
}

/// What is there when a run is over: how many calls the history has, and the size of the log and of the data directory.
fn evidence(folder: &Path) -> (usize, u64, u64) {
    let history = File::open(folder.join("history.jsonl")).expect("the history is kept");
    let history = History::read(history).expect("it can be read");
    let node = folder.join("node0");
    let log = fs::metadata(node.join("log")).expect("the log is kept");
    (history.calls.len(), log.len(), size(&node.join("disk/data")))
}

fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("the data directory is kept");
    let sizes = files.map(|file| file.expect("a file").metadata().expect("its size").len());
    sizes.sum()
}

/// With a disk of its own, too, which is gone with the node's namespaces.
#[test]
fn a_node_that_does_not_come_back_leaves_its_history_log_and_data() {
    for (faults, seed) in [(vec![Kind::Kill], 6), (vec![Kind::Kill, Kind::Disk], 7)] {
        let (_folder, program) = mayfly();
        let plan = Plan {
            program,
            faults,
            ..plan(1, ProfileName::Etcd, seed)
        };
        let error = run(&plan).expect_err("it cannot come back");
        let text = format!("{error:#}");
        assert!(
            text.contains("the history is in") && text.contains("after Kill"),
            "{text}"
        );
        let (calls, log, data) = evidence(&plan.folder);
        assert!(
            calls > 0 && log > 0 && data > 0,
            "{calls} calls, {log} and {data} bytes"
        );
        fs::remove_dir_all(&plan.folder).expect("it is removed");
    }
}

#[test]
fn a_run_in_which_too_little_happened_is_kept() {
    let mut plan = Plan {
        duration: Duration::from_secs(2),
        ..plan(1, ProfileName::Etcd, 8)
    };
    plan.load = Load {
        clients: 1,
        roaming: 0,
        rate: 0.25,
        compaction: Duration::from_secs(5),
        ..plan.load
    };
    let outcome = hurt(&plan);
    assert!(
        outcome.report.holds() && !outcome.too_little.is_empty(),
        "{outcome}"
    );
    assert_eq!(outcome.history, Some(plan.folder.join("history.jsonl")));
    let (calls, _, data) = evidence(&plan.folder);
    assert!(calls > 0 && data > 0, "{calls} calls and {data} bytes");
    fs::remove_dir_all(&plan.folder).expect("it is removed");
}
