//! A member that stops: what was asked is answered, streams end with a reason, connections close.

use std::sync::Arc;

use actors::{Ask, Peer, PeerError, Progress, Told};
use parking_lot::Mutex;

use super::fake_member::later;
use super::ground::{CALLED, PATIENCE};
use super::*;

#[tokio::test]
async fn calls_under_way_are_answered_before_the_end() {
    let (answer, answered) = later();
    let answered = Mutex::new(Some(answered));
    let member = FakeMember::answering(move |_| answered.lock().take().expect("asked once"));
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    let peer = ground.peer();
    let asked = peer.ask(Ask::Leases);
    until(|| member.asked().len() == 1).await;
    ground.stopping.cancel();
    // On the same connection, and told after everybody there was.
    let mut following = peer.follow(2, Progress::default());
    let stopped = soon(following.next()).await;
    assert!(stopped.is_err(), "{stopped:?}");
    answer.send(Ok(Told::Done)).expect("somebody waits");
    assert_eq!(soon(asked).await, Ok(Told::Done));
}

#[tokio::test]
async fn streams_end_with_a_reason() {
    let (member, mut visitors) = FakeMember::new(1 << 20);
    let ground = Ground::in_memory(Arc::new(member));
    let peer = ground.peer();
    let mut following = peer.follow(2, Progress::default());
    let mut image = peer.image();
    let follower = soon(visitors.followers.recv()).await.expect("a follower");
    let _writer = soon(visitors.writers.recv())
        .await
        .expect("somebody wants a replica");
    ground.stopping.cancel();
    let stopped = Err(PeerError::NotReady("the member is stopping".into()));
    assert_eq!(soon(following.next()).await, stopped);
    assert_eq!(soon(image.next()).await.map(drop), stopped.map(drop));
    soon(follower.feeder.closed()).await;
}

#[tokio::test]
async fn a_connection_closes_when_its_streams_have_ended() {
    let (member, _visitors) = FakeMember::new(1 << 20);
    let stopping = tokio_util::sync::CancellationToken::new();
    let service = PeerService::new(Arc::new(member), CALLED, PATIENCE, stopping.clone());
    let (near, far) = tokio::io::duplex(64 << 10);
    let near = Mutex::new(Some(near));
    let connector: Connector = Arc::new(move || {
        let near = near.lock().take();
        Box::pin(async move { Ok(Box::new(near.expect("connected once")) as Box<dyn Wire>) })
    });
    let introduction = Introduction {
        caller: ground::CALLER,
        called: 0,
    };
    let serving = tokio::spawn(async move { service.serve(far).await });
    let peer = RemotePeer::new(connector, introduction, PATIENCE);
    let mut following = peer.follow(2, Progress::default());
    assert_eq!(soon(peer.ask(Ask::Leases)).await, Ok(Told::Done));
    stopping.cancel();
    assert!(matches!(
        soon(following.next()).await,
        Err(PeerError::NotReady(_))
    ));
    let served = soon(serving).await.expect("no panic");
    assert!(served.is_ok(), "{served:?}");
}
