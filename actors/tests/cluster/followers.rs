//! Followers that were away, or that are slow: how they come back, and what their watches hear.

use actors::{CancelReason, Followed, Following, Peer as _, PeerError, Progress};
use model::{Command, Revision};

use crate::client::{delete, pairs, put, value};
use crate::cluster::{Cluster, eventually, within};
use crate::members::MEMBERS;
use crate::picture::all_agree_with_the_log;
use crate::watcher::Watcher;

/// Overwrites ten keys, and deletes one of them now and then.
async fn write(cluster: &Cluster, through: u64, rounds: usize) {
    for n in 0..rounds {
        let store = cluster.store(through);
        let command = if n % 7 == 0 {
            delete(&format!("key-{}", n % 10))
        } else {
            put(&format!("key-{}", n % 10), &n.to_string())
        };
        store.submit(command).await.expect("stored");
    }
}

/// Writes so much that neither a link nor the leader's memory of recent batches holds it.
async fn write_too_much_to_remember(cluster: &Cluster, through: u64) {
    let large = "v".repeat(1 << 20);
    for n in 0..80 {
        let store = cluster.store(through);
        let stored = store.submit(put(&format!("large-{}", n % 3), &large)).await;
        stored.expect("stored");
    }
}

async fn compact(cluster: &Cluster, through: u64) {
    let store = cluster.store(through);
    store.linearize().await.expect("confirmed");
    store
        .submit(Command::Compact(store.revision()))
        .await
        .expect("compacted");
    store.compact_physically().await.expect("scrubbed");
}

#[tokio::test]
async fn after_a_short_absence_it_goes_on_from_the_recent_batches() {
    let cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 30).await;
    cluster.settled().await;
    let watcher = Watcher::start(&cluster.store(3), Revision(2)).await;
    cluster.log_of(1).freeze_replica();
    cluster.network.isolate(3, MEMBERS);
    write(&cluster, 2, 50).await;
    assert!(cluster.store(3).revision() < cluster.store(1).revision());
    cluster.network.heal();
    cluster.settled().await;
    cluster.log_of(1).thaw_replica();
    all_agree_with_the_log(&cluster).await;
    watcher.hears_everything(&cluster).await;
}

#[tokio::test]
async fn after_a_leader_change_it_goes_on_from_the_log() {
    let cluster = Cluster::led_by(1).await;
    write(&cluster, 3, 30).await;
    cluster.settled().await;
    let watcher = Watcher::start(&cluster.store(3), Revision(2)).await;
    cluster.network.isolate(3, MEMBERS);
    write(&cluster, 1, 30).await;
    cluster.elect_for(Some(2), [1, 2]);
    cluster.until_leads(2).await;
    write(&cluster, 1, 30).await;
    cluster.network.heal();
    cluster.sees(3, Some(2));
    write(&cluster, 3, 30).await;
    all_agree_with_the_log(&cluster).await;
    watcher.hears_everything(&cluster).await;
}

#[tokio::test]
async fn what_does_not_fit_the_recent_batches_comes_from_the_log() {
    let cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 30).await;
    cluster.settled().await;
    let watcher = Watcher::start(&cluster.store(3), Revision(2)).await;
    cluster.network.isolate(3, MEMBERS);
    write_too_much_to_remember(&cluster, 2).await;
    cluster.network.heal();
    all_agree_with_the_log(&cluster).await;
    watcher.hears_everything(&cluster).await;
}

#[tokio::test]
async fn one_that_is_connected_and_does_not_keep_up_catches_up_too() {
    let cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 30).await;
    cluster.settled().await;
    let watchers = [
        Watcher::start(&cluster.store(2), Revision(2)).await,
        Watcher::start(&cluster.store(3), Revision(2)).await,
    ];
    cluster.network.starve(3);
    for _ in 0..2 {
        write_too_much_to_remember(&cluster, 2).await;
    }
    watchers[0].hears_everything(&cluster).await;
    cluster.network.feed();
    write(&cluster, 3, 30).await;
    all_agree_with_the_log(&cluster).await;
    watchers[1].hears_everything(&cluster).await;
}

/// Whether the watch ended because it needs what is compacted, having heard nothing wrong before.
fn ended_as_compacted(watcher: &Watcher, cluster: &Cluster) {
    watcher.is_right(cluster);
    let compacted = cluster.store(1).compact_revision();
    assert_eq!(watcher.ended(), Some(CancelReason::Compacted(compacted)));
}

#[tokio::test]
async fn when_compaction_passed_it_it_begins_again_from_its_own_replica() {
    let cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 30).await;
    cluster.settled().await;
    let behind = Watcher::start(&cluster.store(3), Revision(2)).await;
    behind.hears_everything(&cluster).await;
    cluster.network.isolate(3, MEMBERS);
    write(&cluster, 1, 60).await;
    let later = cluster.store(1).revision().next();
    write(&cluster, 1, 30).await;
    compact(&cluster, 2).await;
    cluster.elect_for(Some(2), [1, 2]);
    cluster.until_leads(2).await;
    let ahead = Watcher::start(&cluster.store(3), later.next()).await;
    let beyond = Watcher::start(&cluster.store(3), cluster.store(2).revision().next()).await;
    cluster.network.heal();
    cluster.sees(3, Some(2));
    all_agree_with_the_log(&cluster).await;
    write(&cluster, 3, 20).await;
    all_agree_with_the_log(&cluster).await;
    let ended = || behind.ended().is_some() && ahead.ended().is_some();
    eventually("the watches that missed something end", ended).await;
    ended_as_compacted(&behind, &cluster);
    ended_as_compacted(&ahead, &cluster);
    beyond.hears_everything(&cluster).await;
}

#[tokio::test]
async fn when_its_own_replica_is_too_old_it_takes_the_leaders() {
    let cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 30).await;
    cluster.settled().await;
    let behind = Watcher::start(&cluster.store(3), Revision(2)).await;
    behind.hears_everything(&cluster).await;
    cluster.log_of(3).freeze_replica();
    cluster.network.isolate(3, MEMBERS);
    write(&cluster, 1, 60).await;
    compact(&cluster, 1).await;
    cluster.elect_for(Some(2), [1, 2]);
    cluster.until_leads(2).await;
    cluster.network.heal();
    cluster.sees(3, Some(2));
    write(&cluster, 3, 20).await;
    cluster.settled().await;
    cluster.log_of(3).thaw_replica();
    all_agree_with_the_log(&cluster).await;
    eventually("the watch ends", || behind.ended().is_some()).await;
    ended_as_compacted(&behind, &cluster);
}

/// Member 3 has just started, so that nothing of the past is in its memory, and is cut off from the others.
async fn cut_off_after_a_restart() -> Cluster {
    let mut cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 40).await;
    cluster.stop(3).await;
    cluster.start_again(3);
    cluster.settled().await;
    let store = cluster.store(3);
    store.linearize().await.expect("confirmed");
    cluster.network.isolate(3, MEMBERS);
    cluster
}

#[tokio::test]
async fn a_watch_on_one_that_is_cut_off_hears_all_of_the_past() {
    let cluster = cut_off_after_a_restart().await;
    write(&cluster, 1, 40).await;
    let watcher = Watcher::start(&cluster.store(3), Revision(2)).await;
    let newest = cluster.store(3).revision();
    let heard = || watcher.events().last().map(|event| event.version.mod_revision) == Some(newest);
    eventually("it hears what this member has", heard).await;
    watcher.is_right(&cluster);
    cluster.network.heal();
    watcher.hears_everything(&cluster).await;
}

#[tokio::test]
async fn a_watch_on_one_that_is_cut_off_does_not_hear_half_of_what_others_have_compacted() {
    let cluster = cut_off_after_a_restart().await;
    write(&cluster, 1, 40).await;
    compact(&cluster, 1).await;
    let compacted = cluster.store(1).compact_revision();
    assert!(
        cluster.store(3).compact_revision() < compacted,
        "it has not heard"
    );
    let watcher = Watcher::start(&cluster.store(3), Revision(2)).await;
    eventually("the watch ends", || watcher.ended().is_some()).await;
    ended_as_compacted(&watcher, &cluster);
    assert!(watcher.events().is_empty());
}

#[tokio::test]
async fn a_watch_waits_for_the_replica_that_is_behind() {
    let cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 30).await;
    cluster.settled().await;
    cluster.network.isolate(3, MEMBERS);
    cluster.log_of(3).freeze_replica();
    write(&cluster, 1, 60).await;
    compact(&cluster, 1).await;
    let later = cluster.store(1).revision().next();
    let watcher = Watcher::start(&cluster.store(3), later).await;
    write(&cluster, 1, 40).await;
    // It begins again from the leader's replica, and of what follows the compaction it has no batch.
    cluster.elect_for(Some(2), [1, 2]);
    cluster.until_leads(2).await;
    cluster.network.heal();
    cluster.sees(3, Some(2));
    cluster.settled().await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(watcher.events().is_empty(), "{:?}", watcher.events().first());
    cluster.log_of(3).thaw_replica();
    watcher.hears_everything(&cluster).await;
    all_agree_with_the_log(&cluster).await;
}

#[tokio::test]
async fn a_member_that_starts_late_catches_up() {
    let mut cluster = Cluster::led_by(1).await;
    write(&cluster, 2, 30).await;
    cluster.stop(3).await;
    cluster.log_of(3).freeze_replica();
    write(&cluster, 2, 30).await;
    compact(&cluster, 2).await;
    write(&cluster, 2, 30).await;
    cluster.start_again(3);
    let store = cluster.store(3);
    store.linearize().await.expect("confirmed");
    assert_eq!(pairs(&store).await, pairs(&cluster.store(1)).await);
    cluster.log_of(3).thaw_replica();
    all_agree_with_the_log(&cluster).await;
}

/// What was fed and not taken.
fn take_all(following: &mut Following) -> Vec<Followed> {
    std::iter::from_fn(|| following.next_now()?.ok()).collect()
}

#[tokio::test]
async fn one_that_reads_nothing_costs_bounded_memory_and_delays_nobody() {
    let mut cluster = Cluster::led_by(1).await;
    write(&cluster, 1, 30).await;
    let mut unread = fed_by(&cluster, 1).await;
    write_too_much_to_remember(&cluster, 2).await;
    write_too_much_to_remember(&cluster, 3).await;
    all_agree_with_the_log(&cluster).await;
    // Nothing more is fed while the test takes what was.
    cluster.stop(1).await;
    let held = take_all(&mut unread);
    let bytes: usize = held.iter().map(Followed::size).sum();
    assert!(bytes > 16 << 20, "it was fed {bytes} bytes only");
    assert!(bytes <= 33 << 20, "{bytes} bytes wait for one that does not read");
    assert!(held.len() < 50, "{} messages for as many megabytes", held.len());
}

#[tokio::test]
async fn a_follower_that_is_gone_is_forgotten() {
    let cluster = Cluster::led_by(1).await;
    cluster.store(1).submit(put("key", "1")).await.expect("stored");
    for _ in 0..50 {
        let mut following = cluster.member(1).follow(9, Progress::default());
        let first = within("an answer", following.next()).await.expect("the leader's");
        assert!(matches!(first, Followed::Reconciled(_)), "{first:?}");
        let mut followed = first;
        while followed != Followed::Continued {
            followed = within("an answer", following.next()).await.expect("the leader's");
        }
    }
    let mut last = cluster.member(1).follow(9, Progress::default());
    while within("an answer", last.next()).await.expect("the leader's") != Followed::Continued {}
    let followers = || cluster.report(1).replicator.followers;
    eventually("only those are left that are there", || followers() == 3).await;
}

/// A follower in the live flow of this member, which has begun to lead and may not know yet whom to feed.
async fn fed_by(cluster: &Cluster, leader: u64) -> Following {
    loop {
        let mut following = cluster.member(leader).follow(3, Progress::default());
        loop {
            match within("an answer", following.next()).await {
                Ok(Followed::Continued) => return following,
                Ok(_) => {}
                Err(PeerError::NotReady(_)) => break,
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_member_that_does_not_lead_feeds_nobody() {
    let cluster = Cluster::led_by(1).await;
    let mut following = cluster.member(2).follow(3, Progress::default());
    let refused = within("an answer", following.next()).await;
    assert!(matches!(refused, Err(PeerError::NotReady(_))), "{refused:?}");
    let mut following = fed_by(&cluster, 1).await;
    cluster.elect(2).await;
    let ended = within("an answer", following.next()).await;
    assert!(matches!(ended, Err(PeerError::NotReady(_))), "{ended:?}");
    assert_eq!(value(&cluster.store(3), "key").await, None);
}
