//! Ten thousand watches on one stream, as behind a proxy or from a client that watches key by key.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::support::{Server, grpc_channel, kv_client};

const WATCHES: usize = 10_000;
/// Every so many watches one sees something happen.
const STEP: usize = 100;

fn name(number: usize) -> String {
    format!("/registry/{number:05}/")
}

fn create(number: usize) -> WatchRequest {
    let mut end = name(number).into_bytes();
    *end.last_mut().unwrap() += 1;
    WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest {
            key: name(number).into(),
            range_end: end.into(),
            prev_kv: true,
            ..WatchCreateRequest::default()
        })),
    }
}

struct Stream {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Stream {
    async fn open(server: &Server) -> Self {
        let (requests, receiver) = mpsc::channel(100);
        let mut client = WatchClient::new(grpc_channel(server.address()).await);
        let responses = client.watch(ReceiverStream::new(receiver)).await.unwrap();
        Self {
            requests,
            responses: responses.into_inner(),
        }
    }

    async fn next(&mut self) -> WatchResponse {
        tokio::time::timeout(Duration::from_secs(60), self.responses.message())
            .await
            .expect("a response comes")
            .unwrap()
            .expect("the stream goes on")
    }

    /// Creates the watches; the answer maps each watch's identity to its number.
    async fn create_all(&mut self) -> HashMap<i64, usize> {
        let requests = self.requests.clone();
        tokio::spawn(async move {
            for number in 0..WATCHES {
                requests.send(create(number)).await.unwrap();
            }
        });
        let mut watches = HashMap::new();
        for number in 0..WATCHES {
            let response = self.next().await;
            assert!(response.created && !response.canceled, "{response:?}");
            watches.insert(response.watch_id, number);
        }
        watches
    }

    /// Reads one event for each of the watches that see something, and nothing for any other.
    async fn events(&mut self, watches: &HashMap<i64, usize>) -> Vec<usize> {
        let mut seen = Vec::new();
        while seen.len() < WATCHES / STEP {
            let response = self.next().await;
            let number = watches[&response.watch_id];
            for event in response.events {
                let key = event.kv.unwrap().key;
                assert!(
                    key.starts_with(name(number).as_bytes()),
                    "{key:?} for watch {number}"
                );
                seen.push(number);
            }
        }
        seen.sort_unstable();
        seen
    }
}

async fn put(client: &mut KvClient<Channel>, number: usize) {
    let put = PutRequest {
        key: format!("{}name", name(number)).into(),
        value: "v".into(),
        ..PutRequest::default()
    };
    client.put(put).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_watches_on_one_stream_each_see_their_own_keys() {
    let (server, _directory) = Server::fresh(&[]);
    let mut client = kv_client(&server).await;
    let before = server.resident_bytes();
    let begun = Instant::now();
    let mut stream = Stream::open(&server).await;
    let watches = stream.create_all().await;
    assert_eq!(watches.len(), WATCHES, "an identity was given twice");
    let grown = server.resident_bytes().saturating_sub(before) >> 20;
    println!(
        "{WATCHES} watches created in {:?} for {grown} MiB",
        begun.elapsed()
    );

    let concerned: Vec<usize> = (0..WATCHES).step_by(STEP).collect();
    for number in &concerned {
        put(&mut client, *number).await;
    }
    assert_eq!(stream.events(&watches).await, concerned);
    let all = DeleteRangeRequest {
        key: "/registry/".into(),
        range_end: "/registry0".into(),
        ..DeleteRangeRequest::default()
    };
    client.delete_range(all).await.unwrap();
    assert_eq!(stream.events(&watches).await, concerned);

    // What a progress notice vouches for has been sent, so this is the end of what there was.
    let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
    let request_union = Some(request);
    stream
        .requests
        .send(WatchRequest { request_union })
        .await
        .unwrap();
    let progress = stream.next().await;
    assert_eq!((progress.watch_id, progress.events.len()), (-1, 0));
    let expected = i64::try_from(concerned.len()).unwrap() + 2;
    assert_eq!(progress.header.unwrap().revision, expected);
    assert!(grown < 100, "{grown} MiB for {WATCHES} watches");
}
