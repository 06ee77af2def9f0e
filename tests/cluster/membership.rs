//! Members that come and go: removed, emptied, added, promoted, made the leader, and left alone.

use etcd_client::{Client, MemberAddOptions};

use crate::support::calls::{PATIENCE, reason, within};
use crate::support::load::equal_hashes;
use crate::support::{Cluster, Load, Plan, eventually, get, put, trust};

/// The member ends and says why; so it does when it is started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_serves_no_more() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let (leader, removed) = (cluster.leader().await, cluster.follower().await);
    let id = cluster.id(removed).await;
    let mut client = cluster.client(leader).await;
    within(client.member_remove(id)).await.expect("it is removed");
    for _ in 0..2 {
        let status = cluster.nodes[removed].ended().await;
        assert!(!status.success());
        let log = cluster.nodes[removed].logged();
        assert!(
            log.ends_with("empty data directory\n") && log.contains("has been removed from its cluster"),
            "{log}"
        );
        std::fs::write(&cluster.nodes[removed].log, "").expect("a log file");
        cluster.nodes[removed].start(&[]);
    }
    cluster.nodes[removed].ended().await;
    put(&mut client, "after", "x")
        .await
        .expect("two of two are a majority");
    let gone = within(client.member_remove(id)).await.unwrap_err();
    assert_eq!(gone, "etcdserver: member not found");
}

/// Whoever was emptied may not go on as if nothing had happened: it is told whom to remove, and joins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_member_is_refused_and_joins_anew() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let mut client = cluster.client(1).await;
    put(&mut client, "kept", "yes").await.expect("a majority");
    for emptied in [2, 0] {
        let id = cluster.id(emptied).await;
        cluster.nodes[emptied].kill();
        cluster.nodes[emptied].wipe();
        cluster.nodes[emptied].start(&[]);
        let status = cluster.nodes[emptied].ended().await;
        assert!(!status.success());
        let said = cluster.nodes[emptied].last_words();
        let named = [
            "remove the member, then add it again",
            "this one must join it, not begin another",
        ];
        assert!(named.iter().any(|name| said.contains(name)), "{said}");

        let url = cluster.nodes[emptied].peer_url();
        within(client.member_remove(id)).await.expect("it is removed");
        within(client.member_add([url], None)).await.expect("it is added");
        cluster.nodes[emptied].wipe();
        cluster.nodes[emptied].start(&["--initial-cluster-state=existing"]);
        cluster.serves(emptied).await;
        cluster.all_vote().await;
        assert_ne!(cluster.id(emptied).await, id, "under a new identity");
        let found = get(&mut cluster.client(emptied).await, "kept")
            .await
            .expect("it serves");
        assert_eq!(found.value.expect("it is there").0, "yes");
    }
}

/// etcd's way: it is added first, as a learner here, and started then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_member_is_added_then_started() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let load = Load::start(&cluster);
    load.more(100).await;
    let fourth = cluster.add_node(None);
    let url = cluster.nodes[fourth].peer_url();
    let mut client = cluster.client(0).await;
    let options = MemberAddOptions::new().with_is_learner();
    let added = within(client.member_add([url.clone()], Some(options)))
        .await
        .expect("it is added");
    let id = added.member().expect("a member").id();
    let again = within(client.member_add([url], None)).await.unwrap_err();
    assert_eq!(again, "etcdserver: Peer URLs already exists");
    one_learner_at_a_time(&mut cluster, &mut client, id).await;
    cannot_lead(&mut cluster, id).await;
    let list = format!("--initial-cluster={}", cluster.list(&[0, 1, 2, 3]));
    cluster.nodes[fourth].start(&[&list, "--initial-cluster-state=existing"]);
    cluster.serves(fourth).await;
    assert_eq!(cluster.id(fourth).await, id, "it is the member that was added");
    let mut own = cluster.client(fourth).await;
    put(&mut own, "through", "the fourth").await.expect("it forwards");
    load.more(50).await;
    load.check(&cluster, &[0, 1, 2]).await;
    let newest = get(&mut own, "/none").await.expect("it serves").revision;
    equal_hashes(&cluster, &[0, 1, 2, fourth], newest).await;
    statuses_are_true(&cluster).await;
    started_learners_are_not_waited_for(&mut cluster, &mut client).await;
    promoted(&mut client, id).await;
    let voter = cluster.leader().await;
    let voter = cluster.id(voter).await;
    let said = within(client.member_promote(voter)).await.unwrap_err();
    assert_eq!(said, "etcdserver: can only promote a learner member");
    statuses_are_true(&cluster).await;
}

/// While a learner is waited for, another one is refused, on whichever member; a member that is added without asking for
/// a learner is not.
async fn one_learner_at_a_time(cluster: &mut Cluster, client: &mut Client, awaited: u64) {
    let fifth = cluster.add_node(None);
    let url = cluster.nodes[fifth].peer_url();
    for index in 0..3 {
        let options = MemberAddOptions::new().with_is_learner();
        let mut asked = cluster.client(index).await;
        let said = within(asked.member_add([url.clone()], Some(options)))
            .await
            .unwrap_err();
        assert_eq!(said, "etcdserver: too many learner members in cluster");
    }
    let added = within(client.member_add([url], None)).await.expect("it is added");
    let added = added.member().expect("a member").id();
    assert_ne!(added, awaited);
    within(client.member_remove(added)).await.expect("it is removed");
    cluster.nodes.truncate(fifth);
}

/// One that has been started stands by: the next one may be added.
async fn started_learners_are_not_waited_for(cluster: &mut Cluster, client: &mut Client) {
    let next = cluster.add_node(None);
    let url = cluster.nodes[next].peer_url();
    let options = MemberAddOptions::new().with_is_learner();
    let added = within(client.member_add([url], Some(options))).await;
    let added = added.expect("it is added");
    let id = added.member().expect("a member").id();
    within(client.member_remove(id)).await.expect("it is removed");
    cluster.nodes.truncate(next);
}

/// The leader hands over to voters only.
async fn cannot_lead(cluster: &mut Cluster, learner: u64) {
    let begun = std::time::Instant::now();
    loop {
        let leader = cluster.leader().await;
        let mut client = cluster.client(leader).await;
        match within(client.move_leader(learner)).await.map(drop) {
            // Another leads since it was asked.
            Err(said) if said == "etcdserver: not leader" => assert!(begun.elapsed() < PATIENCE, "{said}"),
            outcome => return assert_eq!(outcome, Err("etcdserver: bad leader transferee".to_owned())),
        }
    }
}

/// What members say of themselves is what the list of members says of them; of four, one has no vote.
async fn statuses_are_true(cluster: &Cluster) {
    eventually(|| async {
        let list = within(cluster.client(0).await.member_list()).await?;
        let mut learners: Vec<_> = list
            .members()
            .iter()
            .filter(|member| member.is_learner())
            .collect();
        let (Some(learner), []) = (learners.pop(), &learners[..]) else {
            return Err(format!("one learner: {list:?}"));
        };
        let mut leaders = Vec::new();
        for index in 0..cluster.nodes.len() {
            let status = cluster.status(index).await?;
            let learns = status.header().expect("a header").member_id() == learner.id();
            let metric = cluster.metric(index, "etcd_server_is_learner").await?;
            if status.is_learner() != learns || metric != u8::from(learns).to_string() {
                return Err(format!("member {index} learns, {learns}: {metric}, {status:?}"));
            }
            assert!(status.db_size() > 0, "{status:?}");
            leaders.push((status.leader(), status.raft_term()));
        }
        leaders.dedup();
        match leaders[..] {
            [(1.., 1..)] => Ok(()),
            _ => Err(format!("the same leader and term: {leaders:?}")),
        }
    })
    .await;
}

/// A learner that has caught up is promoted.
async fn promoted(client: &mut Client, id: u64) {
    match client.member_promote(id).await {
        Ok(answer) => {
            let member = answer.members().iter().find(|member| member.id() == id);
            assert!(!member.expect("it is listed").is_learner());
        }
        Err(error) => panic!("{}", reason(&error)),
    }
}

/// k8s-dqlite's way: it says whom to join, and adds itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_join_by_themselves() {
    let mut cluster = Cluster::plan(Plan {
        members: 1,
        ..Plan::default()
    });
    cluster.nodes[0].start(&["--backend=dqlite"]);
    cluster.serves(0).await;
    let mut client = cluster.client(0).await;
    put(&mut client, "kept", "yes")
        .await
        .expect("one of one is a majority");
    let join = format!("--join={}:2380", cluster.nodes[0].host);
    for index in 1..3 {
        cluster.add_node(None);
        cluster.nodes[index].start(&[&join]);
        cluster.serves(index).await;
    }
    cluster.all_vote().await;
    cluster.nodes[0].kill();
    let found = get(&mut cluster.client(2).await, "kept")
        .await
        .expect("two of three");
    assert_eq!(found.value.expect("it is there").0, "yes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leadership_is_moved() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let (leader, other) = (cluster.leader().await, cluster.follower().await);
    let target = cluster.id(other).await;
    let said = within(cluster.client(other).await.move_leader(target))
        .await
        .unwrap_err();
    assert_eq!(said, "etcdserver: not leader");
    within(cluster.client(leader).await.move_leader(target))
        .await
        .expect("it is moved");
    assert_eq!(cluster.leader().await, other);
    put(&mut cluster.client(leader).await, "after", "x")
        .await
        .expect("it forwards");
}

/// A majority that is gone for good: the survivor goes on alone, with one command, and the others join it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_majority_is_recovered_from() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let mut client = cluster.client(2).await;
    put(&mut client, "kept", "yes").await.expect("a majority");
    let newest = get(&mut client, "kept").await.expect("a majority").revision;
    for index in 0..3 {
        cluster.nodes[index].kill();
    }
    for index in 0..2 {
        cluster.nodes[index].wipe();
    }
    let recovered = trust::run(&["recover", "--data-dir"], &cluster.nodes[2].data_dir);
    assert!(recovered.contains("is alone in its cluster now"), "{recovered}");
    cluster.nodes[2].start(&[]);
    cluster.serves(2).await;
    put(&mut client, "alone", "yes")
        .await
        .expect("one of one is a majority");
    let join = format!("--join={}:2380", cluster.nodes[2].host);
    for index in 0..2 {
        cluster.nodes[index].start(&["--initial-cluster=", &join]);
        cluster.serves(index).await;
    }
    cluster.all_vote().await;
    let found = get(&mut cluster.client(0).await, "kept")
        .await
        .expect("it serves");
    assert_eq!(found.value.expect("it is there"), ("yes".to_owned(), newest));
    equal_hashes(&cluster, &[0, 1, 2], newest + 1).await;
}

/// A cluster of one is a cluster: it is killed and goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_alone() {
    let mut cluster = Cluster::plan(Plan {
        members: 1,
        flags: vec!["--backend=dqlite".into()],
        ..Plan::default()
    });
    cluster.nodes[0].start(&[]);
    cluster.serves(0).await;
    let load = Load::start(&cluster);
    load.more(50).await;
    cluster.nodes[0].kill();
    cluster.restart(&[0]).await;
    load.more(50).await;
    eventually(|| async { cluster.status(0).await.map(drop) }).await;
    load.check(&cluster, &[0]).await;
}
