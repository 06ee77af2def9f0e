//! Members that end as by a power cut, and come back.

use std::time::{Duration, Instant};

use etcd_client::{ConnectOptions, WatchOptions};

use crate::support::calls::{client_with, get_serializable, reason};
use crate::support::{Cluster, Load, Plan, get, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_under_load() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let load = Load::start(&cluster);
    load.more(100).await;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let killed = Instant::now();
        cluster.nodes[leader].kill();
        load.more(1).await;
        println!(
            "the first write came {:?} after the leader's end",
            killed.elapsed()
        );
        load.more(50).await;
        cluster.restart(&[leader]).await;
        load.more_through(leader, 20).await;
    }
    load.check(&cluster, &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_killed_under_load() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let load = Load::start(&cluster);
    load.more(100).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    cluster.nodes[follower].kill();
    load.more_through(leader, 200).await;
    cluster.restart(&[follower]).await;
    load.more_through(follower, 20).await;
    assert_eq!(cluster.leader().await, leader, "nobody else has to lead");
    load.check(&cluster, &[0, 1, 2]).await;
}

/// Two of three are gone: the survivor reads what it has, takes no write, and says so by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_are_killed_and_come_back() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let load = Load::start(&cluster);
    load.more(100).await;
    let mut survivors_client = cluster.client(2).await;
    let kept = put(&mut survivors_client, "kept", "yes")
        .await
        .expect("a majority");
    let require_leader = ConnectOptions::new().with_require_leader(true);
    let mut watching = client_with(&cluster.nodes[2].client_url(), require_leader).await;
    let options = WatchOptions::new().with_all_keys();
    let mut stream = watching.watch("", Some(options)).await.expect("a watch");
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();

    let ends = async {
        loop {
            match stream.message().await {
                Ok(Some(message)) if message.canceled() => return message.cancel_reason().to_owned(),
                Ok(Some(_)) => {}
                Ok(None) => return "a silent end".to_owned(),
                Err(error) => return reason(&error),
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), ends).await;
    assert_eq!(ended.expect("the stream ends"), "etcdserver: no leader");
    let said = put(&mut survivors_client, "refused", "no").await.unwrap_err();
    assert_eq!(said, "context deadline exceeded");
    let named = [
        "etcdserver: request timed out",
        "etcdserver: no leader",
        "etcdserver: leader changed",
    ];
    let said = get(&mut survivors_client, "kept").await.unwrap_err();
    assert!(named.iter().any(|name| said.starts_with(name)), "{said}");
    let found = get_serializable(&mut survivors_client, "kept")
        .await
        .expect("it is local");
    assert_eq!(found.value, Some(("yes".to_owned(), kept)));

    cluster.restart(&[0, 1]).await;
    for member in 0..3 {
        load.more_through(member, 20).await;
    }
    load.check(&cluster, &[0, 1, 2]).await;
}

/// All at once, as by a power cut of the whole room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_killed_and_come_back() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let load = Load::start(&cluster);
    load.more(200).await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.restart(&[0, 1, 2]).await;
    load.more(100).await;
    load.check(&cluster, &[0, 1, 2]).await;
}
