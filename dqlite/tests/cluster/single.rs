use std::fs::File;
use std::time::Duration;

use dqlite::client::{Client, Error, Options as ClientOptions};
use dqlite::dial::Dialer;
use dqlite::node::{BOOTSTRAP_ID, Bind, NodeError, Options, RaftState, Running, Snapshots, Stopped};
use dqlite::store::DataDirectory;
use dqlite::wire::{Member, Role, Server, Value};
use tempfile::{TempDir, tempdir};
use tokio::time::timeout;

use crate::wait::{PATIENCE, until};

fn server() -> Server {
    Server {
        id: BOOTSTRAP_ID,
        address: "127.0.0.1:1".to_owned(),
    }
}

fn node() -> (TempDir, Stopped) {
    let folder = tempdir().unwrap();
    let directory = DataDirectory::open(folder.path()).unwrap();
    (folder, Stopped::new(directory, server(), Options::default()))
}

async fn client(node: &Running) -> Client {
    let address = node.socket().address();
    Client::connect(&Dialer::plain(), &address, ClientOptions::default())
        .await
        .unwrap()
}

/// A client with the database open, which takes a leader.
async fn opened(node: &Running) -> Client {
    until("a leader", async || {
        let mut client = client(node).await;
        match client.open("db").await {
            Ok(()) => Some(client),
            Err(Error::NotLeader(_)) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

async fn count(client: &mut Client) -> Value {
    let rows = client.query_sql("SELECT count(*) FROM t", &[]).await.unwrap();
    rows.first().await.unwrap().unwrap().remove(0)
}

#[tokio::test]
async fn a_node_starts_stops_and_starts_again_with_its_data() {
    let (_folder, mut stopped) = node();
    for round in 0..3 {
        let running = stopped.start(Dialer::plain()).await.unwrap();
        let mut client = opened(&running).await;
        client
            .execute_sql("CREATE TABLE IF NOT EXISTS t (n INTEGER)", &[])
            .await
            .unwrap();
        client.execute_sql("INSERT INTO t VALUES (1)", &[]).await.unwrap();
        assert_eq!(count(&mut client).await, Value::Integer(round + 1));
        stopped = running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_is_dropped_frees_its_directory() {
    let (folder, stopped) = node();
    let running = stopped.start(Dialer::plain()).await.unwrap();
    let mut client = opened(&running).await;
    let error = DataDirectory::open(folder.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "data directory {} is in use by another node",
            folder.path().display()
        )
    );
    drop(running);
    until("the lock", async || DataDirectory::open(folder.path()).ok()).await;
    assert!(
        client.leader().await.is_err(),
        "the connection ends with the node"
    );
}

#[tokio::test]
async fn a_start_that_is_given_up_frees_the_directory() {
    let (folder, stopped) = node();
    tokio::select! {
        biased;
        _ = stopped.start(Dialer::plain()) => panic!("it cannot be that fast"),
        () = std::future::ready(()) => {}
    }
    until("the lock", async || DataDirectory::open(folder.path()).ok()).await;
}

#[tokio::test]
async fn two_nodes_in_one_directory_are_refused_by_name() {
    let (folder, stopped) = node();
    // A node of another program, which knows nothing of our own lock, begins first.
    let lock = File::create(folder.path().join("dqlite-lock")).unwrap();
    lock.try_lock().unwrap();
    match stopped.start(Dialer::plain()).await.unwrap_err() {
        NodeError::InUse { path } => assert_eq!(path, folder.path()),
        error => panic!("{error}"),
    }
    let error = DataDirectory::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("in use by another node"), "{error}");
}

#[tokio::test]
async fn names_of_sockets_are_kept_and_taken_ones_refused() {
    let (_folder, stopped) = node();
    let name = format!("dqlite-test-{}", std::process::id());
    let mut options = stopped.options().clone();
    options.bind = Bind::Name(name.clone());
    drop(stopped);
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let [one, two] = folders.each_ref().map(|folder| {
        Stopped::new(
            DataDirectory::open(folder.path()).unwrap(),
            server(),
            options.clone(),
        )
    });
    let one = one.start(Dialer::plain()).await.unwrap();
    assert_eq!(one.socket().address(), format!("@{name}"));
    match two.start(Dialer::plain()).await.unwrap_err() {
        NodeError::Bind { address, .. } => assert_eq!(address, format!("@{name}")),
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let snapshots = |threshold, trailing| Snapshots {
        threshold,
        trailing,
        ..Snapshots::default()
    };
    let options = Options::default;
    let named = |id, address: &str| Server {
        id,
        address: address.to_owned(),
    };
    let cases = [
        (named(0, "a:1"), options(), "zero"),
        (named(1, "a\0b"), options(), "nul byte"),
        (
            server(),
            Options {
                network_latency: Duration::ZERO,
                ..options()
            },
            "network latency",
        ),
        (
            server(),
            Options {
                snapshots: snapshots(10, 9),
                ..options()
            },
            "snapshot after 10 entries",
        ),
        (
            server(),
            Options {
                snapshots: snapshots(1, 3),
                ..options()
            },
            "at least 4",
        ),
        (
            server(),
            Options {
                block_size: Some(1000),
                ..options()
            },
            "set the block size",
        ),
    ];
    for (server, options, expected) in cases {
        let folder = tempdir().unwrap();
        let node = Stopped::new(DataDirectory::open(folder.path()).unwrap(), server, options);
        let error = node.start(Dialer::plain()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_log_is_refused_with_what_raft_says() {
    let (folder, stopped) = node();
    let running = stopped.start(Dialer::plain()).await.unwrap();
    opened(&running)
        .await
        .execute_sql("CREATE TABLE t (n)", &[])
        .await
        .unwrap();
    let stopped = running.stop().await.unwrap();
    for name in ["metadata1", "metadata2"] {
        std::fs::write(folder.path().join(name), [0xff; 32]).unwrap();
    }
    let error = stopped.start(Dialer::plain()).await.unwrap_err().to_string();
    assert!(error.contains("metadata"), "{error}");
}

#[tokio::test]
async fn the_last_entry_grows_and_a_lost_cluster_is_recovered() {
    let (_folder, stopped) = node();
    let running = stopped.start(Dialer::plain()).await.unwrap();
    let mut leader = opened(&running).await;
    leader
        .execute_sql("CREATE TABLE t (n INTEGER)", &[])
        .await
        .unwrap();
    let (stopped, before) = running.stop().await.unwrap().last_entry().await.unwrap();
    assert!(before.term > 0 && before.index > 1, "{before:?}");
    let running = stopped.start(Dialer::plain()).await.unwrap();
    let mut leader = opened(&running).await;
    leader.execute_sql("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    let (stopped, after) = running.stop().await.unwrap().last_entry().await.unwrap();
    assert!(after > before, "{before:?}, {after:?}");

    let members = [
        (BOOTSTRAP_ID, "127.0.0.1:2", Role::Voter),
        (77, "127.0.0.1:3", Role::Spare),
    ];
    let members = members.map(|(id, address, role)| Member {
        id,
        address: address.to_owned(),
        role,
    });
    let stopped = stopped.recover(members.to_vec()).await.unwrap();
    let running = stopped.start(Dialer::plain()).await.unwrap();
    let mut leader = opened(&running).await;
    assert_eq!(leader.cluster().await.unwrap(), members);
    assert_eq!(count(&mut leader).await, Value::Integer(1));
}

#[tokio::test]
async fn a_handover_to_nobody_ends_and_the_node_stops() {
    let (_folder, stopped) = node();
    let mut running = stopped.start(Dialer::plain()).await.unwrap();
    opened(&running).await;
    let handed = running.handover(Duration::from_secs(10)).await.unwrap();
    assert!(!handed);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_tells_what_raft_does() {
    let (_folder, stopped) = node();
    let running = stopped.start(Dialer::plain()).await.unwrap();
    let mut leadership = running.leadership().expect("built from sources");
    let led = leadership.wait_for(|leadership| leadership.state == RaftState::Leader);
    let led = *timeout(PATIENCE, led).await.unwrap().unwrap();
    assert_eq!(led.leader, Some(BOOTSTRAP_ID));
    let before = running.raft().unwrap();
    let mut client = opened(&running).await;
    client
        .execute_sql("CREATE TABLE t (n INTEGER)", &[])
        .await
        .unwrap();
    // What is told may be a turn of the node's loop old.
    let after = until("the entry", async || {
        running
            .raft()
            .filter(|raft| raft.applied_index > before.applied_index)
    })
    .await;
    assert_eq!(after.leadership, led);
    assert!(after.last_index >= after.commit_index && after.commit_index >= after.applied_index);
    running.stop().await.unwrap();
    assert_eq!(leadership.borrow().state, RaftState::Unavailable);
}
