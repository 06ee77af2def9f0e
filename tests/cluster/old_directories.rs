//! Members that were removed and added again under the same address, and are started on what they had before: the new
//! member is another one, and must never be mistaken for the old.

use etcd_client::Member;

use crate::support::calls::within;
use crate::support::load::equal_hashes;
use crate::support::{Cluster, Plan, get, put};

/// It was away when it was removed, so nothing on its disk says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_is_replaced_and_comes_back() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let (leader, replaced) = (cluster.leader().await, cluster.follower().await);
    let mut client = cluster.client(leader).await;
    put(&mut client, "kept", "yes").await.expect("a majority");
    let old = cluster.id(replaced).await;
    cluster.nodes[replaced].kill();
    within(client.member_remove(old)).await.expect("it is removed");
    comes_back_as_another(&mut cluster, replaced, old).await;
}

/// It was there when it was removed, and has heard of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_told_is_replaced_and_comes_back() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let (leader, replaced) = (cluster.leader().await, cluster.follower().await);
    let mut client = cluster.client(leader).await;
    put(&mut client, "kept", "yes").await.expect("a majority");
    let old = cluster.id(replaced).await;
    within(client.member_remove(old)).await.expect("it is removed");
    assert!(!cluster.nodes[replaced].ended().await.success());
    comes_back_as_another(&mut cluster, replaced, old).await;
}

/// Adds a member at the address of one that was removed, and starts it on the old directory, which is refused, then on
/// an empty one.
async fn comes_back_as_another(cluster: &mut Cluster, index: usize, old: u64) {
    let leader = cluster.leader().await;
    let mut client = cluster.client(leader).await;
    let url = cluster.nodes[index].peer_url();
    let added = within(client.member_add([url], None)).await.expect("it is added");
    let new = added.member().expect("a member").id();
    assert_ne!(new, old);
    std::fs::write(&cluster.nodes[index].log, "").expect("a log file");
    for flags in [&[][..], &["--initial-cluster-state=existing"]] {
        cluster.nodes[index].start(flags);
        let status = cluster.nodes[index].ended().await;
        let log = cluster.nodes[index].logged();
        let last = log.lines().last().unwrap_or_default();
        assert!(!status.success(), "{status}: {log}");
        assert!(
            last.contains(cluster.nodes[index].data_dir.to_str().expect("text"))
                && last.contains(&format!("{old:x}"))
                && last.contains("has been removed from its cluster"),
            "{log}"
        );
        let listed = member(cluster, leader, new).await;
        assert!(
            listed.is_learner() && listed.name().is_empty(),
            "the old one acted as the new: {listed:?}\n{log}"
        );
    }

    cluster.nodes[index].wipe();
    cluster.nodes[index].start(&["--initial-cluster-state=existing"]);
    cluster.serves(index).await;
    cluster.all_vote().await;
    assert_eq!(cluster.id(index).await, new);
    let found = get(&mut cluster.client(index).await, "kept").await;
    let found = found.expect("it serves");
    assert_eq!(found.value.expect("it is there").0, "yes");
    equal_hashes(cluster, &[0, 1, 2], found.revision).await;
}

async fn member(cluster: &Cluster, through: usize, id: u64) -> Member {
    let mut client = cluster.client(through).await;
    let list = within(client.member_list()).await.expect("a list");
    let member = list.members().iter().find(|member| member.id() == id);
    member.expect("it is listed").clone()
}
