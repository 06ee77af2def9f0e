//! Linearizable reads: they show everything that was acknowledged before, on every member, and cost little.

use std::time::Duration;

use model::{Alarm, AlarmAction, AlarmMember, Command};

use crate::client::{look, put, read, submit, succeeded, value};
use crate::cluster::{Cluster, answered, eventually, within};
use crate::members::MEMBERS;

#[tokio::test]
async fn a_read_shows_what_was_acknowledged_elsewhere() {
    let cluster = Cluster::led_by(1).await;
    for n in 0..100_u64 {
        let (writer, reader) = (cluster.store(n % 3 + 1), cluster.store((n + 1) % 3 + 1));
        writer.submit(put("key", &n.to_string())).await.expect("stored");
        assert_eq!(read(&reader, "key").await, Ok(Some(n.to_string())));
    }
}

#[tokio::test]
async fn a_read_on_a_member_that_is_behind_waits_until_it_has_caught_up() {
    let cluster = Cluster::led_by(1).await;
    cluster.store(1).submit(put("key", "old")).await.expect("stored");
    cluster.settled().await;
    cluster.network.starve(3);
    cluster.store(2).submit(put("key", "new")).await.expect("stored");
    let store = cluster.store(3);
    let reading = tokio::spawn(async move { read(&store, "key").await });
    let confirmed = cluster.network.confirmations();
    eventually("the read is confirmed", || {
        cluster.network.confirmations() >= confirmed.min(2)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!reading.is_finished(), "it answered from an old state");
    assert_eq!(value(&cluster.store(3), "key").await, Some("old".into()));
    cluster.network.feed();
    let answer = within("a read", reading).await.expect("no panic");
    assert_eq!(answer, Ok(Some("new".into())));
}

#[tokio::test]
async fn many_reads_share_few_confirmations() {
    let cluster = Cluster::led_by(2).await;
    for id in MEMBERS {
        let before = cluster.network.confirmations();
        let reads: Vec<_> = (0..1000)
            .map(|_| {
                let store = cluster.store(id);
                tokio::spawn(async move { store.linearize().await })
            })
            .collect();
        for reading in reads {
            answered("a read", reading).await;
        }
        let asked = cluster.network.confirmations() - before;
        assert!(
            asked < 100,
            "{asked} questions for 1000 reads through member {id}"
        );
    }
}

#[tokio::test]
async fn transactions_that_only_read_see_everything_before_them() {
    let cluster = Cluster::led_by(3).await;
    for n in 0..50_u64 {
        let (writer, reader) = (cluster.store(n % 3 + 1), cluster.store((n + 1) % 3 + 1));
        let written = writer.submit(put("key", &n.to_string())).await.expect("stored");
        let looked = reader.submit(look("key")).await.expect("answered");
        assert!(succeeded(&looked));
        assert_eq!(looked.revision, written.revision);
    }
}

#[tokio::test]
async fn a_read_goes_on_when_the_leader_that_it_asked_is_gone() {
    let cluster = Cluster::led_by(1).await;
    cluster.store(2).submit(put("key", "1")).await.expect("stored");
    cluster.log_of(1).hold_appends();
    cluster.network.isolate(1, MEMBERS);
    let reads: Vec<_> = [2, 3]
        .map(|id| {
            let store = cluster.store(id);
            tokio::spawn(async move { read(&store, "key").await })
        })
        .into();
    let waiting = submit(&cluster.store(3), put("other", "1"));
    cluster.elect_for(Some(2), [2, 3]);
    cluster.until_leads(2).await;
    for reading in reads {
        let answer = within("a read", reading).await.expect("no panic");
        assert_eq!(answer, Ok(Some("1".into())));
    }
    let answer = within("a write", waiting).await.expect("no panic");
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn an_alarm_raised_through_a_follower_shows_there_with_the_answer() {
    let cluster = Cluster::led_by(1).await;
    let raised = AlarmMember {
        alarm: Alarm::Corrupt,
        member_id: 0,
    };
    let store = cluster.store(2);
    for _ in 0..50 {
        for (action, shown) in [
            (AlarmAction::Activate(raised), vec![raised]),
            (AlarmAction::Deactivate(raised), vec![]),
        ] {
            store.submit(Command::Alarm(action)).await.expect("done");
            assert_eq!(store.alarms(), shown);
        }
    }
}
