//! Members that stop for a while without noticing, and members that stop in good order.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Cluster, Load, Plan, put};

/// A leader that sleeps through an election wakes up, and neither reads nor writes as if nothing had happened:
/// its clients' calls were under way all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_paused_past_the_election() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let load = Load::start(&cluster);
    load.more(100).await;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        cluster.nodes[leader].signal(Signal::STOP);
        let others = cluster.others(leader);
        let successor = cluster.leader_of(&others).await;
        load.more_through(successor, 50).await;
        cluster.nodes[leader].signal(Signal::CONT);
        load.more_through(leader, 20).await;
    }
    load.check(&cluster, &[0, 1, 2]).await;
}

/// A client that tries again once sees nothing of a leader that stops in good order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_restarted_one_after_the_other() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let load = Load::start(&cluster);
    load.more(100).await;
    for member in 0..3 {
        let status = cluster.nodes[member].terminate().await;
        assert!(
            status.success(),
            "{status}:\n{}",
            cluster.nodes[member].last_words()
        );
        cluster.restart(&[member]).await;
        load.more_through(member, 20).await;
    }
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
