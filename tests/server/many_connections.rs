//! Two hundred connections with a hundred streams each are ordinary.

use std::time::{Duration, Instant};

use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::support::{Server, grpc_channel, kv_client};

const CONNECTIONS: usize = 200;
const STREAMS: usize = 100;

/// Opens a watch stream on the connection and waits until its watch exists.
async fn watch(mut client: WatchClient<tonic::transport::Channel>) -> Streaming<WatchResponse> {
    let create = WatchCreateRequest {
        key: "k".into(),
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    // The request side stays open as long as the stream is wanted.
    let requests = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
    let mut responses = client.watch(requests).await.unwrap().into_inner();
    assert!(responses.message().await.unwrap().unwrap().created);
    responses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_of_a_hundred_streams_see_one_write() {
    let (server, _directory) = Server::fresh(&[]);
    let begun = Instant::now();
    let mut opening = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let address = server.address();
        opening.spawn(async move {
            let client = WatchClient::new(grpc_channel(address).await);
            let mut streams = Vec::with_capacity(STREAMS);
            for _ in 0..STREAMS {
                streams.push(watch(client.clone()).await);
            }
            streams
        });
    }
    let streams: Vec<_> = opening.join_all().await.into_iter().flatten().collect();
    let memory = server.resident_bytes() >> 20;
    println!(
        "{} streams opened in {:?}, server at {memory} MiB",
        streams.len(),
        begun.elapsed()
    );

    let begun = Instant::now();
    let put = PutRequest {
        key: "k".into(),
        value: "v".into(),
        ..PutRequest::default()
    };
    kv_client(&server).await.put(put).await.unwrap();
    for mut stream in streams {
        let response = tokio::time::timeout(Duration::from_secs(60), stream.message())
            .await
            .expect("the event");
        assert_eq!(response.unwrap().unwrap().events.len(), 1);
    }
    println!("all of them saw the write within {:?}", begun.elapsed());
    assert!(
        memory < 1500,
        "{memory} MiB for {} streams",
        CONNECTIONS * STREAMS
    );
}
