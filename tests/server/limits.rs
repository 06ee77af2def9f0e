//! Requests that ask for too much.

use proto::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::{Server, kv_client};

fn put(key: &str, bytes: usize) -> PutRequest {
    PutRequest {
        key: key.to_owned().into(),
        value: vec![b'x'; bytes].into(),
        ..PutRequest::default()
    }
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_in_etcds_words() {
    let (server, _directory) = Server::fresh(&[]);
    let mut client = kv_client(&server).await;
    client.put(put("fits", 1_500_000)).await.unwrap();
    let refused = client.put(put("large", 1_600_000)).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "etcdserver: request is too large")
    );
    let refused = client.put(put("huge", 3_000_000)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let said = refused.message();
    assert!(
        said.starts_with("grpc: received message larger than max (3000") && said.ends_with(" vs. 2097152)"),
        "{said}"
    );
    client.put(put("fits", 10)).await.unwrap();
}

#[tokio::test]
async fn a_larger_limit_can_be_set() {
    let (server, _directory) = Server::fresh(&["--max-request-bytes", "4194304", "--max-txn-ops", "10000"]);
    let mut client = kv_client(&server).await;
    client.put(put("large", 3_000_000)).await.unwrap();
    let got = client
        .range(RangeRequest {
            key: "large".into(),
            ..RangeRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(got.into_inner().kvs[0].value.len(), 3_000_000);
    let answer = client.txn(transaction_of(10_000)).await.unwrap().into_inner();
    assert_eq!((answer.succeeded, answer.responses.len()), (true, 10_000));
}

fn transaction_of(operations: usize) -> TxnRequest {
    let operation = |index| RequestOp {
        request: Some(request_op::Request::RequestPut(put(&format!("k/{index}"), 8))),
    };
    TxnRequest {
        success: (0..operations).map(operation).collect(),
        ..TxnRequest::default()
    }
}

#[tokio::test]
async fn long_transactions_are_refused_in_etcds_words() {
    let (server, _directory) = Server::fresh(&[]);
    let mut client = kv_client(&server).await;
    client.txn(transaction_of(128)).await.unwrap();
    let compares = vec![
        Compare {
            key: "k".into(),
            ..Compare::default()
        };
        10_000
    ];
    for request in [
        transaction_of(10_000),
        TxnRequest {
            compare: compares,
            ..TxnRequest::default()
        },
    ] {
        let refused = client.txn(request).await.unwrap_err();
        let expected = (
            Code::InvalidArgument,
            "etcdserver: too many operations in txn request",
        );
        assert_eq!((refused.code(), refused.message()), expected);
    }
}

#[tokio::test]
async fn more_than_may_be_under_way_is_refused_at_once() {
    let (server, _directory) = Server::fresh(&["--max-in-flight", "4"]);
    let client = kv_client(&server).await;
    let mut puts = JoinSet::new();
    for index in 0..400 {
        let mut client = client.clone();
        puts.spawn(async move { client.put(put(&format!("k/{index}"), 1000)).await.map(|_| ()) });
    }
    let results = puts.join_all().await;
    let refused: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    println!("{} of 400 were refused", refused.len());
    assert!(
        refused.len() < 400 && !refused.is_empty(),
        "{} refused",
        refused.len()
    );
    assert!(
        refused
            .iter()
            .all(|refused| refused.message() == "etcdserver: too many requests"),
        "{refused:?}"
    );
    let mut client = client;
    let all = RangeRequest {
        key: "k/".into(),
        range_end: "k0".into(),
        count_only: true,
        ..RangeRequest::default()
    };
    let stored = client.range(all).await.unwrap().into_inner().count;
    assert_eq!(
        usize::try_from(stored).unwrap(),
        400 - refused.len(),
        "a refused write was made"
    );
}
