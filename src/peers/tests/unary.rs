//! Claims and questions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use actors::{Ask, Claim, Epoch, Peer, PeerError, Progress, Promised, RequestError};
use journal::Identity;
use tokio::sync::Semaphore;

use super::fake_member::{at_once, never};
use super::ground::{CALLED, CALLER, PATIENCE};
use super::*;

const CLAIM: Claim = Claim {
    epoch: Epoch(4),
    leader: 2,
    confirm: false,
};

#[tokio::test]
async fn claims_are_answered_as_the_member_answers_them() {
    let member = FakeMember::promising(|claim| {
        at_once(match (claim.epoch, claim.leader, claim.confirm) {
            (Epoch(4), 2, false) => Ok(Promised::Granted),
            (Epoch(4), 2, true) => Ok(Promised::Refused { highest: Epoch(9) }),
            _ => Err(PeerError::NotReady("starting".into())),
        })
    });
    for ground in Grounds::before(member).await {
        let peer = ground.peer();
        assert_eq!(soon(peer.promise(CLAIM)).await, Ok(Promised::Granted));
        let confirm = Claim {
            confirm: true,
            ..CLAIM
        };
        let refused = Promised::Refused { highest: Epoch(9) };
        assert_eq!(soon(peer.promise(confirm)).await, Ok(refused));
        let other = Claim { leader: 3, ..CLAIM };
        let not_ready = Err(PeerError::NotReady("starting".into()));
        assert_eq!(soon(peer.promise(other)).await, not_ready);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_no_longer_than_it_should() {
    let ground = Ground::in_memory(FakeMember::promising(|_| never()));
    let since = tokio::time::Instant::now();
    let unanswered = ground.peer().promise(CLAIM).await;
    assert!(matches!(unanswered, Err(PeerError::Lost(_))), "{unanswered:?}");
    let waited = since.elapsed();
    assert!(
        waited >= PATIENCE.answer && waited < PATIENCE.answer * 2,
        "{waited:?}"
    );
}

/// A leader gives up on a member when others have answered, and claims again and again.
#[tokio::test]
async fn claims_that_nobody_waits_for_do_not_pile_up() {
    let (come, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, going) = (Arc::clone(&come), Arc::clone(&gone));
    let member = FakeMember::promising(move |_| {
        counted.fetch_add(1, SeqCst);
        let going = Arc::clone(&going);
        Box::pin(async move {
            going.acquire().await.expect("open").forget();
            Ok(Promised::Granted)
        })
    });
    let ground = Ground::in_memory(member);
    let peer = ground.peer();
    for _ in 0..1000 {
        drop(peer.promise(CLAIM));
    }
    let refused = peer.promise(CLAIM).await;
    assert!(matches!(refused, Err(PeerError::NotReady(_))), "{refused:?}");
    let under_way = come.load(SeqCst);
    assert!(under_way <= 64, "{under_way} claims are under way");
    gone.add_permits(1 << 20);
    soon(async {
        while peer.promise(CLAIM).await != Ok(Promised::Granted) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_member_describes_itself() {
    let member = FakeMember::promising(|_| never());
    for ground in Grounds::before(member).await {
        let described = soon(ground.peer().describe()).await.expect("a description");
        let direct = ground.member.describe().await.expect("a description");
        assert_eq!(
            described,
            actors::MemberDescription {
                protocol: PROTOCOL,
                ..direct
            }
        );
    }
}

fn introduction(cluster_id: u64, called: u64) -> Introduction {
    Introduction {
        caller: Identity { cluster_id, ..CALLER },
        called,
    }
}

fn is_stranger<T>(result: Result<T, PeerError>) -> bool {
    matches!(result, Err(PeerError::Stranger(_)))
}

#[tokio::test]
async fn strangers_are_turned_away_at_every_door() {
    let (member, _visitors) = FakeMember::new(1);
    let member = Arc::new(member);
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    let of_another_cluster = introduction(CALLED.cluster_id + 1, CALLED.member_id);
    let for_another_member = introduction(CALLED.cluster_id, CALLED.member_id + 1);
    for introduction in [of_another_cluster, for_another_member] {
        let peer = ground.peer_of(introduction);
        assert!(is_stranger(soon(peer.promise(CLAIM)).await));
        assert!(is_stranger(soon(peer.describe()).await));
        assert!(is_stranger(soon(peer.image().next()).await));
        assert!(is_stranger(
            soon(peer.follow(2, Progress::default()).next()).await
        ));
        assert_eq!(soon(peer.ask(Ask::Leases)).await, Err(RequestError::NoLeader));
    }
    assert_eq!(member.asked(), []);
}

#[tokio::test]
async fn a_newcomer_may_ask_who_a_member_is_and_nothing_more() {
    let (member, _visitors) = FakeMember::new(1);
    let ground = Ground::in_memory(Arc::new(member));
    let peer = ground.peer_of(introduction(0, 0));
    assert!(soon(peer.describe()).await.is_ok());
    assert!(is_stranger(soon(peer.promise(CLAIM)).await));
}

/// Whoever asks may live shorter than the connection that it asked over.
#[test]
fn a_connection_outlives_the_runtime_of_who_asked_first() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let home = runtime();
    let (member, _visitors) = FakeMember::new(1 << 20);
    let (ground, peer) = home.block_on(async {
        let ground = Ground::on_tcp(Arc::new(member)).await;
        let peer = ground.peer();
        (ground, peer)
    });
    let mut following = runtime().block_on(async {
        assert_eq!(soon(peer.promise(CLAIM)).await, Ok(Promised::Granted));
        assert_eq!(soon(peer.ask(Ask::Leases)).await, Ok(actors::Told::Done));
        peer.follow(2, Progress::default())
    });
    runtime().block_on(async {
        assert_eq!(soon(peer.ask(Ask::Leases)).await, Ok(actors::Told::Done));
        assert_eq!(soon(peer.promise(CLAIM)).await, Ok(Promised::Granted));
        assert_eq!(following.next_now(), None, "the stream goes on");
        ground.set(Weather::Cut);
        assert!(matches!(soon(following.next()).await, Err(PeerError::Lost(_))));
    });
}
