//! Every scenario of the load harness against a server of this one, for a moment: each does operations, and none fails. What
//! they measure, `loadtest run` and `loadtest compare` do.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use loadtest::chaos::nodes::{Cluster, Comfort, Program};
use loadtest::exercise::{Exercise, KEYS, run, scenarios};
use tempfile::TempDir;

/// How long a scenario runs that goes on as long as it is let.
const MOMENT: Duration = Duration::from_millis(200);

/// How long a slow machine may take for the first operation.
const PATIENCE: Duration = Duration::from_secs(120);

/// These end by themselves, and are run until they do.
const ENDING: [&str; 2] = ["compaction", "lease-expiry"];

/// A server under test, with an empty data directory.
struct Server {
    cluster: Cluster,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program =
            Program::taffrail(Path::new(env!("CARGO_BIN_EXE_taffrail")), 1).expect("the binary is there");
        let one = Comfort {
            nodes: 1,
            ..Comfort::default()
        };
        let cluster = Cluster::start(&program, &folder.path().join("nodes"), one).expect("it starts");
        Self {
            cluster,
            _folder: folder,
        }
    }

    /// Runs a scenario of which nothing may fail.
    fn exercise(&self, name: &str, duration: Duration) -> Exercise {
        let endpoint = &self.cluster.members()[0].endpoint;
        let exercise = run(name, endpoint, duration).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert!(exercise.errors.is_empty(), "{name}: {exercise:?}");
        exercise
    }

    /// The same for longer and longer until something was done in time.
    fn exercise_until_something_is_done(&self, name: &str) -> Exercise {
        let begun = Instant::now();
        let mut duration = MOMENT;
        loop {
            let exercise = self.exercise(name, duration);
            if exercise.operations > 0 {
                return exercise;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} does nothing in {duration:?}");
            duration *= 4;
        }
    }
}

#[test]
fn every_scenario_does_something_and_nothing_fails() {
    let server = Server::start();
    let others = scenarios();
    for name in others.iter().filter(|name| !ENDING.contains(&name.as_str())) {
        let exercise = server.exercise_until_something_is_done(name);
        println!("{name}: {:?}", exercise.kinds);
    }
    assert!(others.len() > ENDING.len());
}

#[test]
fn leases_expire_in_their_time_beside_writes() {
    let expiry = Server::start().exercise("lease-expiry", Duration::from_secs(300));
    assert_eq!(expiry.kinds["expiry"], KEYS as u64, "{expiry:?}");
    assert!(expiry.operations > KEYS as u64, "nothing is written: {expiry:?}");
}

#[test]
fn what_is_superseded_is_compacted_beside_writes() {
    let compaction = Server::start().exercise("compaction", Duration::from_secs(300));
    assert_eq!(compaction.kinds["compaction"], 1, "{compaction:?}");
    assert!(compaction.kinds["put-before"] > 0, "{compaction:?}");
}

/// Some servers take nothing but what kube-apiserver sends: one object in a transaction.
#[test]
fn a_server_that_refuses_many_objects_at_once_is_filled_one_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let endpoint = format!("http://{}", free.expect("a port"));
    let flags = [
        "--max-txn-ops=1",
        "--listen-client-urls",
        &endpoint,
        "--advertise-client-urls",
        &endpoint,
    ];
    let server = Command::new(env!("CARGO_BIN_EXE_taffrail"))
        .args(flags)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .stderr(Stdio::null())
        .spawn();
    let server = Child(server.expect("it starts"));
    let uri = endpoint.parse().expect("an address");
    let begun = Instant::now();
    let updates = loop {
        match run("txn-update", &uri, MOMENT) {
            Ok(updates) if updates.operations > 0 => break updates,
            Err(error) if begun.elapsed() > PATIENCE => panic!("{error:#}"),
            _ => assert!(begun.elapsed() < PATIENCE, "it does nothing"),
        }
    };
    assert!(updates.errors.is_empty(), "{updates:?}");
    drop(server);
}

/// A process that ends with the test.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
