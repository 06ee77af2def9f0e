//! Killed at any moment: nothing acknowledged is lost, nothing is half there.

use std::collections::HashMap;
use std::time::Duration;

use etcd_client::{Client, GetOptions, Txn, TxnOp};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::clients::etcd_client;
use crate::support::process::data_dir;
use crate::support::{Server, Start};

const ROUNDS: u64 = 8;
const WRITERS: u64 = 12;

/// What one writer knows: its keys' newest acknowledged value, and the value it was writing when the
/// server died, which may have been stored or not.
#[derive(Default)]
struct Known {
    acknowledged: i64,
    attempted: i64,
    revision: i64,
}

/// Writes growing numbers under two keys in one transaction each, until the server is gone.
async fn write(mut client: Client, writer: u64, mut known: Known) -> (u64, Known) {
    loop {
        known.attempted += 1;
        let value = known.attempted.to_string();
        let both =
            ["left", "right"].map(|side| TxnOp::put(format!("{side}/{writer:03}"), value.clone(), None));
        match client.txn(Txn::new().and_then(both)).await {
            Ok(answer) => {
                known.acknowledged = known.attempted;
                let revision = answer.header().unwrap().revision();
                assert!(
                    revision > known.revision,
                    "revisions went back: {} then {revision}",
                    known.revision
                );
                known.revision = revision;
            }
            Err(_) => return (writer, known),
        }
    }
}

async fn numbers(client: &mut Client, side: &str) -> HashMap<u64, i64> {
    let pairs = client
        .get(format!("{side}/"), Some(GetOptions::new().with_prefix()))
        .await
        .unwrap();
    let number = |kv: &etcd_client::KeyValue| {
        let writer = kv.key_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
        (writer, kv.value_str().unwrap().parse().unwrap())
    };
    pairs.kvs().iter().map(number).collect()
}

/// Compares what is stored with what every writer knows, and takes over what turned out to be stored.
async fn check(server: &Server, known: &mut HashMap<u64, Known>) {
    let mut client = etcd_client(server).await;
    let (left, right) = (
        numbers(&mut client, "left").await,
        numbers(&mut client, "right").await,
    );
    assert_eq!(left, right, "a transaction is half there");
    let newest = client
        .get("left/", None)
        .await
        .unwrap()
        .header()
        .unwrap()
        .revision();
    for (writer, known) in known {
        let stored = left.get(writer).copied().unwrap_or(0);
        let possible = known.acknowledged..=known.attempted;
        assert!(
            possible.contains(&stored),
            "writer {writer}: {stored} is stored, {possible:?} was possible"
        );
        assert!(
            newest >= known.revision,
            "the store is at {newest}, {} was acknowledged",
            known.revision
        );
        known.acknowledged = stored;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_server_under_load_loses_nothing_acknowledged() {
    let directory = TempDir::new().unwrap();
    let mut known: HashMap<u64, Known> = (0..WRITERS).map(|writer| (writer, Known::default())).collect();
    let mut written = 0;
    for round in 0..ROUNDS {
        let server = Start::new(&data_dir(&directory)).run();
        check(&server, &mut known).await;
        let mut writers = JoinSet::new();
        for (writer, known) in known.drain() {
            writers.spawn(write(etcd_client(&server).await, writer, known));
        }
        // Not a round number, so that the blow falls at another point of a commit every time.
        tokio::time::sleep(Duration::from_millis(211 + 97 * round)).await;
        server.kill();
        known = writers.join_all().await.into_iter().collect();
        written = known.values().map(|known| known.acknowledged).sum();
        println!("round {round}: {written} transactions acknowledged so far");
    }
    let server = Start::new(&data_dir(&directory)).run();
    check(&server, &mut known).await;
    assert!(written > 0, "nothing was ever acknowledged");
}
