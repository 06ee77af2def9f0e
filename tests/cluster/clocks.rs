//! Wall clocks an hour apart: leases keep their promise, because they run on a clock that members have in common.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use etcd_client::{Client, PutOptions};

use crate::support::calls::{PATIENCE, within};
use crate::support::{Cluster, Plan, eventually, get, put};

/// Seconds that a lease lives: more than it is given after any restart.
const TTL: i64 = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_are_an_hour_ahead() {
    leases_keep_their_promise("+3600s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_are_an_hour_behind() {
    leases_keep_their_promise("-3600s").await;
}

/// The first member, whose clock is right, leads at first; the others' clocks are off by this.
async fn leases_keep_their_promise(off: &str) {
    let mut cluster = Cluster::plan(Plan::default());
    for index in 0..3 {
        set_clock(&mut cluster, index, if index == 0 { "+0s" } else { off });
        cluster.nodes[index].start(&[]);
    }
    for index in 0..3 {
        cluster.serves(index).await;
    }
    cluster.all_vote().await;
    the_clocks_are_off(&cluster, off).await;

    // Before anybody has remembered on disk what time the cluster has.
    let mut promise = Promise::make(&mut cluster.client(0).await, "all killed").await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.restart(&[1, 2]).await;
    promise.is_kept(&mut cluster.client(2).await).await;
    cluster.restart(&[0]).await;

    for round in 0..2 {
        let (leader, through) = (cluster.leader().await, cluster.follower().await);
        let mut client = cluster.client(through).await;
        let mut promise = Promise::make(&mut client, &format!("round {round}")).await;
        cluster.nodes[leader].kill();
        promise.is_kept(&mut client).await;
        cluster.restart(&[leader]).await;
    }
}

/// Gives a member its own wall clock. Time that only passes is everybody's.
fn set_clock(cluster: &mut Cluster, index: usize, off: &str) {
    cluster.nodes[index].environment = [
        ("LD_PRELOAD", faketime().to_str().expect("a path")),
        ("FAKETIME", off),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
}

fn faketime() -> PathBuf {
    let libraries = std::fs::read_dir("/usr/lib").expect("a folder").flatten();
    let mut paths = libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    paths
        .find(|path| path.exists())
        .expect("libfaketime: `make deps` installs it")
}

/// The test would prove nothing if the library were not in use: a member's log tells its time.
async fn the_clocks_are_off(cluster: &Cluster, off: &str) {
    let stamp = |index: usize| {
        let log = cluster.nodes[index].logged();
        let line = log.lines().next().expect("it has logged").to_owned();
        let stamp = line.split("\"ts\":\"").nth(1).expect("a time stamp");
        stamp[11..13].parse::<i64>().expect("an hour")
    };
    let expected = if off.starts_with('+') { 1 } else { 23 };
    let apart = (stamp(1) - stamp(0)).rem_euclid(24);
    // A new hour may have begun between the two.
    assert!(
        [expected, (expected + 1) % 24].contains(&apart),
        "{apart} hours apart"
    );
}

/// A key that must be there for as long as its lease was to live, and not for ever.
struct Promise {
    key: String,
    granted: Instant,
}

impl Promise {
    async fn make(client: &mut Client, key: &str) -> Self {
        let lease = within(client.lease_grant(TTL, None)).await.expect("a lease").id();
        let granted = Instant::now();
        let options = PutOptions::new().with_lease(lease);
        within(client.put(key, "x", Some(options)))
            .await
            .expect("a majority");
        let key = key.to_owned();
        Self { key, granted }
    }

    async fn is_kept(&mut self, client: &mut Client) {
        let time = Duration::from_secs(TTL.unsigned_abs());
        let mut looks = 0;
        loop {
            let found = get(client, &self.key).await;
            let age = self.granted.elapsed();
            if age >= time {
                break;
            }
            looks += usize::from(found.is_ok());
            if let Ok(found) = found {
                assert!(found.value.is_some(), "{}: it ended after {age:?}", self.key);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(looks > 0, "{}: nobody served in its time", self.key);
        eventually(|| {
            let (mut client, key) = (client.clone(), self.key.clone());
            async move {
                let gone = get(&mut client, &key).await?.value.is_none();
                gone.then_some(()).ok_or_else(|| format!("{key}: the end of it"))
            }
        })
        .await;
        assert!(self.granted.elapsed() < PATIENCE);
        println!("{}: it ended after {:?}", self.key, self.granted.elapsed());
        put(client, &self.key, "again").await.expect("a majority");
    }
}
