//! The client against a small HTTP/2 server that answers as a gRPC server does, or should not.

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use prost::Message;
use proto::etcdserverpb::{PutRequest, RangeResponse};
use tokio::net::TcpListener;

use super::wire::{decode, frame, range_summary};
use super::*;

/// Answers every call on one connection by its path.
async fn serve(listener: TcpListener) {
    let (socket, _) = listener.accept().await.expect("a connection");
    let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (head, body) = request.into_parts();
        match head.uri.path() {
            "/split" => answer_in_pieces(respond),
            "/refuse" => refuse(respond),
            "/silent" => drop(respond),
            _ => drop(tokio::spawn(echo(body, respond))),
        }
    }
}

fn ok() -> Response<()> {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .expect("a head")
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        "grpc-status".parse().expect("a name"),
        code.parse().expect("a value"),
    )])
}

/// A range of 100 keys, sent in pieces of 7 bytes.
fn answer_in_pieces(mut respond: SendResponse<Bytes>) {
    let pair = proto::mvccpb::KeyValue {
        key: "key".into(),
        value: "value".into(),
        ..Default::default()
    };
    let message = frame(&RangeResponse {
        kvs: vec![pair; 100],
        count: 100,
        ..Default::default()
    });
    let mut body = respond.send_response(ok(), false).expect("a response");
    for piece in message.chunks(7) {
        body.send_data(Bytes::copy_from_slice(piece), false)
            .expect("data");
    }
    body.send_trailers(status("0")).expect("trailers");
}

/// An error with no body, its status in the head.
fn refuse(mut respond: SendResponse<Bytes>) {
    let mut head = ok();
    head.headers_mut().extend(status("8"));
    head.headers_mut().insert(
        "grpc-message",
        "etcdserver: too many requests".parse().expect("a value"),
    );
    respond.send_response(head, true).expect("a response");
}

/// Sends every piece back, and a good status when the client is done.
async fn echo(mut body: RecvStream, mut respond: SendResponse<Bytes>) {
    let mut back = respond.send_response(ok(), false).expect("a response");
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control()
            .release_capacity(piece.len())
            .expect("capacity");
        if back.send_data(piece, false).is_err() {
            return;
        }
    }
    drop(back.send_trailers(status("0")));
}

async fn connection() -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(serve(listener));
    Dialer::default()
        .open(&endpoint.parse().expect("an address"))
        .await
        .expect("a connection")
}

async fn call(method: &'static str, request: Bytes) -> Result<Segments, CallError> {
    connection()
        .await
        .route(method)
        .expect("a method")
        .call(request)
        .await
}

fn put(value: &'static str) -> PutRequest {
    PutRequest {
        key: "key".into(),
        value: value.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_returns_the_message_that_was_sent_back() {
    let answer = call("/echo", frame(&put("value"))).await.expect("an answer");
    assert_eq!(decode::<PutRequest>(answer).expect("the request"), put("value"));
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_in_many_pieces_is_one_message() {
    let answer = || async { call("/split", frame(&put(""))).await.expect("an answer") };
    let summary = range_summary(answer().await).expect("a range");
    assert_eq!((summary.keys, summary.count), (100, 100));
    let decoded: RangeResponse = decode(answer().await).expect("a range");
    assert!(decoded.kvs.len() == 100 && decoded.kvs.iter().all(|pair| pair.value == "value"));
}

#[tokio::test(flavor = "current_thread")]
async fn a_refusal_has_its_code_and_text() {
    let error = call("/refuse", frame(&put(""))).await.expect_err("a refusal");
    assert_eq!(error.to_string(), "status 8: etcdserver: too many requests");
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_that_the_server_drops_is_an_error() {
    assert!(matches!(
        call("/silent", frame(&put(""))).await,
        Err(CallError::Transport(_))
    ));
}

#[tokio::test(flavor = "current_thread")]
async fn a_stream_carries_messages_both_ways_whatever_their_pieces() {
    let connection = connection().await;
    let mut stream = connection
        .route("/echo")
        .expect("a method")
        .stream()
        .await
        .expect("a stream");
    let both = [frame(&put("one")), frame(&put("two"))].concat();
    stream.send(Bytes::copy_from_slice(&both[..3])).expect("sent");
    stream.send(Bytes::copy_from_slice(&both[3..])).expect("sent");
    for wanted in ["one", "two"] {
        let message = stream.next().await.expect("no error").expect("a message");
        assert_eq!(PutRequest::decode(message).expect("a put"), put(wanted));
    }
}

#[test]
fn a_missing_status_is_no_success() {
    assert!(finished(Some(&status("0"))).is_ok());
    assert!(matches!(finished(None), Err(CallError::Malformed(_))));
}

#[test]
fn an_endpoint_needs_http_and_a_port() {
    let address = |text: &'static str| address_of(&Uri::from_static(text));
    assert_eq!(
        address("http://127.0.0.1:2379").expect("an address"),
        "127.0.0.1:2379"
    );
    assert!(address("https://127.0.0.1:2379").is_ok());
    assert!(address("unix://127.0.0.1:2379").is_err());
    assert!(address("http://127.0.0.1").is_err());
}
