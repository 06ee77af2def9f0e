//! Everything at once, from a seed: clients, leader changes, broken links, lost answers, compactions. In the end
//! all members agree with the log, and what clients were told was true.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use model::Revision;

use crate::cluster::{Choices, Cluster, eventually, within};
use crate::dice::Dice;
use crate::members::MEMBERS;
use crate::picture::{all_agree_with_the_log, every_leader_knows_the_leases};
use crate::trouble::Trouble;
use crate::watcher::Watcher;
use crate::workload::{Told, Worker};

/// Things that befall the cluster.
const TROUBLES: usize = 60;
/// What the clients get done between two of them, if they can.
const REVISIONS_BETWEEN: i64 = 12;
/// How long they are given to.
const BETWEEN: Duration = Duration::from_millis(150);
/// Clients on each member.
const CLIENTS: u64 = 3;
/// How long a request waits for a leader: not long, so that some are told that there is none.
const PATIENCE: Duration = Duration::from_millis(700);

async fn run(seed: u64) {
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let cluster = Cluster::start(&Choices {
        patience: PATIENCE,
        ..Choices::default()
    });
    cluster.elect(dice.one_of(&MEMBERS)).await;
    let mut watchers = watch_everywhere(&cluster, Revision(2)).await;
    let acknowledged: Arc<AtomicI64> = Arc::default();
    let workers: Vec<Worker> = MEMBERS
        .into_iter()
        .flat_map(|id| (0..CLIENTS).map(move |client| (id, client)))
        .map(|(id, client)| Worker::start(cluster.store(id), id * 100 + client, seed, &acknowledged))
        .collect();
    let mut trouble = Trouble::new(seed);
    for _ in 0..TROUBLES {
        trouble.make(&cluster);
        let enough = acknowledged.load(SeqCst) + REVISIONS_BETWEEN;
        let worked = async {
            while acknowledged.load(SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _stuck = tokio::time::timeout(BETWEEN, worked).await;
        if dice.once_in(15) {
            let from = cluster.store(1).revision();
            watchers.extend(watch_everywhere(&cluster, from).await);
        }
    }
    let mut told = Vec::new();
    for worker in workers {
        told.push(within("a client ends", worker.stop()).await);
    }
    trouble.end(&cluster).await;
    check(&cluster, &watchers, told).await;
}

async fn watch_everywhere(cluster: &Cluster, from: Revision) -> Vec<Watcher> {
    let mut watchers = Vec::new();
    for store in cluster.stores() {
        watchers.push(Watcher::start(&store, from).await);
    }
    watchers
}

async fn check(cluster: &Cluster, watchers: &[Watcher], told: Vec<Told>) {
    all_agree_with_the_log(cluster).await;
    let mut told = told.into_iter().reduce(Told::with).expect("clients");
    told.is_true(cluster);
    for watcher in watchers {
        let done = || watcher.ended().is_some() || watcher.has_heard_everything(cluster);
        eventually("a watch ends or is complete", done).await;
        watcher.is_right(cluster);
    }
    let complete = watchers.iter().filter(|watcher| watcher.ended().is_none());
    println!(
        "{} revisions, {}, {} of {} watches complete",
        cluster.store(1).revision().0,
        told.summary(),
        complete.count(),
        watchers.len()
    );
    every_leader_knows_the_leases(cluster).await;
    all_agree_with_the_log(cluster).await;
}

#[tokio::test]
async fn seed_1() {
    run(1).await;
}

#[tokio::test]
async fn seed_2() {
    run(2).await;
}

#[tokio::test]
async fn seed_3() {
    run(3).await;
}

#[tokio::test]
async fn a_seed_of_this_run() {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock");
    run(seed.as_secs()).await;
}
