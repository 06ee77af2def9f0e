//! A leader that was overtaken without noticing: it must not say anything that is not true any more.

use std::time::Duration;

use actors::RequestError;
use model::Revision;

use crate::client::{look, put, submit, succeeded, swap, value};
use crate::cluster::{Choices, Cluster, answered, eventually, within};
use crate::members::MEMBERS;
use crate::picture::all_agree_with_the_log;
use crate::watcher::Watcher;

/// Member 1 leads and is cut off; member 2 leads behind its back.
async fn overtaken(patience: Duration) -> Cluster {
    let cluster = Cluster::start(&Choices {
        patience,
        ..Choices::default()
    });
    cluster.elect(1).await;
    cluster.store(1).submit(put("key", "old")).await.expect("stored");
    cluster.settled().await;
    cluster.network.isolate(1, MEMBERS);
    cluster.elect_for(Some(2), [2, 3]);
    cluster.until_leads(2).await;
    cluster.store(3).submit(put("key", "new")).await.expect("stored");
    cluster
}

fn was_not_answered<T: std::fmt::Debug>(outcome: Result<T, RequestError>) {
    let expected = [
        RequestError::TimedOut,
        RequestError::LeaderChanged,
        RequestError::NotLeader,
    ];
    let error = outcome.expect_err("it answered from an old state");
    assert!(expected.contains(&error), "{error:?}");
}

#[tokio::test]
async fn it_confirms_no_read_and_answers_nothing_from_its_old_state() {
    let cluster = overtaken(Duration::from_millis(400)).await;
    let store = cluster.store(1);
    assert!(cluster.leads(1), "it has not noticed");
    assert_eq!(value(&store, "key").await, Some("old".into()));
    let read = async { was_not_answered(store.linearize().await) };
    let looked = async { was_not_answered(store.submit(look("key")).await) };
    let failed = async { was_not_answered(store.submit(swap("key", "none", "other")).await) };
    let leases = async { was_not_answered(store.leases().await) };
    within("four refusals", async {
        tokio::join!(read, looked, failed, leases)
    })
    .await;
    assert!(cluster.leads(1), "it has still not noticed");
    cluster.network.heal();
    cluster.sees(1, Some(2));
    cluster.store(1).linearize().await.expect("confirmed");
    assert_eq!(value(&store, "key").await, Some("new".into()));
    all_agree_with_the_log(&cluster).await;
}

#[tokio::test]
async fn it_appends_nothing_and_follows_once_it_is_told() {
    let cluster = overtaken(Duration::from_secs(20)).await;
    let watcher = Watcher::start(&cluster.store(1), Revision(2)).await;
    let store = cluster.store(1);
    let refused = within("an answer", store.submit(put("key", "stale"))).await;
    was_not_answered(refused);
    eventually("it noticed", || !cluster.leads(1)).await;
    let waiting = submit(&store, put("other", "1"));
    cluster
        .store(2)
        .submit(put("key", "newer"))
        .await
        .expect("stored");
    cluster.network.heal();
    cluster.sees(1, Some(2));
    answered("an answer", waiting).await;
    all_agree_with_the_log(&cluster).await;
    watcher.hears_everything(&cluster).await;
    let texts: Vec<_> = watcher.events().into_iter().map(|event| event.value).collect();
    assert!(!texts.contains(&"stale".into()), "{texts:?}");
}

#[tokio::test]
async fn it_notices_when_it_is_asked_for_a_promise() {
    let cluster = Cluster::led_by(1).await;
    cluster.elect_for(Some(2), [2, 3]);
    cluster.until_leads(2).await;
    eventually("the old leader leaves", || !cluster.leads(1)).await;
    cluster.sees(1, Some(2));
    let answer = cluster.store(1).submit(put("key", "1")).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_leader_without_a_majority_serves_nothing() {
    let cluster = Cluster::led_by(1).await;
    cluster.store(1).submit(put("key", "1")).await.expect("stored");
    cluster.settled().await;
    cluster.network.isolate(2, MEMBERS);
    let before = cluster.network.claims();
    cluster.elect_for(Some(2), MEMBERS);
    let answer = submit(&cluster.store(2), put("key", "2"));
    let looked = submit(&cluster.store(2), look("key"));
    let store = cluster.store(2);
    let read = tokio::spawn(async move { store.linearize().await });
    let tried = || cluster.network.claims() >= before + 8;
    eventually("it asks for promises again and again", tried).await;
    assert!(!cluster.leads(2));
    assert!(!answer.is_finished() && !looked.is_finished() && !read.is_finished());
    assert_eq!(cluster.record.effects().len(), 1);
    cluster.network.heal();
    cluster.network.isolate(2, [1]);
    cluster.until_leads(2).await;
    answered("an answer", answer).await;
    let looked = within("an answer", looked).await.expect("no panic");
    assert!(succeeded(&looked.expect("answered")));
    answered("a read", read).await;
    cluster.network.heal();
    all_agree_with_the_log(&cluster).await;
}

#[tokio::test]
async fn a_promise_that_got_through_while_its_answer_did_not_is_kept() {
    let cluster = Cluster::start(&Choices {
        patience: Duration::from_millis(300),
        ..Choices::default()
    });
    cluster.elect(1).await;
    // Whatever member 2 says reaches nobody but can be heard: the others promise and it never learns.
    cluster.network.cut(1, 2);
    cluster.network.cut(3, 2);
    cluster.elect_for(Some(2), [2]);
    let store = cluster.store(1);
    let confirmed = || !cluster.leads(1);
    eventually("the old leader is overtaken", confirmed).await;
    assert_eq!(store.linearize().await, Err(RequestError::TimedOut));
    assert!(!cluster.leads(2), "nobody answered it");
    cluster.network.heal();
    cluster.until_leads(2).await;
}

#[tokio::test]
async fn a_member_that_was_away_when_the_leader_took_over_can_confirm_it() {
    let cluster = Cluster::start(&Choices::default());
    cluster.network.isolate(3, MEMBERS);
    cluster.elect_for(Some(1), MEMBERS);
    cluster.until_leads(1).await;
    cluster.store(2).submit(put("key", "1")).await.expect("stored");
    cluster.network.heal();
    cluster.network.isolate(2, MEMBERS);
    for id in [1, 3] {
        let store = cluster.store(id);
        within("a read", store.linearize()).await.expect("confirmed");
        assert_eq!(value(&store, "key").await, Some("1".into()));
        let looked = within("a transaction", store.submit(look("key"))).await;
        assert!(looked.is_ok(), "{looked:?}");
    }
}
