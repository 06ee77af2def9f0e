//! A client that never reads its stream harms nobody and loses nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, PutRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use tokio::net::TcpStream;
use tonic::Streaming;

use crate::support::{Server, grpc_channel, kv_client};

const WRITES: i64 = 3000;
const VALUE_BYTES: usize = 64 << 10;
/// So many that neither their answers nor they themselves find room on the way.
const KEEP_ALIVES: usize = 100_000;
/// Octets of answers that the client takes in unread, on a stream and on all of a connection.
const ANSWERS_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 12 << 20;

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

/// Waits until nothing more is sent for a while: the client is held up, or through.
async fn until_held_up(sent: &AtomicUsize) {
    let (mut before, mut still) = (0, 0);
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = sent.load(Relaxed);
        still = if now == before && now > 0 { still + 1 } else { 0 };
        before = now;
    }
}

/// A stream on which each message is a frame of its own, as with gRPC in Go. Returns the answer once its head is there.
async fn keep_alive_stream<R>(server: &Server, requests: R) -> hyper::Response<Incoming>
where
    R: Stream<Item = LeaseKeepAliveRequest> + Send + 'static,
{
    let frames = requests.map(|request| {
        let message = request.encode_to_vec();
        let mut framed = vec![0, 0, 0, 0, u8::try_from(message.len()).expect("it is short")];
        framed.extend(message);
        Ok::<_, Infallible>(Frame::data(Bytes::from(framed)))
    });
    let tcp = TcpStream::connect(server.address()).await.unwrap();
    // The client's library judges small frames that are not read as the server's does: here a stream's window fills first.
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(ANSWERS_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(tcp))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::post("http://server/etcdserverpb.Lease/LeaseKeepAlive")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Box::pin(StreamBody::new(frames)))
        .unwrap();
    sender.send_request(request).await.unwrap()
}

/// The smallest message that there is, as often as the client likes: it fills its own window, and is not cut off for
/// how little its frames hold, which would end all its other streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_on_without_reading_has_to_wait_and_is_then_answered() {
    let (server, _directory) = Server::fresh(&[]);
    let lease = LeaseGrantRequest { id: 1, ttl: 600 };
    let mut client = LeaseClient::new(grpc_channel(server.address()).await);
    client.lease_grant(lease).await.unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let requests = tokio_stream::iter((0..KEEP_ALIVES).map(move |_| {
        counter.fetch_add(1, Relaxed);
        LeaseKeepAliveRequest { id: 1 }
    }));
    let answer = keep_alive_stream(&server, requests).await;
    until_held_up(&sent).await;
    let before = sent.load(Relaxed);
    println!("{before} keep-alives sent and not one answer read");
    assert!(
        before < KEEP_ALIVES,
        "the server takes all that nobody reads the answers of"
    );
    let answers = answer.into_body().collect().await.expect("the stream goes on");
    assert_eq!(answers.trailers().unwrap()["grpc-status"], "0");
    let answers = answers.to_bytes();
    let length = 5 + usize::from(answers[4]);
    assert_eq!(
        answers.len(),
        KEEP_ALIVES * length,
        "each answer is as long as the first"
    );
}
