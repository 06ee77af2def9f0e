//! A rolling upgrade: members of two releases, of which the newer one knows a newer schema version of the log.
//!
//! `--rehearse-next-release` makes a member one of the next release.

use crate::backups::save;
use crate::support::node::BINARY;
use crate::support::{Cluster, Load, Plan, eventually, get, put};

const NEXT: &str = "--rehearse-next-release";

/// One after the other is upgraded under load. The log keeps its version until the last one is, whoever leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_upgraded_one_after_the_other() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let load = Load::start(&cluster);
    load.more(50).await;
    for upgraded in 0..2 {
        upgrade(&mut cluster, upgraded).await;
        load.more_through(upgraded, 20).await;
    }
    // Whoever leads: the newer ones write the older version, and the older one reads what they write.
    for _ in 0..3 {
        let leader = cluster.leader().await;
        cluster.nodes[leader].kill();
        load.more(10).await;
        let release: &[&str] = if leader == 2 { &[] } else { &[NEXT] };
        cluster.nodes[leader].start(release);
        cluster.serves(leader).await;
        load.more_through(leader, 10).await;
    }
    assert_eq!(
        raised(&cluster),
        0,
        "the third member does not know the newer version"
    );

    upgrade(&mut cluster, 2).await;
    eventually(|| async {
        let times = raised(&cluster);
        (times > 0)
            .then_some(())
            .ok_or_else(|| "a log of the newer version".to_owned())
    })
    .await;
    for member in 0..3 {
        load.more_through(member, 20).await;
    }
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    load.more(20).await;
    start(&mut cluster, leader).await;
    load.more_through(leader, 10).await;
    assert_eq!(raised(&cluster), 1, "once for all");
    load.check(&cluster, &[0, 1, 2]).await;
    the_older_release_refuses_it(&mut cluster).await;
}

/// A member of the older release refuses the log by name: when it is started again on its data, and when it joins.
async fn the_older_release_refuses_it(cluster: &mut Cluster) {
    let unknown = "the log has schema version 2, this program knows versions up to 1";
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let mut client = cluster.client(leader).await;
    put(&mut client, "kept", "yes").await.expect("a majority");
    cluster.nodes[follower].terminate().await;
    std::fs::write(&cluster.nodes[follower].log, "").expect("a log file");
    cluster.nodes[follower].start(&[]);
    assert!(!cluster.nodes[follower].ended().await.success());
    let said = cluster.nodes[follower].last_words();
    assert!(said.contains(unknown), "{said}");

    let joining = cluster.add_node(None);
    let join = format!("--join={}:2380", cluster.nodes[leader].host);
    cluster.nodes[joining].start(&[&join]);
    assert!(!cluster.nodes[joining].ended().await.success());
    let said = cluster.nodes[joining].last_words();
    assert!(
        said.contains(unknown) && said.contains("must be upgraded"),
        "{said}"
    );

    start(cluster, follower).await;
    let found = get(&mut cluster.client(follower).await, "kept").await;
    assert_eq!(found.expect("it serves").value.expect("it is there").0, "yes");
    backup_is_of_the_newer_version(cluster).await;
}

/// Nobody takes a backup of the newer version for an older one.
async fn backup_is_of_the_newer_version(cluster: &Cluster) {
    let file = cluster.home().join("backup.db");
    save(&mut cluster.client(0).await, &file).await;
    let verified = std::process::Command::new(BINARY)
        .arg("verify")
        .arg(&file)
        .output();
    let verified = verified.expect("it can be run");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let unknown = "schema version 2, this program knows versions up to 1";
    assert!(!verified.status.success() && said.contains(unknown), "{said}");
}

/// Stops a member and starts it with the next release.
async fn upgrade(cluster: &mut Cluster, member: usize) {
    cluster.nodes[member].terminate().await;
    start(cluster, member).await;
}

async fn start(cluster: &mut Cluster, member: usize) {
    cluster.nodes[member].start(&[NEXT]);
    cluster.serves(member).await;
}

/// How often the log got the newer version, as its leaders say.
fn raised(cluster: &Cluster) -> usize {
    let said = "the log gets another schema version";
    let of = |log: String| {
        log.lines()
            .filter(|line| {
                line.contains(said) && line.contains("\"found\":1") && line.contains("\"target\":2")
            })
            .count()
    };
    cluster.nodes.iter().map(|node| of(node.logged())).sum()
}
