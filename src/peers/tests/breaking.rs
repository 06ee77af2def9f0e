//! Connections that break, freeze or cannot be made.

use std::sync::Arc;
use std::time::Instant;

use actors::{Ask, Claim, Epoch, Peer, PeerError, Progress, RequestError, Told};
use model::{Command, LeaseId};

use super::fake_member::{at_once, never};
use super::ground::PATIENCE;
use super::*;

fn revoke(id: i64) -> Ask {
    Ask::Submit(Command::LeaseRevoke(LeaseId(id)))
}

/// A member that never answers to a revocation, and at once to all else.
fn silent_on_revocations() -> Arc<FakeMember> {
    FakeMember::answering(|ask| match ask {
        Ask::Submit(_) => never(),
        _ => at_once(Ok(Told::Done)),
    })
}

#[tokio::test]
async fn what_was_under_way_is_lost_and_never_asked_again() {
    let member = silent_on_revocations();
    for ground in Grounds::before(Arc::clone(&member) as Arc<dyn Peer>).await {
        let peer = ground.peer();
        let before = member.asked().len();
        let (first, second) = (peer.ask(revoke(1)), peer.ask(revoke(2)));
        until(|| member.asked().len() == before + 2).await;
        ground.set(Weather::Cut);
        assert_eq!(soon(first).await, Err(RequestError::TimedOutConnectionLost));
        assert_eq!(soon(second).await, Err(RequestError::TimedOutConnectionLost));

        ground.set(Weather::Fair);
        until_asked(&peer).await;
        let asked = member.asked();
        let revoked = |id| asked[before..].iter().filter(|ask| **ask == revoke(id)).count();
        assert_eq!((revoked(1), revoked(2)), (1, 1));
    }
}

/// Waits until the peer answers.
async fn until_asked(peer: &RemotePeer) {
    soon(async {
        while peer.ask(Ask::Leases).await != Ok(Told::Done) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_known_not_to_be_done() {
    let member = silent_on_revocations();
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    ground.set(Weather::Cut);
    let peer = ground.peer();
    for id in 0..3 {
        assert_eq!(soon(peer.ask(revoke(id))).await, Err(RequestError::NoLeader));
    }
    let unreachable = soon(peer.describe()).await;
    assert!(
        matches!(unreachable, Err(PeerError::Unreachable(_))),
        "{unreachable:?}"
    );
    let ended = soon(peer.follow(2, Progress::default()).next()).await;
    assert!(matches!(ended, Err(PeerError::Unreachable(_))), "{ended:?}");
    ground.set(Weather::Fair);
    until_asked(&peer).await;
    assert!(member.asked().iter().all(|ask| *ask == Ask::Leases));
}

/// A member that fell silent without a word is noticed by both ends.
#[tokio::test]
async fn silence_is_noticed_by_both_ends() {
    let (member, mut visitors) = FakeMember::new(1 << 20);
    let ground = Ground::in_memory(Arc::new(member));
    let peer = ground.peer();
    let mut following = peer.follow(2, Progress::default());
    let follower = soon(visitors.followers.recv()).await.expect("a follower");
    follower
        .feeder
        .send(actors::Followed::Continued)
        .await
        .expect("room");
    assert_eq!(soon(following.next()).await, Ok(actors::Followed::Continued));

    let since = Instant::now();
    ground.set(Weather::Frozen);
    let asked = peer.ask(Ask::ReadRevision);
    let claim = Claim {
        epoch: Epoch(1),
        leader: 2,
        confirm: true,
    };
    let promised = peer.promise(claim);
    let (ended, outcome, promised, ()) =
        soon(async { tokio::join!(following.next(), asked, promised, follower.feeder.closed()) }).await;
    let noticed = since.elapsed();
    assert!(matches!(ended, Err(PeerError::Lost(_))), "{ended:?}");
    assert!(matches!(promised, Err(PeerError::Lost(_))), "{promised:?}");
    // The stream of calls had not been opened yet, so the call is known not to have been sent.
    assert_eq!(outcome, Err(RequestError::NoLeader));
    let expected = PATIENCE.silence + PATIENCE.pong;
    assert!(noticed >= PATIENCE.pong, "noticed after {noticed:?}");
    assert!(noticed < expected * 3, "noticed after {noticed:?}");
}

#[tokio::test]
async fn silence_ends_what_is_under_way() {
    let member = silent_on_revocations();
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    let peer = ground.peer();
    let asked = peer.ask(revoke(1));
    until(|| member.asked().len() == 1).await;
    ground.set(Weather::Frozen);
    assert_eq!(soon(asked).await, Err(RequestError::TimedOutConnectionLost));
}

/// A connection is kept while both are there, however little is said.
#[tokio::test]
async fn silence_alone_breaks_nothing() {
    let (member, mut visitors) = FakeMember::new(1 << 20);
    let ground = Ground::in_memory(Arc::new(member));
    let peer = ground.peer();
    let mut following = peer.follow(2, Progress::default());
    let follower = soon(visitors.followers.recv()).await.expect("a follower");
    tokio::time::sleep((PATIENCE.silence + PATIENCE.pong) * 2).await;
    follower
        .feeder
        .send(actors::Followed::Continued)
        .await
        .expect("room");
    assert_eq!(soon(following.next()).await, Ok(actors::Followed::Continued));
}

/// Who gave up before there was a connection has asked for nothing.
#[tokio::test]
async fn what_was_given_up_in_time_is_not_sent() {
    let member = silent_on_revocations();
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    ground.set(Weather::Frozen);
    let peer = ground.peer();
    let opener = peer.ask(Ask::Leases);
    drop(peer.ask(revoke(1)));
    tokio::task::yield_now().await;
    ground.set(Weather::Fair);
    assert_eq!(soon(opener).await, Ok(Told::Done));
    assert_eq!(soon(peer.ask(Ask::ReadRevision)).await, Ok(Told::Done));
    assert_eq!(member.asked(), [Ask::Leases, Ask::ReadRevision]);
}
