//! The lead changes: nothing that was acknowledged is lost, nothing is done twice, and who waits is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use actors::{RequestError, Store};
use model::{Command, LeaseId, Revision, Txn};
use tokio::task::JoinHandle;

use crate::client::{delete, look, pairs, put, submit, succeeded, swap, value};
use crate::cluster::{Choices, Cluster, answered, eventually, within};
use crate::members::MEMBERS;
use crate::picture::{all_agree_with_the_log, every_leader_knows_the_leases};
use crate::watcher::Watcher;

/// A client that writes ever new values, and what was acknowledged to it.
fn write_on(store: Store, name: String, stop: Arc<AtomicBool>) -> JoinHandle<Vec<(Revision, String)>> {
    tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        for n in 0.. {
            if stop.load(Relaxed) {
                break;
            }
            let text = format!("{name}-{n}");
            if let Ok(committed) = store.submit(put(&name, &text)).await {
                acknowledged.push((committed.revision, text));
            }
        }
        acknowledged
    })
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_watches_go_on() {
    let cluster = Cluster::led_by(1).await;
    let mut watchers = Vec::new();
    for id in MEMBERS {
        watchers.push(Watcher::start(&cluster.store(id), Revision(2)).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..9)
        .map(|n| {
            let store = cluster.store(n % 3 + 1);
            write_on(store, format!("client-{n}"), Arc::clone(&stop))
        })
        .collect();
    for leader in [2, 3, 1, 3, 2, 1, 2] {
        cluster.elect(leader).await;
        let before = cluster.record.events().len();
        let written = || cluster.record.events().len() > before + 50;
        eventually("the new leader writes", written).await;
    }
    stop.store(true, Relaxed);
    let events = async {
        let mut acknowledged = Vec::new();
        for client in clients {
            acknowledged.extend(client.await.expect("no panic"));
        }
        acknowledged
    };
    let acknowledged = within("the clients", events).await;
    let stored = cluster.record.events();
    for (revision, text) in &acknowledged {
        let event = stored
            .iter()
            .find(|event| event.version.mod_revision == *revision);
        assert_eq!(event.map(|event| event.value.as_ref()), Some(text.as_bytes()));
    }
    assert!(acknowledged.len() > 300, "only {} writes", acknowledged.len());
    all_agree_with_the_log(&cluster).await;
    for watcher in &watchers {
        watcher.hears_everything(&cluster).await;
    }
}

/// Has every member asked to write a key of its own, and to confirm a read.
fn ask_everybody(cluster: &Cluster, key: &str) -> Vec<JoinHandle<Result<(), RequestError>>> {
    let mut asked = Vec::new();
    for id in MEMBERS {
        let (store, put) = (cluster.store(id), put(&format!("{key}-{id}"), "1"));
        asked.push(tokio::spawn(async move { store.submit(put).await.map(drop) }));
        let store = cluster.store(id);
        asked.push(tokio::spawn(async move { store.linearize().await }));
    }
    asked
}

#[tokio::test]
async fn requests_wait_while_nobody_leads() {
    let cluster = Cluster::start(&Choices::default());
    for (round, leader) in [1, 3, 1, 2].into_iter().enumerate() {
        let waiting = ask_everybody(&cluster, &format!("round-{round}"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(waiting.iter().all(|answer| !answer.is_finished()));
        cluster.elect(leader).await;
        for answer in waiting {
            answered("a request that waited", answer).await;
        }
        cluster.depose();
        eventually("it leads no more", || !cluster.leads(leader)).await;
    }
    all_agree_with_the_log(&cluster).await;
    assert_eq!(pairs(&cluster.store(2)).await.count, 12);
}

#[tokio::test]
async fn requests_that_wait_too_long_are_told_so() {
    let cluster = Cluster::start(&Choices {
        patience: Duration::from_millis(150),
        ..Choices::default()
    });
    for id in MEMBERS {
        let store = cluster.store(id);
        let outcome = within("an answer", store.submit(put("key", "1"))).await;
        assert_eq!(outcome.unwrap_err(), RequestError::NotProposed);
        let reading = Command::Txn(Txn::default());
        let outcome = within("an answer", store.submit(reading)).await;
        assert_eq!(outcome.unwrap_err(), RequestError::TimedOut);
        let outcome = within("an answer", store.linearize()).await;
        assert_eq!(outcome, Err(RequestError::TimedOut));
        let outcome = within("an answer", store.lease_keep_alive(LeaseId(1))).await;
        assert_eq!(outcome.unwrap_err(), RequestError::NoLeader);
        let outcome = within("an answer", store.leases()).await;
        assert_eq!(outcome.unwrap_err(), RequestError::NoLeader);
        assert_eq!(store.report().gate.in_flight, 0, "their room was given back");
    }
    cluster.elect(1).await;
    assert!(
        cluster.record.effects().is_empty(),
        "what timed out was done all the same"
    );
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_there_once() {
    let cluster = Cluster::led_by(1).await;
    for (round, leader) in [2, 3, 1, 2].into_iter().enumerate() {
        let (before, after) = (round.to_string(), (round + 1).to_string());
        let old = (1..=3).find(|id| cluster.leads(*id)).expect("a leader");
        cluster
            .store(old)
            .submit(put("counter", &before))
            .await
            .expect("stored");
        cluster.log.lose_answer_of(old);
        let outcome = cluster
            .store(leader)
            .submit(swap("counter", &before, &after))
            .await;
        assert_eq!(outcome.unwrap_err(), RequestError::TimedOutLeaderFailure);
        cluster.elect(leader).await;
        for id in MEMBERS {
            let store = cluster.store(id);
            store.linearize().await.expect("confirmed");
            assert_eq!(value(&store, "counter").await, Some(after.clone()));
        }
        let revision = cluster.store(leader).revision();
        let again = cluster.store(old).submit(swap("counter", &before, "twice")).await;
        assert!(!succeeded(&again.expect("answered")));
        assert_eq!(cluster.store(leader).revision(), revision);
    }
    all_agree_with_the_log(&cluster).await;
}

#[tokio::test]
async fn what_waits_behind_a_lost_batch_is_not_done() {
    let cluster = Cluster::led_by(1).await;
    let log = cluster.log_of(1);
    log.hold_appends();
    let first = submit(&cluster.store(1), put("first", "1"));
    let store = cluster.store(1);
    eventually("a batch is on its way", || store.report().gate.in_flight == 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let behind: Vec<_> = MEMBERS
        .map(|id| submit(&cluster.store(id), put(&format!("behind-{id}"), "1")))
        .into();
    let refused = submit(&cluster.store(1), swap("first", "no", "1"));
    let looking = submit(&cluster.store(1), look("first"));
    eventually("all are decided", || store.report().gate.in_flight == 6).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster.log.lose_answer_of(1);
    log.release_appends();
    let told = within("an answer", first).await.expect("no panic");
    assert_eq!(told.unwrap_err(), RequestError::TimedOutLeaderFailure);
    for answer in behind.into_iter().chain([refused, looking]) {
        let told = within("an answer", answer).await.expect("no panic");
        assert_eq!(told.unwrap_err(), RequestError::LeaderChanged);
    }
    cluster.elect(2).await;
    let keys = pairs(&cluster.store(2)).await.kvs;
    assert_eq!(keys.len(), 1, "{keys:?}");
    all_agree_with_the_log(&cluster).await;
}

#[tokio::test]
async fn a_leader_that_is_asked_to_go_answers_what_it_has_stored() {
    let cluster = Cluster::led_by(1).await;
    let log = cluster.log_of(1);
    log.hold_appends();
    let first = submit(&cluster.store(1), put("first", "1"));
    let store = cluster.store(1);
    eventually("a batch is on its way", || store.report().gate.in_flight == 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster.sees(1, None);
    eventually("it leads no more", || !cluster.leads(1)).await;
    assert!(!first.is_finished());
    log.release_appends();
    let told = within("an answer", first).await.expect("no panic");
    assert_eq!(told.expect("stored").revision, Revision(2));
    cluster.elect(2).await;
    all_agree_with_the_log(&cluster).await;
}

#[tokio::test]
async fn the_same_member_leads_again_and_again() {
    let cluster = Cluster::led_by(1).await;
    let watcher = Watcher::start(&cluster.store(2), Revision(2)).await;
    for round in 0..20 {
        let store = cluster.store(round % 3 + 1);
        store
            .submit(put("key", &round.to_string()))
            .await
            .expect("stored");
        store.submit(delete("key")).await.expect("stored");
        cluster.sees(1, None);
        let log = cluster.log_of(1);
        let left = || !cluster.leads(1) && log.writers() == 0;
        eventually("it leads no more, and holds nothing", left).await;
        cluster.sees(1, Some(1));
        cluster.until_leads(1).await;
    }
    all_agree_with_the_log(&cluster).await;
    watcher.hears_everything(&cluster).await;
    every_leader_knows_the_leases(&cluster).await;
}

#[tokio::test]
async fn a_member_that_stops_leaves_its_office_and_comes_back() {
    let mut cluster = Cluster::led_by(1).await;
    let answers: Vec<_> = (0..100)
        .map(|n| submit(&cluster.store(1), put(&format!("key-{n}"), "1")))
        .collect();
    let store = cluster.store(1);
    eventually("they are on their way", || store.report().gate.admitted >= 100).await;
    cluster.stop(1).await;
    for answer in answers {
        answered("an answer", answer).await;
    }
    cluster.elect_for(Some(3), MEMBERS);
    cluster.until_leads(3).await;
    cluster.store(2).submit(put("more", "1")).await.expect("stored");
    cluster.start_again(1);
    all_agree_with_the_log(&cluster).await;
    cluster.stop(2).await;
    cluster.start_again(2);
    cluster.elect(2).await;
    all_agree_with_the_log(&cluster).await;
}
