//! Members that cannot hear each other, while clients hear all of them.

use std::time::Duration;

use crate::support::calls::get_serializable;
use crate::support::network::{Network, in_own_network};
use crate::support::{Cluster, Load, Plan, get, put};

async fn start(network: &Network) -> Cluster {
    Cluster::start(Plan {
        places: Some(network.places()),
        ..Plan::default()
    })
    .await
}

/// A leader that is cut off answers no linearizable read and takes no write, however convinced it is.
#[test]
fn the_leader_is_cut_off() {
    in_own_network("partitions::the_leader_is_cut_off", async {
        let network = Network::new(3);
        let mut cluster = start(&network).await;
        let load = Load::start(&cluster);
        load.more(100).await;
        let leader = cluster.leader().await;
        let others = cluster.others(leader);
        network.cut(leader, &others);
        let successor = cluster.leader_of(&others).await;
        load.more_through(successor, 100).await;
        let mut cut_off = cluster.client(leader).await;
        let said = put(&mut cut_off, "cut off", "x")
            .await
            .expect_err("it has no majority");
        println!("a write: {said}");
        let said = get(&mut cut_off, "r/0").await.expect_err("it has no majority");
        println!("a linearizable read: {said}");
        get_serializable(&mut cut_off, "r/0")
            .await
            .expect("that is local");
        network.heal(leader);
        load.more_through(leader, 20).await;
        load.check(&cluster, &[0, 1, 2]).await;
    });
}

/// A follower that hears the other follower but not the leader: the cluster goes on, with this leader or another.
#[test]
fn a_follower_is_cut_off_from_the_leader() {
    in_own_network("partitions::a_follower_is_cut_off_from_the_leader", async {
        let network = Network::new(3);
        let mut cluster = start(&network).await;
        let load = Load::start(&cluster);
        load.more(100).await;
        let (leader, follower) = (cluster.leader().await, cluster.follower().await);
        let third = 3 - leader - follower;
        network.cut(follower, &[leader]);
        load.more_through(third, 100).await;
        let mut apart = cluster.client(follower).await;
        get_serializable(&mut apart, "r/0").await.expect("that is local");
        network.heal(follower);
        load.more_through(follower, 20).await;
        load.check(&cluster, &[0, 1, 2]).await;
    });
}

/// The same again and again, with whoever leads.
#[test]
fn leaders_are_cut_off_in_turn() {
    in_own_network("partitions::leaders_are_cut_off_in_turn", async {
        let network = Network::new(3);
        let mut cluster = start(&network).await;
        let load = Load::start(&cluster);
        for _ in 0..3 {
            let leader = cluster.leader().await;
            let others = cluster.others(leader);
            network.cut(leader, &others);
            let successor = cluster.leader_of(&others).await;
            load.more_through(successor, 20).await;
            network.heal(leader);
            load.more_through(leader, 10).await;
        }
        load.check(&cluster, &[0, 1, 2]).await;
    });
}

/// Five of a hundred packets between members are lost, each way.
#[test]
fn packets_are_lost() {
    in_own_network("partitions::packets_are_lost", async {
        let network = Network::new(3);
        let cluster = start(&network).await;
        let load = Load::start(&cluster);
        load.more(50).await;
        for member in 0..3 {
            network.lose(member, 5);
        }
        for member in 0..3 {
            load.more_through(member, 30).await;
        }
        (0..3).for_each(|member| network.heal(member));
        tokio::time::sleep(Duration::from_millis(200)).await;
        load.check(&cluster, &[0, 1, 2]).await;
    });
}
