//! The client against a node that does what a test says: what each way of failing means.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use dqlite::client::{Client, Error, Options};
use dqlite::wire::{HANDSHAKE, HEADER_LENGTH, Header, Page, Request, Response, Server, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// The other end of a client's connection.
struct Peer(DuplexStream);

impl Peer {
    async fn greet(&mut self) {
        let mut handshake = [0; 8];
        self.0.read_exact(&mut handshake).await.unwrap();
        assert_eq!(handshake, HANDSHAKE);
    }

    async fn hear(&mut self) -> Request<'static> {
        let mut header = [0; HEADER_LENGTH];
        self.0.read_exact(&mut header).await.unwrap();
        let header = Header::decode(header);
        let mut body = vec![0; header.body_length() as usize];
        self.0.read_exact(&mut body).await.unwrap();
        Request::decode(header, body.into()).unwrap()
    }

    async fn say(&mut self, response: &Response) {
        let mut out = BytesMut::new();
        response.encode(&mut out).unwrap();
        self.0.write_all(&out).await.unwrap();
    }

    async fn answer(&mut self, response: Response) {
        self.hear().await;
        self.say(&response).await;
    }

    async fn open(&mut self) {
        self.answer(Response::Database { id: 0 }).await;
    }
}

fn options() -> Options {
    Options {
        timeout: Duration::from_millis(300),
        response_limit: 1 << 20,
    }
}

/// A client with an open database, and its peer.
async fn pair() -> (Client, Peer) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let mut peer = Peer(far);
    let mut client = Client::start(Box::new(near), options()).await.unwrap();
    peer.greet().await;
    let (opened, ()) = tokio::join!(client.open("db"), peer.open());
    opened.unwrap();
    (client, peer)
}

fn result(rows_affected: u64) -> Response {
    Response::Result {
        last_insert_id: 0,
        rows_affected,
    }
}

fn page(values: &[i64], more: bool) -> Response {
    Response::Rows(Page {
        columns: vec!["n".to_owned()],
        rows: values.iter().map(|value| vec![Value::Integer(*value)]).collect(),
        more,
    })
}

/// Nothing can be said any more, and the client knows that nothing was sent.
async fn assert_closed(client: &mut Client, peer: &mut Peer) {
    assert!(!client.is_usable());
    assert!(matches!(client.execute_sql("x", &[]).await, Err(Error::Io(_))));
    let mut rest = Vec::new();
    peer.0.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"", "nothing more was sent");
}

#[tokio::test]
async fn no_answer_to_a_write_is_an_unknown_outcome() {
    let (mut client, mut peer) = pair().await;
    let error = client.execute_sql("INSERT", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error}");
    peer.hear().await;
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn no_answer_to_a_question_is_not() {
    let (mut client, mut peer) = pair().await;
    let error = client.leader().await.unwrap_err();
    assert!(
        matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut),
        "{error}"
    );
    peer.hear().await;
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn a_write_that_did_not_go_out_was_not_carried_out() {
    let (mut client, peer) = pair().await;
    drop(peer);
    let error = client.execute_sql("INSERT", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error}");
}

#[tokio::test]
async fn a_write_that_went_out_in_part_was_not_carried_out() {
    let (mut client, mut peer) = pair().await;
    // More than the peer takes without reading.
    let large = [Value::from(&[7; 1 << 17][..])];
    let error = client.execute_sql("INSERT", &large).await.unwrap_err();
    assert!(
        matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut),
        "{error}"
    );
    let mut rest = Vec::new();
    peer.0.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 1 << 16);
}

#[tokio::test]
async fn a_connection_that_breaks_after_a_write_leaves_it_unknown() {
    let (mut client, mut peer) = pair().await;
    let breaking = async {
        peer.hear().await;
        drop(peer);
    };
    let (outcome, ()) = tokio::join!(client.execute_sql("INSERT", &[]), breaking);
    assert!(matches!(outcome, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn nonsense_after_a_write_leaves_it_unknown() {
    let (mut client, mut peer) = pair().await;
    let nonsense = Response::Welcome {
        heartbeat_timeout_ms: 1,
    };
    let (outcome, ()) = tokio::join!(client.execute_sql("INSERT", &[]), peer.answer(nonsense));
    assert!(matches!(outcome, Err(Error::Unknown(_))));
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn nonsense_after_a_question_breaks_the_protocol() {
    let (mut client, mut peer) = pair().await;
    let (outcome, ()) = tokio::join!(client.leader(), peer.answer(Response::Empty));
    assert!(matches!(outcome, Err(Error::Protocol(_))));
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn two_answers_to_one_question_break_the_protocol() {
    let (mut client, mut peer) = pair().await;
    let twice = async {
        peer.hear().await;
        let mut out = BytesMut::new();
        Response::Empty.encode(&mut out).unwrap();
        Response::Empty.encode(&mut out).unwrap();
        peer.0.write_all(&out).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(client.set_weight(1), twice);
    assert!(matches!(outcome, Err(Error::Unknown(_))));
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn a_response_that_is_too_long_is_refused_before_it_is_read() {
    let (mut client, mut peer) = pair().await;
    let announce = async {
        peer.hear().await;
        peer.0
            .write_all(&[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0])
            .await
            .unwrap();
    };
    let (outcome, ()) = tokio::join!(client.leader(), announce);
    assert!(matches!(outcome, Err(Error::Protocol(_))));
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn an_answer_may_come_in_pieces() {
    let (mut client, mut peer) = pair().await;
    let server = Server {
        id: 3,
        address: "a".repeat(100),
    };
    let mut out = BytesMut::new();
    Response::Server(server.clone()).encode(&mut out).unwrap();
    let pieces = async {
        peer.hear().await;
        for piece in out.chunks(7) {
            peer.0.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (leader, ()) = tokio::join!(client.leader(), pieces);
    assert_eq!(leader.unwrap(), Some(server));
}

#[tokio::test]
async fn a_call_that_is_given_up_closes_the_connection() {
    let (mut client, mut peer) = pair().await;
    tokio::select! {
        biased;
        _ = client.execute_sql("INSERT", &[]) => panic!("nobody answered"),
        _request = peer.hear() => {}
    }
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn a_failure_leaves_the_connection() {
    let (mut client, mut peer) = pair().await;
    let busy = Response::Failure {
        code: 5,
        message: "checkpoint in progress".to_owned(),
    };
    let (outcome, ()) = tokio::join!(client.execute_sql("INSERT", &[]), peer.answer(busy));
    let error = outcome.unwrap_err();
    assert!(
        matches!(error, Error::Busy { code: 5, .. }) && error.leaves_connection(),
        "{error}"
    );
    let (outcome, ()) = tokio::join!(client.execute_sql("INSERT", &[]), peer.answer(result(1)));
    assert_eq!(outcome.unwrap().rows_affected, 1);
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_leaves_the_connection() {
    let (mut client, mut peer) = pair().await;
    assert!(matches!(
        client.execute_sql("a\0b", &[]).await,
        Err(Error::Misuse(_))
    ));
    let (outcome, ()) = tokio::join!(client.execute_sql("INSERT", &[]), peer.answer(result(1)));
    assert_eq!(outcome.unwrap().rows_affected, 1);
}

#[tokio::test]
async fn rows_come_in_many_messages() {
    let (mut client, mut peer) = pair().await;
    let messages = async {
        peer.answer(page(&[1, 2], true)).await;
        peer.say(&page(&[], true)).await;
        peer.say(&page(&[3], false)).await;
    };
    let asking = async { client.query_sql("SELECT", &[]).await?.collect().await };
    let (rows, ()) = tokio::join!(asking, messages);
    let numbers: Vec<_> = rows.unwrap().into_iter().flatten().collect();
    assert_eq!(numbers, [1, 2, 3].map(Value::Integer));
    let (outcome, ()) = tokio::join!(client.execute_sql("INSERT", &[]), peer.answer(result(1)));
    outcome.unwrap();
}

#[tokio::test]
async fn rows_that_fail_half_way_leave_the_connection() {
    let (mut client, mut peer) = pair().await;
    let messages = async {
        peer.answer(page(&[1, 2], true)).await;
        let interrupted = Response::Failure {
            code: 9,
            message: "interrupted".to_owned(),
        };
        peer.say(&interrupted).await;
    };
    let asking = async { client.query_sql("SELECT", &[]).await?.collect().await };
    let (rows, ()) = tokio::join!(asking, messages);
    assert!(matches!(rows, Err(Error::Sqlite { code: 9, .. })));
    let (outcome, ()) = tokio::join!(client.execute_sql("INSERT", &[]), peer.answer(result(1)));
    outcome.unwrap();
}

#[tokio::test]
async fn rows_that_are_not_taken_close_the_connection() {
    let (mut client, mut peer) = pair().await;
    let asking = async {
        let mut rows = client.query_sql("SELECT", &[]).await.unwrap();
        rows.next().await.unwrap()
    };
    let (row, ()) = tokio::join!(asking, async { peer.answer(page(&[1], true)).await });
    assert_eq!(row, Some(vec![Value::Integer(1)]));
    assert_closed(&mut client, &mut peer).await;
}

#[tokio::test]
async fn statements_are_checked_before_they_are_sent() {
    let statement = Response::Statement {
        database: 0,
        id: 0,
        parameters: 2,
        tail: None,
    };
    let (mut client, mut peer) = pair().await;
    let (prepared, ()) = tokio::join!(client.prepare("x"), peer.answer(statement));
    let prepared = prepared.unwrap();
    for count in [0, 1, 3] {
        let outcome = client.execute(&prepared, &vec![Value::Null; count]).await;
        assert!(matches!(outcome, Err(Error::Misuse(_))), "{count}");
    }
    let (mut other, _peer) = pair().await;
    let outcome = other.execute(&prepared, &[Value::Null, Value::Null]).await;
    assert!(
        matches!(outcome, Err(Error::Misuse(_))),
        "a statement of another connection"
    );
}
