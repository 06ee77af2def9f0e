//! What a follower follows.

use std::sync::Arc;

use actors::{Ask, Epoch, Followed, NotFed, Peer, PeerError, Progress, Standing, Told};
use bytes::Bytes;
use model::{Alarm, AlarmMember, Effect, Event, Lease, LeaseId, Position, Revision, Tally, Version};

use super::fake_member::{Follower, Visitors};
use super::*;

/// Room that a member gives each follower.
const BUDGET: usize = 1 << 20;
/// Bytes of the value in a batch.
const VALUE: usize = 60 << 10;

fn batch(sequence: u64, value: usize) -> Followed {
    let number = sequence as i64;
    let event = Event {
        key: Bytes::from(sequence.to_string()),
        value: Bytes::from(vec![1; value]),
        version: Version {
            position: Position(number),
            mod_revision: Revision(number),
            create_revision: Revision(1),
            version: 3,
            lease: LeaseId(4),
        },
    };
    Followed::Batch {
        sequence,
        effects: Arc::new(vec![Effect::Key(event), Effect::LeaseRevoked(LeaseId(number))]),
        lease_clock_ms: 1000 * number,
        tally: Tally {
            transactions: sequence,
            ..Tally::default()
        },
    }
}

fn at(sequence: u64) -> Progress {
    Progress {
        epoch: Epoch(3),
        sequence,
        position: Position(sequence as i64 * 2),
        revision: Revision(sequence as i64 + 1),
    }
}

async fn came(visitors: &mut Visitors) -> Follower {
    soon(visitors.followers.recv()).await.expect("a follower")
}

async fn before(budget: usize) -> ([Ground; 2], Visitors) {
    let (member, visitors) = FakeMember::new(budget);
    (Grounds::before(Arc::new(member)).await, visitors)
}

#[tokio::test]
async fn a_follower_hears_everything_in_order_and_says_how_far_it_is() {
    const BATCHES: u64 = 2000;
    let (grounds, mut visitors) = before(BUDGET).await;
    for ground in grounds {
        let peer = ground.peer();
        let mut following = peer.follow(2, at(10));
        let Follower {
            member,
            from,
            mut feeder,
        } = came(&mut visitors).await;
        assert_eq!((member, from), (2, at(10)));
        let standing = Standing {
            at: at(10),
            compact_revision: Revision(3),
            leases: vec![Lease {
                id: LeaseId(1),
                ttl: 2,
                deadline_ms: 3,
            }],
            alarms: vec![AlarmMember {
                alarm: Alarm::NoSpace,
                member_id: 1,
            }],
            lease_clock_ms: 9,
        };
        let opening = [
            Followed::Reconciled(standing),
            Followed::Continued,
            Followed::TooFarBehind,
        ];
        let told = opening.clone();
        let feeding = tokio::spawn(async move {
            for said in told {
                feeder.send(said).await.expect("a follower");
            }
            for sequence in 11..11 + BATCHES {
                feeder.send(batch(sequence, 100)).await.expect("a follower");
            }
            while feeder.next_acknowledged().await.expect("a follower") != at(10 + BATCHES) {}
            feeder.end(PeerError::LeftBehind("enough".into()));
        });
        for said in opening {
            assert_eq!(soon(following.next()).await, Ok(said));
        }
        for sequence in 11..11 + BATCHES {
            assert_eq!(soon(following.next()).await, Ok(batch(sequence, 100)));
            following.acknowledge(at(sequence));
        }
        let ended = soon(following.next()).await;
        assert_eq!(ended, Err(PeerError::LeftBehind("enough".into())));
        soon(feeding).await.expect("no panic");
    }
}

#[tokio::test]
async fn a_batch_larger_than_everything_goes_through() {
    let (grounds, mut visitors) = before(BUDGET).await;
    for ground in grounds {
        let mut following = ground.peer().follow(2, at(0));
        let feeder = came(&mut visitors).await.feeder;
        let large = batch(1, 20 << 20);
        feeder.send(large.clone()).await.expect("room");
        assert_eq!(soon(following.next()).await, Ok(large));
    }
}

/// Feeds until there is no room for long enough that there will be none; says how many batches went.
async fn fill(follower: &Follower) -> u64 {
    let mut fed = 0;
    loop {
        let room = tokio::time::timeout(
            Duration::from_millis(500),
            follower.feeder.send(batch(fed, VALUE)),
        );
        match room.await {
            Ok(fit) => fit.expect("a follower"),
            Err(_) => return fed,
        }
        fed += 1;
    }
}

/// What a follower that reads nothing can make two members hold: its feeds at both ends, what the windows let
/// pass, what sockets hold, and what is being packed and unpacked.
const HELD_AT_MOST: usize = BUDGET + (8 << 20) + STREAM_WINDOW as usize + (8 << 20) + 4 * PACK_BYTES;

#[tokio::test]
async fn a_slow_follower_holds_little_and_stops_nobody() {
    let (grounds, mut visitors) = before(BUDGET).await;
    for ground in grounds {
        let peer = ground.peer();
        let mut slow = peer.follow(2, at(0));
        let follower = came(&mut visitors).await;
        let fed = fill(&follower).await;
        let held = fed as usize * VALUE;
        assert!(held > BUDGET, "only {held} bytes were taken");
        assert!(held < HELD_AT_MOST, "{held} bytes are held");
        assert_eq!(
            follower.feeder.try_send(batch(fed, VALUE)),
            Err(NotFed::Full(batch(fed, VALUE)))
        );

        // The connection serves others meanwhile.
        assert_eq!(soon(peer.ask(Ask::Leases)).await, Ok(Told::Done));
        let mut other = peer.follow(3, at(0));
        let second = came(&mut visitors).await;
        second.feeder.send(batch(1, VALUE)).await.expect("an empty feed");
        assert_eq!(soon(other.next()).await, Ok(batch(1, VALUE)));

        // And nothing was left out for the slow one.
        for sequence in 0..fed {
            assert_eq!(soon(slow.next()).await, Ok(batch(sequence, VALUE)));
        }
    }
}

#[tokio::test]
async fn a_follower_that_goes_is_noticed_even_when_it_was_slow() {
    let (grounds, mut visitors) = before(BUDGET).await;
    for ground in grounds {
        let peer = ground.peer();
        let idle = peer.follow(2, at(0));
        let feeder = came(&mut visitors).await.feeder;
        drop(idle);
        soon(feeder.closed()).await;

        let slow = peer.follow(2, at(0));
        let follower = came(&mut visitors).await;
        fill(&follower).await;
        drop(slow);
        soon(follower.feeder.closed()).await;
    }
}

#[tokio::test]
async fn reasons_arrive_by_name() {
    let (grounds, mut visitors) = before(BUDGET).await;
    for ground in grounds {
        for reason in [
            PeerError::NotReady("does not lead".into()),
            PeerError::LeftBehind("too slow".into()),
        ] {
            let mut following = ground.peer().follow(2, at(0));
            came(&mut visitors).await.feeder.end(reason.clone());
            assert_eq!(soon(following.next()).await, Err(reason));
        }
        let mut following = ground.peer().follow(2, at(0));
        drop(came(&mut visitors).await);
        assert!(matches!(soon(following.next()).await, Err(PeerError::Lost(_))));
    }
}
