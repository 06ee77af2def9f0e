//! Members that stop for a while without noticing, and members that stop in good order.

use std::time::{Duration, Instant};

use etcd_client::Client;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::support::history::{Done, Operation};
use crate::support::sockets::unread;
use crate::support::{Cluster, Load, Plan, Steady, eventually, get, put};

/// Bytes of a key so long that the kernel's table tells who asks for it from everybody else.
const LONG: usize = 6000;
/// Connections on which a sleeping leader is asked, as many from before as new ones.
const CONNECTIONS: usize = 8;

/// A leader that sleeps through an election wakes up, and neither reads nor writes as if nothing had happened:
/// its clients' calls were under way all the time, and others had begun when its successor had written already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_paused_past_the_election() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let load = Load::start(&cluster);
    load.more(100).await;
    for round in 0..3 {
        let leader = cluster.leader().await;
        let key = format!("asleep/{round}/{}", "x".repeat(LONG));
        let mut clients = connected(&cluster, leader, &key).await;
        cluster.nodes[leader].signal(Signal::STOP);
        let others = cluster.others(leader);
        let successor = cluster.leader_of(&others).await;
        load.more_through(successor, 50).await;
        let written = written_through(&cluster.client(successor).await, &key).await;
        while clients.len() < CONNECTIONS {
            clients.push(cluster.client(leader).await);
        }
        let asked = ask_sleeper(&cluster, leader, &key, clients).await;
        cluster.nodes[leader].signal(Signal::CONT);
        let operations = asked.join_all().await;
        nothing_stale(&operations, &key, written);
        load.include(operations.into_iter().flatten());
        load.more_through(leader, 20).await;
    }
    load.check(&cluster, &[0, 1, 2]).await;
}

/// Clients of a member that have used their connections, and what they will ask for, written by it.
async fn connected(cluster: &Cluster, member: usize, key: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS / 2 {
        let client = cluster.client(member).await;
        eventually(|| {
            let mut client = client.clone();
            async move { put(&mut client, key, "before").await }
        })
        .await;
        clients.push(client);
    }
    clients
}

/// The revision at which a member has acknowledged the key's new value.
async fn written_through(client: &Client, key: &str) -> i64 {
    eventually(|| {
        let mut client = client.clone();
        async move { put(&mut client, key, "after").await }
    })
    .await
}

/// Asks a member that is stopped for a read on every other connection, and for a write on the rest. When this returns,
/// all of it waits in the member's sockets.
async fn ask_sleeper(
    cluster: &Cluster,
    member: usize,
    key: &str,
    clients: Vec<Client>,
) -> JoinSet<Option<Operation>> {
    let asked = clients.into_iter().enumerate().map(|(count, client)| {
        let writes = format!("{key}/{count}");
        match count % 2 {
            0 => ask(client, member, key.to_owned(), None),
            _ => ask(
                client,
                member,
                writes,
                Some(format!("through the sleeper, {count}")),
            ),
        }
    });
    let asked = asked.collect();
    eventually(|| async {
        let unread = unread(&cluster.nodes[member].host);
        let waiting = unread.iter().filter(|bytes| **bytes >= LONG).count();
        match waiting {
            CONNECTIONS => Ok(()),
            _ => Err(format!("{waiting} of {CONNECTIONS} calls wait: {unread:?}")),
        }
    })
    .await;
    asked
}

/// Writes a value, or else reads; a read that fails is none.
async fn ask(mut client: Client, member: usize, key: String, value: Option<String>) -> Option<Operation> {
    let begun = Instant::now();
    let done = match value {
        Some(value) => {
            let outcome = put(&mut client, &key, &value).await;
            Some(Done::Write { key, value, outcome })
        }
        None => {
            let found = get(&mut client, &key).await;
            found.ok().map(|found| Done::Read { key, found })
        }
    };
    let ended = Instant::now();
    done.map(|done| Operation {
        member,
        begun,
        ended,
        done,
    })
}

/// Whoever was answered saw what the successor had written, and no write was acknowledged below it.
fn nothing_stale(operations: &[Option<Operation>], asked: &str, written: i64) {
    let (mut reads, mut writes, mut refused) = (0, 0, Vec::new());
    for operation in operations.iter().flatten() {
        match &operation.done {
            Done::Read { key, found } => {
                reads += 1;
                assert_eq!(key, asked);
                let fresh = |(value, at): &(String, i64)| value == "after" && *at >= written;
                assert!(
                    found.revision >= written && found.value.as_ref().is_some_and(fresh),
                    "written at {written}, and read afterwards: {found:?}"
                );
            }
            Done::Write {
                outcome: Ok(revision),
                ..
            } => {
                writes += 1;
                assert!(*revision > written, "acknowledged at {revision}, after {written}");
            }
            Done::Write {
                outcome: Err(said), ..
            } => refused.push(said),
        }
    }
    println!("asked while it slept: {reads} reads answered, {writes} writes, refused {refused:?}");
}

/// A client that has all endpoints and tries again, as etcd's do, sees nothing of members that stop in good order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_restarted_one_after_the_other() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let load = Load::start(&cluster);
    let steady = Steady::start(&cluster).await;
    load.more(100).await;
    for member in 0..3 {
        let status = cluster.nodes[member].terminate().await;
        assert!(
            status.success(),
            "{status}:\n{}",
            cluster.nodes[member].last_words()
        );
        steady.more(30).await;
        cluster.restart(&[member]).await;
        load.more_through(member, 20).await;
    }
    steady.more(30).await;
    load.include(steady.stop().await);
    load.check(&cluster, &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let leader = cluster.leader().await;
    let other = cluster.others(leader)[0];
    let mut client = cluster.client(other).await;
    put(&mut client, "before", "x").await.expect("a leader");
    let handed_over = async {
        let mut longest = Duration::ZERO;
        for count in 0..200 {
            let begun = std::time::Instant::now();
            if put(&mut client, &format!("k/{count}"), "x").await.is_err() {
                put(&mut client, &format!("k/{count}"), "x")
                    .await
                    .expect("when tried again");
            }
            longest = longest.max(begun.elapsed());
        }
        longest
    };
    let (status, longest) = tokio::join!(cluster.nodes[leader].terminate(), handed_over);
    assert!(status.success(), "{status}");
    println!("the slowest write took {longest:?}");
    let log = cluster.nodes[leader].logged();
    assert!(
        log.contains("leadership_to: Some("),
        "{}",
        cluster.nodes[leader].last_words()
    );
    // An election needs at least its timeout of silence.
    assert!(longest < Duration::from_millis(600), "{longest:?} is an election");
}
