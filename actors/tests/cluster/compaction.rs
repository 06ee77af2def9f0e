//! Compaction in a cluster: the leader deletes rows, everybody forgets, and whoever leads next ends what was begun.

use std::time::Duration;

use actors::Settings;
use model::{Alarm, Command, Effect, Refusal, Revision};

use crate::client::{delete, put, submit, value};
use crate::cluster::{Choices, Cluster, answered, eventually, within};
use crate::picture::{Model, all_agree_with_the_log};

/// Keys with three versions each; every fourth is deleted in the end.
async fn fill(cluster: &Cluster, keys: usize) {
    let mut answers = Vec::new();
    for round in 0..4 {
        for key in 0..keys {
            let key_text = format!("key-{key:04}");
            let command = match round {
                3 if key % 4 == 0 => delete(&key_text),
                3 => continue,
                _ => put(&key_text, &round.to_string()),
            };
            answers.push(submit(&cluster.store(key as u64 % 3 + 1), command));
        }
        for answer in answers.drain(..) {
            answered("an answer", answer).await;
        }
    }
}

async fn compact(cluster: &Cluster, through: u64) -> Result<(), actors::RequestError> {
    let store = cluster.store(through);
    store.linearize().await?;
    store.submit(Command::Compact(store.revision())).await.map(drop)
}

fn rows(cluster: &Cluster) -> usize {
    let events = cluster.log.reader().events(Revision(0), usize::MAX);
    events.expect("readable").events.len()
}

/// Waits until the log holds what can be read and nothing else.
async fn until_scrubbed(cluster: &Cluster) {
    let wanted = Model::of(&cluster.record).versions();
    eventually("the log is scrubbed", || rows(cluster) == wanted).await;
}

fn scrubs(cluster: &Cluster) -> usize {
    let effects = cluster.record.effects();
    let scrubs = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Scrubbed(_)));
    scrubs.count()
}

#[tokio::test]
async fn the_leader_scrubs_and_everybody_forgets() {
    let cluster = Cluster::led_by(1).await;
    for round in 0..3 {
        fill(&cluster, 200).await;
        compact(&cluster, round % 3 + 1).await.expect("compacted");
        let store = cluster.store((round + 1) % 3 + 1);
        within("the deletion", store.compact_physically())
            .await
            .expect("deleted");
        assert_eq!(rows(&cluster), Model::of(&cluster.record).versions());
        all_agree_with_the_log(&cluster).await;
    }
    for (id, pending) in [(1, 0), (2, 0), (3, 0)] {
        let store = cluster.store(id);
        let left = || store.report().compactor.pending == pending;
        eventually(&format!("member {id} waits for no row"), left).await;
    }
}

#[tokio::test]
async fn a_new_leader_scrubs_what_the_old_one_left() {
    let cluster = Cluster::led_by(1).await;
    for leader in [2, 3, 1] {
        fill(&cluster, 100).await;
        let old = (1..=3).find(|id| cluster.leads(*id)).expect("a leader");
        cluster.log.lose_answer_of(old);
        compact(&cluster, old).await.expect_err("its answer was lost");
        assert_ne!(rows(&cluster), Model::of(&cluster.record).versions());
        cluster.elect(leader).await;
        until_scrubbed(&cluster).await;
        all_agree_with_the_log(&cluster).await;
    }
}

#[tokio::test]
async fn a_new_leader_goes_on_with_a_pass_that_was_begun() {
    let cluster = Cluster::led_by(1).await;
    fill(&cluster, 2500).await;
    compact(&cluster, 2).await.expect("compacted");
    eventually("the first rows are deleted", || scrubs(&cluster) > 0).await;
    cluster.elect(3).await;
    assert_ne!(rows(&cluster), Model::of(&cluster.record).versions());
    until_scrubbed(&cluster).await;
    all_agree_with_the_log(&cluster).await;
}

/// Compacts until a scrub of the leader, 1, is held before the log. Some are through before they can be held.
async fn catch_a_scrub(cluster: &Cluster) {
    let store = cluster.store(1);
    loop {
        fill(cluster, 100).await;
        cluster.settled().await;
        compact(cluster, 1).await.expect("compacted");
        cluster.log_of(1).hold_appends();
        for _ in 0..100 {
            if store.report().gate.in_flight > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cluster.log_of(1).release_appends();
    }
}

#[tokio::test]
async fn who_waits_for_the_deletion_waits_for_the_next_leader_too() {
    let cluster = Cluster::led_by(1).await;
    catch_a_scrub(&cluster).await;
    let store = cluster.store(1);
    let waiting: Vec<_> = [1, 2]
        .map(|id| {
            let store = cluster.store(id);
            tokio::spawn(async move { store.compact_physically().await })
        })
        .into();
    cluster.elect_for(None, [1, 2, 3]);
    cluster.log_of(1).release_appends();
    let given_up = || !cluster.leads(1) && !store.report().compactor.passing;
    eventually("it leads no more and deletes no more", given_up).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(waiting.iter().all(|waits| !waits.is_finished()), "rows are left");
    cluster.elect(2).await;
    for waits in waiting {
        answered("the deletion", waits).await;
        assert_eq!(rows(&cluster), Model::of(&cluster.record).versions());
    }
}

#[tokio::test]
async fn space_that_returned_under_another_leader_clears_the_alarm() {
    let cluster = Cluster::start(&Choices {
        settings: Box::new(|_| Settings {
            quota_bytes: Some(20_000),
            ..Settings::default()
        }),
        ..Choices::default()
    });
    cluster.elect(1).await;
    let large = "v".repeat(1000);
    let refused = loop {
        if let Err(error) = cluster.store(2).submit(put("key", &large)).await {
            break error;
        }
    };
    assert_eq!(refused, Refusal::NoSpace.into());
    for store in cluster.stores() {
        let raised = || store.alarms().iter().any(|raised| raised.alarm == Alarm::NoSpace);
        eventually("everybody knows", raised).await;
    }
    cluster.elect(3).await;
    let still = cluster.store(1).submit(put("key", &large)).await;
    assert_eq!(still.unwrap_err(), Refusal::NoSpace.into());
    compact(&cluster, 2).await.expect("compacted");
    for store in cluster.stores() {
        eventually("the alarm is cleared", || store.alarms().is_empty()).await;
    }
    cluster
        .store(1)
        .submit(put("key", "small"))
        .await
        .expect("stored");
    assert_eq!(value(&cluster.store(1), "key").await, Some("small".into()));
    all_agree_with_the_log(&cluster).await;
}
