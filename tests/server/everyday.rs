//! The public Rust client drives everything that clients do every day.

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
    WatchOptions,
};

use crate::support::Server;
use crate::support::clients::etcd_client;

async fn fresh() -> (Client, Server, tempfile::TempDir) {
    let (server, directory) = Server::fresh(&[]);
    (etcd_client(&server).await, server, directory)
}

#[tokio::test]
async fn keys_are_put_read_and_deleted() {
    let (mut client, _server, _directory) = fresh().await;
    for (index, name) in ["a", "b", "c"].iter().enumerate() {
        let put = client.put(format!("k/{name}"), *name, None).await.unwrap();
        assert_eq!(
            put.header().unwrap().revision(),
            2 + i64::try_from(index).unwrap()
        );
    }
    let options = GetOptions::new()
        .with_prefix()
        .with_sort(SortTarget::Key, SortOrder::Descend)
        .with_limit(2);
    let got = client.get("k/", Some(options)).await.unwrap();
    let values: Vec<_> = got.kvs().iter().map(|kv| kv.value_str().unwrap()).collect();
    assert_eq!((values, got.count(), got.more()), (vec!["c", "b"], 3, true));
    let old = client
        .put("k/a", "A", Some(PutOptions::new().with_prev_key()))
        .await
        .unwrap();
    assert_eq!(old.prev_key().unwrap().value(), b"a");
    assert_eq!(client.delete("k/b", None).await.unwrap().deleted(), 1);
    let old = client
        .get("k/b", Some(GetOptions::new().with_revision(4)))
        .await
        .unwrap();
    assert_eq!(old.kvs()[0].value(), b"b");
}

#[tokio::test]
async fn transactions_decide_and_are_atomic() {
    let (mut client, _server, _directory) = fresh().await;
    let create = |value: &str| {
        Txn::new()
            .when([Compare::mod_revision("name", CompareOp::Equal, 0)])
            .and_then([TxnOp::put("name", value, None), TxnOp::put("other", value, None)])
            .or_else([TxnOp::get("name", None)])
    };
    assert!(client.txn(create("first")).await.unwrap().succeeded());
    let second = client.txn(create("second")).await.unwrap();
    assert!(!second.succeeded());
    let pairs = client
        .get("", Some(GetOptions::new().with_all_keys()))
        .await
        .unwrap();
    assert!(
        pairs
            .kvs()
            .iter()
            .all(|kv| kv.value() == b"first" && kv.mod_revision() == 2)
    );
}

#[tokio::test]
async fn watches_tell_the_past_and_the_present() {
    let (mut client, _server, _directory) = fresh().await;
    client.put("w/1", "past", None).await.unwrap();
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(1)
        .with_prev_key();
    let mut stream = client.watch("w/", Some(options)).await.unwrap();
    assert!(stream.message().await.unwrap().unwrap().created());
    client.put("w/1", "present", None).await.unwrap();
    client.delete("w/1", None).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let response = tokio::time::timeout(Duration::from_secs(30), stream.message())
            .await
            .unwrap();
        for event in response.unwrap().unwrap().events() {
            seen.push((
                event.event_type(),
                event.prev_kv().map(|kv| kv.value_str().unwrap().to_owned()),
            ));
        }
    }
    let put = EventType::Put;
    assert_eq!(
        seen,
        [
            (put, None),
            (put, Some("past".to_owned())),
            (EventType::Delete, Some("present".to_owned()))
        ]
    );
}

#[tokio::test]
async fn leases_end_and_take_their_keys_along() {
    let (mut client, _server, _directory) = fresh().await;
    let lease = client.lease_grant(2, None).await.unwrap();
    client
        .put("leased", "x", Some(PutOptions::new().with_lease(lease.id())))
        .await
        .unwrap();
    let (mut keeper, mut stream) = client.lease_keep_alive(lease.id()).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        keeper.keep_alive().await.unwrap();
        assert_eq!(stream.message().await.unwrap().unwrap().ttl(), 2);
    }
    assert_eq!(
        client.get("leased", None).await.unwrap().count(),
        1,
        "it was kept alive"
    );
    let mut watch = client.watch("leased", None).await.unwrap();
    assert!(watch.message().await.unwrap().unwrap().created());
    let ended = tokio::time::timeout(Duration::from_secs(30), watch.message())
        .await
        .expect("the lease ends");
    assert_eq!(
        ended.unwrap().unwrap().events()[0].event_type(),
        EventType::Delete
    );
    assert!(client.leases().await.unwrap().leases().is_empty());
}

#[tokio::test]
async fn a_lock_has_one_holder_at_a_time() {
    let (mut client, server, _directory) = fresh().await;
    let held = client.lock("door", None).await.unwrap();
    let mut other = etcd_client(&server).await;
    let waiting = tokio::spawn(async move { other.lock("door", None).await.unwrap().key().to_vec() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "two hold the lock");
    client.unlock(held.key()).await.unwrap();
    let key = tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("the lock is free")
        .unwrap();
    assert!(key.starts_with(b"door/"));
}

#[tokio::test]
async fn history_is_forgotten_when_asked() {
    let (mut client, _server, _directory) = fresh().await;
    for value in ["1", "2", "3"] {
        client.put("k", value, None).await.unwrap();
    }
    client.compact(4, None).await.unwrap();
    let refused = client
        .get("k", Some(GetOptions::new().with_revision(3)))
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("required revision has been compacted"),
        "{refused}"
    );
    assert_eq!(
        client
            .get("k", Some(GetOptions::new().with_revision(4)))
            .await
            .unwrap()
            .kvs()[0]
            .value(),
        b"3"
    );
}

#[tokio::test]
async fn the_member_describes_itself() {
    let (mut client, server, _directory) = fresh().await;
    let status = client.status().await.unwrap();
    assert!(status.version().starts_with("3.7."), "{}", status.version());
    let members = client.member_list().await.unwrap();
    assert_eq!(members.members().len(), 1);
    assert_eq!(members.members()[0].id(), status.leader());
    assert_eq!(members.members()[0].name(), "default");
    drop(server);
}
