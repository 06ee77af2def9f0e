//! What is written through one member shows on all of them.

use model::Revision;

use crate::client::{put, submit, value};
use crate::cluster::{Cluster, within};
use crate::members::MEMBERS;
use crate::picture::all_agree_with_the_log;
use crate::watcher::Watcher;

#[tokio::test]
async fn writes_through_every_member_show_on_every_member() {
    let cluster = Cluster::led_by(1).await;
    let watchers = [
        Watcher::start(&cluster.store(1), Revision(2)).await,
        Watcher::start(&cluster.store(2), Revision(2)).await,
        Watcher::start(&cluster.store(3), Revision(2)).await,
    ];
    let answers: Vec<_> = (0..300)
        .map(|n: u64| {
            let store = cluster.store(n % 3 + 1);
            submit(&store, put(&format!("key-{:02}", n % 40), &n.to_string()))
        })
        .collect();
    let mut revisions = Vec::new();
    for answer in answers {
        let committed = within("an answer", answer).await.expect("no panic");
        revisions.push(committed.expect("stored").revision.0);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (2..302).collect::<Vec<i64>>(), "one revision each");
    all_agree_with_the_log(&cluster).await;
    for watcher in &watchers {
        watcher.hears_everything(&cluster).await;
    }
}

#[tokio::test]
async fn an_answer_of_a_follower_can_be_read_there() {
    let cluster = Cluster::led_by(1).await;
    for n in 0..200 {
        for id in MEMBERS {
            let store = cluster.store(id);
            let committed = store.submit(put("key", &format!("{n} through {id}"))).await;
            let revision = committed.expect("stored").revision;
            assert!(store.revision() >= revision);
            assert_eq!(value(&store, "key").await, Some(format!("{n} through {id}")));
        }
    }
}
