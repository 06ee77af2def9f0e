//! Backups: taken from any member under load, and brought up as a new cluster; and a server that was alone becomes one.

use std::path::{Path, PathBuf};
use std::process::Command;

use etcd_client::{Client, GetOptions, PutOptions, WatchOptions, WatchStream};

use crate::support::calls::within;
use crate::support::load::equal_hashes;
use crate::support::node::BINARY;
use crate::support::{Cluster, Load, Plan, eventually, get, put};

/// Seconds that the leases of these tests live: longer than any of them.
const TTL: i64 = 3_600;

/// From the leader and from a follower, while clients write; what comes up is what the backup holds, no less and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_becomes_a_new_cluster() {
    let mut old = Cluster::start(Plan::default()).await;
    let mut client = old.client(0).await;
    let before = Contents::write(&mut client).await;
    let load = Load::start(&old);
    load.more(100).await;
    let (leader, follower) = (old.leader().await, old.follower().await);
    let saved = [leader, follower].map(|member| old.home().join(format!("from-{member}.db")));
    save(&mut old.client(leader).await, &saved[0]).await;
    save(&mut old.client(follower).await, &saved[1]).await;
    load.more(100).await;
    drop(load);

    for file in &saved {
        let said = run(Command::new(BINARY).arg("verify").arg(file));
        let newest = number(&said, "newest revision: ");
        let mut new = Cluster::plan(Plan::default());
        restore(&new, file, &[]);
        come_up(&mut new).await;
        let mut restored = new.client(1).await;
        let found = get(&mut restored, "/none").await.expect("it serves");
        assert_eq!(found.revision, newest);
        before.are_in(&mut restored).await;
        assert_eq!(
            within(client.hash_kv(newest)).await.expect("a hash").hash(),
            within(restored.hash_kv(newest)).await.expect("a hash").hash(),
            "it is the store as it was at {newest}"
        );
        equal_hashes(&new, &[0, 1, 2], newest).await;
        goes_on(&mut new, newest).await;
    }
}

/// etcd's way of a restore that no client may overlook: revisions jump, and whoever knew the old ones must read anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_comes_up_with_its_revisions_moved_on() {
    let old = Cluster::start(Plan::default()).await;
    let mut client = old.client(1).await;
    let before = Contents::write(&mut client).await;
    let newest = get(&mut client, "/none").await.expect("it serves").revision;
    let file = old.home().join("backup.db");
    save(&mut client, &file).await;
    let mut new = Cluster::plan(Plan::default());
    restore(&new, &file, &["--bump-revision=1000000", "--mark-compacted"]);
    come_up(&mut new).await;
    for member in 0..3 {
        let mut restored = new.client(member).await;
        let found = get(&mut restored, "/none").await.expect("it serves");
        assert_eq!(found.revision, newest + 1_000_000);
        before.are_in(&mut restored).await;
        let options = WatchOptions::new()
            .with_all_keys()
            .with_start_revision(newest + 1);
        let mut watched = restored.watch("", Some(options)).await.expect("a watch");
        let ended = loop {
            let message = within(watched.message()).await.expect("in time");
            let message = message.expect("no end");
            if message.canceled() {
                break message.compact_revision();
            }
        };
        assert_eq!(ended, newest + 1_000_000, "the watch is told");
    }
    goes_on(&mut new, newest + 1_000_000).await;
}

/// A server that was alone is stopped, and its file becomes the first member; watchers go on where they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_alone_becomes_a_cluster() {
    let mut old = Cluster::plan(Plan {
        members: 1,
        ..Plan::default()
    });
    old.nodes[0].start(&["--backend=sqlite"]);
    old.serves(0).await;
    let mut client = old.client(0).await;
    let before = Contents::write(&mut client).await;
    let newest = get(&mut client, "/none").await.expect("it serves").revision;
    let hash = within(client.hash_kv(newest)).await.expect("a hash").hash();
    assert!(old.nodes[0].terminate().await.success());
    let log = old.nodes[0].logged();
    assert!(!log.contains("\"level\":\"warn\""), "{log}");

    let mut new = Cluster::plan(Plan::default());
    restore(&new, &old.nodes[0].data_dir.join("taffrail.db"), &[]);
    let refused = command(&new, 0, &old.nodes[0].data_dir.join("taffrail.db")).output();
    let refused = refused.expect("it can be run");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("is not empty"),
        "{said}"
    );
    let other = command(&new, 1, &old.nodes[0].data_dir.join("taffrail.db")).output();
    let said = String::from_utf8_lossy(&other.expect("it can be run").stderr).into_owned();
    assert!(
        said.contains("only n1, the first in the order of names"),
        "{said}"
    );
    come_up(&mut new).await;
    for member in 0..3 {
        let mut restored = new.client(member).await;
        assert_eq!(
            within(restored.hash_kv(newest)).await.expect("a hash").hash(),
            hash
        );
        before.are_in(&mut restored).await;
    }
    goes_on(&mut new, newest).await;
}

/// What a store must have again.
struct Contents {
    leases: Vec<i64>,
    first: i64,
}

impl Contents {
    /// Keys with history, deleted ones, ones on leases, and a compaction in the middle.
    async fn write(client: &mut Client) -> Self {
        let mut leases = Vec::new();
        for number in 0..5 {
            let lease = within(client.lease_grant(TTL, None)).await.expect("a lease").id();
            let options = PutOptions::new().with_lease(lease);
            let key = format!("leased/{number}");
            within(client.put(key, "x", Some(options)))
                .await
                .expect("it is written");
            leases.push(lease);
        }
        put(client, "kept", "zero").await.expect("it is written");
        let compacted = put(client, "kept", "one").await.expect("it is written");
        within(client.compact(compacted, None)).await.expect("compacted");
        for value in ["two", "three"] {
            put(client, "kept", value).await.expect("it is written");
        }
        put(client, "gone", "x").await.expect("it is written");
        within(client.delete("gone", None)).await.expect("it is deleted");
        let first = compacted;
        leases.sort_unstable();
        Self { leases, first }
    }

    async fn are_in(&self, client: &mut Client) {
        let found = within(client.leases()).await.expect("leases");
        let mut leases: Vec<i64> = found.leases().iter().map(etcd_client::LeaseStatus::id).collect();
        leases.sort_unstable();
        assert_eq!(leases, self.leases);
        for (number, lease) in self.leases.iter().enumerate() {
            let told = within(client.lease_time_to_live(*lease, None))
                .await
                .expect("a lease");
            assert!(
                told.granted_ttl() == TTL && told.ttl() > TTL - 600,
                "a lease has its time again: {told:?}"
            );
            let key = format!("leased/{number}");
            let read = within(client.get(key, None)).await.expect("it serves");
            assert!(read.kvs().iter().any(|kv| self.leases.contains(&kv.lease())));
        }
        let kept = get(client, "kept").await.expect("it serves").value;
        assert_eq!(kept, Some(("three".to_owned(), self.first + 2)));
        assert_eq!(get(client, "gone").await.expect("it serves").value, None);
        self.history_is_in(client).await;
    }

    /// From the compact revision on, unless everything was marked as compacted.
    async fn history_is_in(&self, client: &mut Client) {
        let options = GetOptions::new().with_revision(self.first);
        match within(client.get("kept", Some(options))).await {
            Ok(read) => assert_eq!(read.kvs()[0].value(), b"one"),
            Err(said) => assert!(said.contains("compacted"), "{said}"),
        }
        let options = GetOptions::new().with_revision(self.first - 1);
        let said = within(client.get("kept", Some(options))).await.unwrap_err();
        assert!(said.contains("compacted"), "{said}");
    }
}

/// Saves a backup as etcdctl does.
pub(crate) async fn save(client: &mut Client, to: &Path) {
    let mut stream = within(client.snapshot()).await.expect("a snapshot");
    let mut bytes = Vec::new();
    while let Some(part) = within(stream.message()).await.expect("it is sent whole") {
        bytes.extend_from_slice(part.blob());
    }
    std::fs::write(to, bytes).expect("a file");
}

fn command(cluster: &Cluster, member: usize, snapshot: &Path) -> Command {
    let (node, list) = (&cluster.nodes[member], cluster.list(&[0, 1, 2]));
    let directory: &PathBuf = &cluster.nodes[0].data_dir;
    let mut command = Command::new(BINARY);
    command.arg("restore").arg(snapshot);
    command.arg("--data-dir").arg(directory);
    command.args(["--name", &node.name, "--initial-cluster", &list]);
    command
}

fn restore(cluster: &Cluster, snapshot: &Path, more: &[&str]) {
    let said = run(command(cluster, 0, snapshot).args(more));
    assert!(said.contains("restored"), "{said}");
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be run");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn number(said: &str, name: &str) -> i64 {
    let line = said.lines().find_map(|line| line.strip_prefix(name));
    line.expect("it is said").parse().expect("a number")
}

/// Starts the members of a cluster whose first has a restored directory.
async fn come_up(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.start(&[]);
    }
    for index in 0..cluster.nodes.len() {
        cluster.serves(index).await;
    }
    cluster.all_vote().await;
}

/// A watch that begins behind the backup sees what comes; another member leads; all stay equal, also after a restart.
async fn goes_on(cluster: &mut Cluster, newest: i64) {
    let mut client = cluster.client(2).await;
    let options = WatchOptions::new()
        .with_all_keys()
        .with_start_revision(newest + 1);
    let mut watched = client.watch("", Some(options)).await.expect("a watch");
    put(&mut client, "after", "one").await.expect("a majority");
    assert_eq!(next(&mut watched).await, (newest + 1, "one".to_owned()));
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    let other = cluster.client(cluster.others(leader)[0]).await;
    eventually(|| {
        let mut other = other.clone();
        async move { get(&mut other, "after").await }
    })
    .await;
    cluster.restart(&[leader]).await;
    put(&mut cluster.client(leader).await, "after", "two")
        .await
        .expect("a majority");
    equal_hashes(cluster, &[0, 1, 2], newest + 2).await;
}

async fn next(watched: &mut WatchStream) -> (i64, String) {
    loop {
        let message = within(watched.message()).await.expect("in time").expect("no end");
        if let Some(event) = message.events().first() {
            let kv = event.kv().expect("an event has a key");
            return (
                kv.mod_revision(),
                String::from_utf8_lossy(kv.value()).into_owned(),
            );
        }
    }
}
