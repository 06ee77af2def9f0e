//! Nodes under traffic that are killed, paused and restarted, and that lose their power: everything that clients and
//! watchers saw is checked by the load harness. `loadtest chaos run` does the same for longer, and with more faults.

use std::path::Path;
use std::time::Duration;

use loadtest::chaos::faults::Kind;
use loadtest::chaos::nodes::Program;
use loadtest::chaos::power::Power;
use loadtest::chaos::run::{Outcome, Plan, run};
use loadtest::chaos::traffic::{Load, ProfileName};

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

/// The planted fault: a disk that answers before it has synced makes a server of this one that acknowledges too early.
#[test]
fn what_was_acknowledged_too_early_is_missed() {
    let outcome = power_losses(1, Power::Lie, 5);
    assert!(!outcome.report.holds());
    assert!(outcome.too_little.is_empty(), "{outcome}");
    let kept = outcome.history.expect("the history is kept").with_file_name("");
    std::fs::remove_dir_all(kept).expect("it is removed");
}
