//! What a leader is asked.

use std::sync::Arc;

use actors::{Ask, Committed, KeepAliveReply, Peer, RequestError, TimeToLiveReply, Told};
use bytes::Bytes;
use futures_util::future::join_all;
use model::{Command, LeaseId, Put, PutReply, Refusal, Reply, Revision};
use parking_lot::Mutex;

use super::fake_member::{at_once, later, never};
use super::*;

fn put(value: usize) -> Ask {
    Ask::Submit(Command::Put(Put {
        key: Bytes::from_static(b"k"),
        value: Bytes::from(vec![1; value]),
        ..Put::default()
    }))
}

fn committed(revision: i64) -> Told {
    Told::Committed(Committed {
        revision: Revision(revision),
        reply: Reply::Put(PutReply::default()),
    })
}

#[tokio::test]
async fn every_kind_of_ask_has_its_answer() {
    let member = FakeMember::answering(|ask| {
        at_once(Ok(match ask {
            Ask::Submit(_) => committed(5),
            Ask::KeepAlive(id) => Told::KeptAlive(KeepAliveReply {
                revision: Revision(6),
                ttl: id.0,
            }),
            Ask::TimeToLive { id, keys } => Told::TimeToLive(TimeToLiveReply {
                revision: Revision(7),
                ttl: id.0,
                granted_ttl: i64::from(*keys),
                keys: vec![Bytes::from_static(b"k")],
            }),
            Ask::Leases => Told::Leases(vec![LeaseId(3), LeaseId(1)]),
            Ask::ReadRevision => Told::ReadRevision(Revision(8)),
            Ask::CompactPhysically => Told::Done,
        }))
    });
    for ground in Grounds::before(member).await {
        let peer = ground.peer();
        let asks = [
            put(3),
            Ask::KeepAlive(LeaseId(9)),
            Ask::TimeToLive {
                id: LeaseId(9),
                keys: true,
            },
            Ask::Leases,
            Ask::ReadRevision,
            Ask::CompactPhysically,
        ];
        for ask in asks {
            let direct = ground.member.ask(ask.clone()).await;
            assert_eq!(soon(peer.ask(ask)).await, direct);
        }
    }
}

#[tokio::test]
async fn failures_arrive_by_name() {
    let failures = [
        RequestError::Refused(Refusal::NoSpace),
        RequestError::NotLeader,
        RequestError::LeaderChanged,
        RequestError::NotStored("disk full".into()),
    ];
    let next = Mutex::new(failures.clone().into_iter().cycle());
    let member = FakeMember::answering(move |_| at_once(Err(next.lock().next().expect("one more"))));
    for ground in Grounds::before(member).await {
        let peer = ground.peer();
        for failure in failures.clone() {
            assert_eq!(soon(peer.ask(put(1))).await, Err(failure));
        }
    }
}

/// Many calls are under way and answered the last first; everybody has the own answer.
#[tokio::test]
async fn calls_are_answered_in_any_order() {
    const CALLS: usize = 3000;
    let waiting = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&waiting);
    let member = FakeMember::answering(move |ask| {
        let Ask::KeepAlive(id) = ask else {
            panic!("{ask:?}")
        };
        let (answer, answered) = later();
        kept.lock().push((*id, answer));
        answered
    });
    for ground in Grounds::before(member).await {
        let peer = ground.peer();
        let asked: Vec<_> = (0..CALLS as i64)
            .map(|id| peer.ask(Ask::KeepAlive(LeaseId(id))))
            .collect();
        until(|| waiting.lock().len() == CALLS).await;
        let mut arrived: Vec<_> = waiting.lock().drain(..).collect();
        assert!(
            arrived.is_sorted_by_key(|(id, _)| *id),
            "calls of one caller arrive in order"
        );
        assert_eq!(peer.report().in_flight, CALLS as u64);
        while let Some((LeaseId(ttl), answer)) = arrived.pop() {
            let revision = Revision(1);
            answer
                .send(Ok(Told::KeptAlive(KeepAliveReply { revision, ttl })))
                .expect("somebody waits");
        }
        for (id, outcome) in soon(join_all(asked)).await.into_iter().enumerate() {
            let told = Told::KeptAlive(KeepAliveReply {
                revision: Revision(1),
                ttl: id as i64,
            });
            assert_eq!(outcome, Ok(told));
        }
        assert_eq!(peer.report().in_flight, 0);
    }
}

/// Values that together are larger than every window and every message.
#[tokio::test]
async fn large_calls_go_through() {
    let member = FakeMember::answering(|ask| match ask {
        Ask::Submit(Command::Put(put)) => at_once(Ok(committed(put.value.len() as i64))),
        ask => panic!("{ask:?}"),
    });
    for ground in Grounds::before(member).await {
        let peer = ground.peer();
        let sizes = [1, 100, PACK_BYTES, 1_500_000, 3 << 20, 7, 1_500_000, 9 << 20];
        let asked = join_all(sizes.map(|size| peer.ask(put(size))));
        let expected = sizes.map(|size| Ok(committed(size as i64)));
        assert_eq!(soon(asked).await, expected);
    }
}

#[tokio::test]
async fn more_than_fits_is_refused_at_once_and_room_comes_back() {
    let member = FakeMember::answering(|ask| match ask {
        Ask::Leases => never(),
        _ => at_once(Ok(Told::Done)),
    });
    let ground = Ground::in_memory(member);
    let peer = ground.peer();
    let mut waiting: Vec<_> = (0..CALLS_MAX).map(|_| peer.ask(Ask::Leases)).collect();
    let refused = peer.ask(Ask::CompactPhysically).await;
    assert_eq!(refused, Err(RequestError::Overloaded));
    waiting.clear();
    // Who gave up is forgotten, and then there is room again.
    until(|| peer.report().in_flight == 0).await;
    assert_eq!(soon(peer.ask(Ask::CompactPhysically)).await, Ok(Told::Done));
}

#[tokio::test]
async fn answers_outlive_the_peer_that_was_asked() {
    let (answer, answered) = later();
    let answered = Mutex::new(Some(answered));
    let member = FakeMember::answering(move |_| answered.lock().take().expect("asked once"));
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    let peer = ground.peer();
    let asked = peer.ask(Ask::Leases);
    until(|| member.asked().len() == 1).await;
    drop(peer);
    answer.send(Ok(Told::Leases(vec![]))).expect("somebody waits");
    assert_eq!(soon(asked).await, Ok(Told::Leases(vec![])));
}

#[tokio::test]
async fn nesting_that_no_member_reads_is_refused_before_it_is_sent() {
    let member = FakeMember::answering(|_| at_once(Ok(Told::Done)));
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    let nested = (0..200).fold(model::Txn::default(), |inner, _| model::Txn {
        success: vec![model::Operation::Txn(inner)],
        ..model::Txn::default()
    });
    let refused = ground.peer().ask(Ask::Submit(Command::Txn(nested))).await;
    assert_eq!(refused, Err(RequestError::NotCapable));
    assert_eq!(member.asked(), []);
}
