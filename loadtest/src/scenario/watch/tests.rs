//! What watchers make of a server that does as it is told, right or wrong.

use std::time::Duration;

use http::Response;
use proto::etcdserverpb::WatchResponse;
use proto::mvccpb::{Event, KeyValue};
use tokio::io::DuplexStream;

use super::*;
use crate::client::WINDOW;
use crate::keys::Keys;

/// A connection to a server that answers every watch with these messages, and then says nothing more.
pub(in crate::scenario) async fn connection(answers: Vec<WatchResponse>) -> Connection {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(serve(theirs, answers));
    let endpoint = "http://server".parse().expect("an address");
    Connection::over(ours, &endpoint, WINDOW).await.expect("HTTP/2")
}

async fn serve(socket: DuplexStream, answers: Vec<WatchResponse>) {
    let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
    let mut open = Vec::new();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let head = Response::builder().body(()).expect("a head");
        let mut body = respond.send_response(head, false).expect("a response");
        for answer in &answers {
            body.send_data(frame(answer), false).expect("data");
        }
        open.push(body);
    }
}

pub(in crate::scenario) fn created() -> WatchResponse {
    WatchResponse {
        created: true,
        ..Default::default()
    }
}

pub(in crate::scenario) fn canceled() -> WatchResponse {
    WatchResponse {
        canceled: true,
        ..Default::default()
    }
}

/// A message with an event of each of these revisions.
pub(in crate::scenario) fn events(revisions: &[i64]) -> WatchResponse {
    let event = |revision: &i64| Event {
        kv: Some(KeyValue {
            mod_revision: *revision,
            ..Default::default()
        }),
        ..Default::default()
    };
    WatchResponse {
        events: revisions.iter().map(event).collect(),
        ..Default::default()
    }
}

pub(in crate::scenario) fn everything() -> KeyRange {
    Keys::new("/test", 20).all()
}

/// A watch that has begun and on which these messages come.
async fn watch(answers: &[WatchResponse]) -> Stream {
    let answers = [&[created()], answers].concat();
    open(&connection(answers).await, &everything())
        .await
        .expect("it begins")
}

#[tokio::test(flavor = "current_thread")]
async fn events_come_one_by_one_and_later_ones_after_earlier() {
    let mut stream = watch(&[events(&[]), events(&[5]), events(&[]), events(&[6]), events(&[6])]).await;
    assert_eq!(next_event(&mut stream, 0).await.expect("an event"), 5);
    assert_eq!(next_event(&mut stream, 5).await.expect("an event"), 6);
    assert!(next_event(&mut stream, 6).await.is_err());
    assert!(next_event(&mut watch(&[events(&[5, 6])]).await, 0).await.is_err());
    assert!(next_event(&mut watch(&[canceled()]).await, 0).await.is_err());
}

/// By number alone, one that sees it twice stands in for one that does not see it.
#[tokio::test(flavor = "current_thread")]
async fn who_sees_a_write_twice_does_not_see_it_for_another() {
    let board = Arc::new(Board::new(2));
    for answers in [&[events(&[5]), events(&[5])][..], &[]] {
        tokio::spawn(report_to(Arc::clone(&board), watch(answers).await));
    }
    let seen = tokio::time::timeout(Duration::from_secs(60), board.all_seen(5)).await;
    assert!(seen.expect("it is told at once").is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn a_follower_that_is_lost_is_missed() {
    let followers = Followers::default();
    let lasting = connection(vec![created(), events(&[5])]).await;
    followers
        .follow(&lasting, &everything())
        .await
        .expect("it begins");
    assert!(followers.are_there().is_ok());
    let ending = connection(vec![created(), events(&[5]), canceled()]).await;
    followers.follow(&ending, &everything()).await.expect("it begins");
    let lost = tokio::time::timeout(Duration::from_secs(60), async {
        while followers.are_there().is_ok() {
            tokio::task::yield_now().await;
        }
    });
    lost.await.expect("it is missed");
}

#[tokio::test(flavor = "current_thread")]
async fn a_write_is_seen_when_every_watcher_has_seen_it() {
    let board = Board::new(3);
    board.note(Ok(7));
    board.note(Ok(7));
    assert!(board.take_if_complete().expect("no failure").is_none());
    board.note(Ok(7));
    assert_eq!(board.all_seen(7).await.expect("all have seen it").len(), 3);
    assert!(board.take_if_complete().expect("no failure").is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn what_watchers_see_is_what_was_written() {
    let board = Board::new(2);
    board.note(Ok(7));
    board.note(Ok(7));
    assert!(board.all_seen(8).await.is_err());
    board.note(Ok(8));
    board.note(Ok(9));
    assert!(board.all_seen(8).await.is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn writes_that_nobody_watches_wait_for_nobody() {
    assert!(Board::new(0).all_seen(7).await.expect("no failure").is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_lost_watcher_ends_the_wait() {
    let board = Board::new(2);
    board.note(Ok(7));
    board.note(Err(CallError::Wrong("a watch was canceled".to_owned())));
    board.note(Ok(7));
    assert!(board.all_seen(7).await.is_err());
}
