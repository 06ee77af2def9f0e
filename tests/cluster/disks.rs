//! Disks that are full, and files that are damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, getuid};

use crate::support::calls::within;
use crate::support::load::equal_hashes;
use crate::support::{Cluster, Load, Plan, eventually, get, put};

/// Mounts a small file system that only the member's own mount namespace sees, and becomes the member. It is gone
/// with the process, so the member's data are, too.
const SMALL_DISK: &str =
    r#"mount -t tmpfs -o size=96m taffrail-test "$0" && head -c 48M /dev/zero > "$0/ballast" && exec "$@""#;

/// Bytes of a large write.
const WRITE: usize = 500_000;
/// As many large writes are more than a segment of the log has room for.
const SEGMENT: usize = 20;

fn on_small_disk(directory: &Path) -> Vec<String> {
    let namespace: &[&str] = if getuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--user", "--map-root-user", "--mount"]
    };
    let rest = ["sh", "-c", SMALL_DISK, directory.to_str().expect("text")];
    namespace.iter().chain(&rest).map(ToString::to_string).collect()
}

/// A cluster whose members have small disks.
async fn on_small_disks() -> Cluster {
    let flags = vec!["--quota-backend-bytes=-1".to_owned()];
    let mut cluster = Cluster::plan(Plan {
        flags,
        ..Plan::default()
    });
    for node in &mut cluster.nodes {
        let disk = node.data_dir.with_extension("disk");
        fs::create_dir_all(&disk).expect("a directory");
        node.launcher = on_small_disk(&disk);
        node.data_dir = disk.join("data");
        node.start(&[]);
    }
    for index in 0..3 {
        eventually(|| async {
            let said = "a small disk is mounted: this needs root, or user namespaces";
            seen_by(&cluster, index)
                .exists()
                .then_some(())
                .ok_or_else(|| said.to_owned())
        })
        .await;
        cluster.serves(index).await;
    }
    cluster.all_vote().await;
    cluster
}

/// What takes the room, as the member sees it.
fn seen_by(cluster: &Cluster, index: usize) -> PathBuf {
    let node = &cluster.nodes[index];
    let disk = node.data_dir.parent().expect("a disk");
    PathBuf::from(format!("/proc/{}/root{}/ballast", node.pid(), disk.display()))
}

/// Fills a member's disk to the last byte.
fn fill(cluster: &Cluster, index: usize) {
    let filling = seen_by(cluster, index).with_file_name("filling");
    let full = fs::write(&filling, vec![b'x'; 96 << 20]).expect_err("it has less room than that");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

fn make_room(cluster: &mut Cluster, index: usize) {
    assert!(
        cluster.nodes[index].runs(),
        "a full disk ended the member:\n{}",
        cluster.nodes[index].last_words()
    );
    let ballast = seen_by(cluster, index);
    fs::remove_file(ballast.with_file_name("filling")).expect("it was filled");
    fs::remove_file(ballast).expect("there is ballast");
}

/// Writes more than a log segment has room for, so that a member whose disk is full must notice. Each write is tried
/// until it is acknowledged.
async fn write_much(cluster: &Cluster, through: usize) {
    let client = cluster.client(through).await;
    let value = "x".repeat(WRITE);
    for count in 0..48 {
        let key = format!("big/{}", count % 4);
        eventually(|| {
            let mut client = client.clone();
            let (key, value) = (&key, &value);
            async move { put(&mut client, key, value).await }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followers_disk_is_full() {
    let mut cluster = on_small_disks().await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let load = Load::start(&cluster);
    load.more(50).await;
    fill(&cluster, follower);
    write_much(&cluster, leader).await;
    takes_no_more(&cluster, leader, follower).await;
    eventually(|| async {
        let log = cluster.nodes[follower].logged();
        let said = log.contains("the disk of the data directory is full");
        said.then_some(()).ok_or(log)
    })
    .await;
    load.more_through(leader, 20).await;
    make_room(&mut cluster, follower);
    load.more_through(follower, 20).await;
    load.check(&cluster, &[0, 1, 2]).await;
}

/// With the third member paused the leader depends on the one whose disk is full: soon no write is acknowledged any
/// more, because that one has no room for it and says so.
async fn takes_no_more(cluster: &Cluster, leader: usize, full: usize) {
    let third = (0..3)
        .find(|index| *index != leader && *index != full)
        .expect("a third");
    let mut client = cluster.client(leader).await;
    let value = "y".repeat(WRITE);
    cluster.nodes[third].signal(Signal::STOP);
    let mut acknowledged = 0;
    let said = loop {
        match put(&mut client, "big/last", &value).await {
            Ok(_) => acknowledged += 1,
            Err(said) => break said,
        }
        assert!(acknowledged < SEGMENT, "it acknowledges what it has no room for");
    };
    cluster.nodes[third].signal(Signal::CONT);
    println!("with one of two disks full, {acknowledged} writes were acknowledged: {said}");
}

/// The others elect one that can write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leaders_disk_is_full() {
    let mut cluster = on_small_disks().await;
    let leader = cluster.leader().await;
    let other = cluster.others(leader)[0];
    let load = Load::start(&cluster);
    load.more(50).await;
    fill(&cluster, leader);
    write_much(&cluster, other).await;
    cluster.leader_of(&cluster.others(leader)).await;
    let log = cluster.nodes[leader].logged();
    assert!(log.contains("this member leads no more"), "{log}");
    load.more_through(other, 20).await;
    make_room(&mut cluster, leader);
    load.more_through(leader, 20).await;
    load.check(&cluster, &[0, 1, 2]).await;
}

/// Every file in a directory, byte for byte.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path());
    entries
        .filter(|path| path.is_file() && !path.to_string_lossy().contains("lock"))
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect()
}

/// Turns bytes in the middle of the first closed segment of the log, or else of an open one; returns which.
fn damage(data_dir: &Path) -> PathBuf {
    let names = files(data_dir);
    let is_closed = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("0000"))
    };
    let is_open = |path: &Path| path.to_string_lossy().contains("open-1");
    let closed = names.keys().find(|path| is_closed(path));
    let segment = closed.or_else(|| names.keys().find(|path| is_open(path)));
    let segment = segment.unwrap_or_else(|| panic!("no segment in {:?}", names.keys()));
    let mut bytes = names[segment].clone();
    let middle = 4096.min(bytes.len() / 2);
    bytes[middle..middle + 64]
        .iter_mut()
        .for_each(|byte| *byte ^= 0x5a);
    fs::write(segment, bytes).expect("it is damaged");
    segment.clone()
}

/// It does not start, says what is damaged, and leaves everything as it is; it comes back by being added anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_damaged() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let mut client = cluster.client(0).await;
    let value = "x".repeat(1000);
    let mut written = BTreeMap::new();
    for count in 0..50 {
        let key = format!("k/{count}");
        let revision = put(&mut client, &key, &value).await.expect("a majority");
        written.insert(key, revision);
    }
    let id = cluster.id(2).await;
    assert!(cluster.nodes[2].terminate().await.success());
    let damaged = damage(&cluster.nodes[2].data_dir);
    let before = files(&cluster.nodes[2].data_dir);
    cluster.nodes[2].start(&[]);
    let status = cluster.nodes[2].ended().await;
    let said = cluster.nodes[2].last_words();
    assert!(
        !status.success() && said.contains("cannot start the node"),
        "{status}: {said}"
    );
    let name = damaged.file_name().expect("a name").to_string_lossy();
    assert!(
        said.contains(&*name),
        "{name} is damaged, which is not said: {said}"
    );
    let after = files(&cluster.nodes[2].data_dir);
    assert!(
        after == before,
        "of {:?} there are {:?}, or not as they were",
        before.keys(),
        after.keys()
    );

    let url = cluster.nodes[2].peer_url();
    within(client.member_remove(id)).await.expect("it is removed");
    within(client.member_add([url], None)).await.expect("it is added");
    cluster.nodes[2].wipe();
    cluster.nodes[2].start(&["--initial-cluster-state=existing"]);
    cluster.serves(2).await;
    cluster.all_vote().await;
    let mut newest = 0;
    for (key, revision) in written {
        let found = get(&mut cluster.client(2).await, &key).await.expect("it serves");
        assert_eq!(found.value, Some((value.clone(), revision)), "{key}");
        newest = found.revision;
    }
    equal_hashes(&cluster, &[0, 1, 2], newest).await;
}
