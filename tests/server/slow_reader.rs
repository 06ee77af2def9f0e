//! A client that never reads its watch stream harms nobody and loses nothing.

use std::time::Duration;

use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest, WatchResponse};
use tonic::Streaming;

use crate::support::{Server, grpc_channel, kv_client};

const WRITES: i64 = 3000;
const VALUE_BYTES: usize = 64 << 10;

async fn watch_all(server: &Server) -> Streaming<WatchResponse> {
    let create = WatchCreateRequest {
        key: "k/".into(),
        range_end: "k0".into(),
        start_revision: 1,
        ..Default::default()
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
    let client = WatchClient::new(grpc_channel(server.address()).await);
    client
        .max_decoding_message_size(usize::MAX)
        .watch(requests)
        .await
        .unwrap()
        .into_inner()
}

/// Reads until the event of the last write has come; every revision must come once, in order.
async fn read_all(mut stream: Streaming<WatchResponse>) {
    let mut next = 2;
    while next < WRITES + 2 {
        let response = tokio::time::timeout(Duration::from_secs(60), stream.message()).await;
        let response = response
            .expect("events come")
            .unwrap()
            .expect("the stream goes on");
        assert!(!response.canceled, "{}", response.cancel_reason);
        for event in response.events {
            assert_eq!(
                event.kv.unwrap().mod_revision,
                next,
                "an event is lost or comes twice"
            );
            next += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_stream_costs_little_memory_and_catches_up() {
    let (server, _directory) = Server::fresh(&[]);
    let (idle, busy) = (watch_all(&server).await, watch_all(&server).await);
    let busy = tokio::spawn(read_all(busy));
    let mut client = kv_client(&server).await;
    for index in 0..WRITES {
        // Few keys, so that the values in memory are few; the history is large.
        let key = format!("k/{}", index % 10);
        let value = vec![b'x'; VALUE_BYTES];
        client
            .put(PutRequest {
                key: key.into(),
                value: value.into(),
                ..Default::default()
            })
            .await
            .unwrap();
    }
    busy.await
        .expect("a stream that is read is not held up by one that is not");
    let memory = server.resident_bytes() >> 20;
    let history = (usize::try_from(WRITES).unwrap() * VALUE_BYTES) >> 20;
    println!("{history} MiB of events unread, server at {memory} MiB");
    assert!(
        memory < 160,
        "the server holds {memory} MiB for a client that reads nothing"
    );
    read_all(idle).await;
}
