//! One node under traffic that is killed, paused and restarted: everything that clients and watchers saw is
//! checked by the load harness. `loadtest chaos run` does the same for longer, and with more faults.

use std::path::Path;
use std::time::Duration;

use loadtest::chaos::faults::Kind;
use loadtest::chaos::nodes::Program;
use loadtest::chaos::run::{Outcome, Plan, run};
use loadtest::chaos::traffic::{Load, ProfileName};

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_taffrail");

fn hurt(profile: ProfileName, seed: u64) -> Outcome {
    let program = Program::taffrail(Path::new(BINARY), 1).expect("the binary is there");
    let load = Load {
        profile,
        clients: 6,
        roaming: 2,
        rate: 300.0,
        limit: Duration::from_secs(1),
        compaction: Duration::from_millis(500),
        seed,
    };
    // If something is wrong, logs and the history stay there.
    let folder = std::env::temp_dir().join(format!("taffrail-chaos-{}-{seed}", std::process::id()));
    let plan = Plan {
        program,
        nodes: 1,
        duration: Duration::from_secs(20),
        faults: vec![Kind::Kill, Kind::Pause, Kind::Terminate],
        load,
        folder,
        seed,
    };
    let outcome = run(&plan).expect("a cluster that comes back after every fault");
    println!("seed {seed}: {outcome}");
    outcome
}

#[test]
fn everything_holds_under_the_traffic_of_etcds_own_tests() {
    assert!(hurt(ProfileName::Etcd, 1).holds());
}

#[test]
fn everything_holds_under_the_traffic_of_kubernetes() {
    assert!(hurt(ProfileName::Kubernetes, 2).holds());
}
