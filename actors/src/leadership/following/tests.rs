//! Following a leader that the test plays, given up at the worst moments.

use bytes::Bytes;
use journal::{Journal as _, MemoryCluster, MemoryJournal};
use model::{Effect, Event, Lease, LeaseId, State, Tally, Version};
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, yield_now};

use super::*;
use crate::clock::LeaseClock;
use crate::cluster::testing::{Puppet, Puppets};
use crate::cluster::{Epoch, Promises};
use crate::leadership::{BATCHES_UNDER_WAY, Subordinates};
use crate::meter::Meter;
use crate::shared_state::SharedState;
use crate::testing;

const EPOCH: Epoch = Epoch(4);

/// A follower without its run of roles, on this log.
struct Follower {
    leadership: Leadership,
    keyspace: Arc<Meter>,
}

fn subordinates(shared: &Arc<SharedState>, clock: &LeaseClock, meter: &Arc<Meter>) -> Subordinates {
    let followers = testing::followers(shared, clock);
    Subordinates {
        keyspace: testing::keyspace(shared, &followers, meter),
        lease_actor: followers.lease_actor,
        compactor: followers.compactor,
    }
}

impl Follower {
    fn of(log: &MemoryJournal) -> Self {
        let shared = SharedState::new(State::default(), log.reader());
        let (clock, keyspace) = (LeaseClock::fresh(), Meter::new("keyspace"));
        let leadership = Leadership {
            log: MemoryCluster::new().member(1),
            members: Arc::new(Puppets(vec![])),
            promises: Arc::new(Promises::forgetful()),
            claim_again: Arc::default(),
            subordinates: subordinates(&shared, &clock, &keyspace),
            shared,
            clock,
            role: watch::channel(Role::Waiting).0,
            start_term: Box::new(|_, _| unreachable!("it never leads")),
            value_cache_bytes: 1 << 20,
            meter: Arc::default(),
            progress: Progress::default(),
            room: Arc::new(Semaphore::new(BATCHES_UNDER_WAY as usize)),
        };
        Self { leadership, keyspace }
    }

    /// Follows until `enough` is over, and gives up at that very point.
    async fn follow_until(&mut self, leader: &Puppet, enough: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            failure = self.leadership.follow_stream(leader) => panic!("{failure}"),
            () = enough => {}
        }
    }
}

fn put(number: i64) -> Effect {
    Effect::Key(Event {
        key: Bytes::from(format!("key-{number}")),
        value: Bytes::from_static(b"value"),
        version: Version {
            position: Position(number),
            mod_revision: Revision(number + 1),
            create_revision: Revision(number + 1),
            version: 1,
            lease: LeaseId::NONE,
        },
    })
}

fn batch(sequence: u64, number: i64) -> Followed {
    Followed::Batch {
        sequence,
        effects: Arc::new(vec![put(number)]),
        lease_clock_ms: 0,
        tally: Tally::default(),
    }
}

/// The leader stands at this batch and revision, with a lease for each of these numbers.
fn standing(sequence: u64, revision: i64, leases: impl IntoIterator<Item = i64>) -> Followed {
    let lease = |id| Lease {
        id: LeaseId(id),
        ttl: 60,
        deadline_ms: 0,
    };
    Followed::Reconciled(Standing {
        at: Progress {
            epoch: EPOCH,
            sequence,
            revision: Revision(revision),
            ..Progress::default()
        },
        compact_revision: Revision::NEVER_COMPACTED,
        leases: leases.into_iter().map(lease).collect(),
        alarms: Vec::new(),
        lease_clock_ms: 0,
    })
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_batch_that_waits_for_room_is_not_counted() {
    let test = async {
        let (mut follower, leader) = (Follower::of(&MemoryJournal::new()), Puppet::new().0);
        let (room, shared) = (
            Arc::clone(&follower.leadership.room),
            Arc::clone(&follower.leadership.shared),
        );
        let mut taken = None;
        let stuck = async {
            until(|| leader.is_followed()).await;
            for followed in [standing(7, 1, []), Followed::Continued, batch(8, 1)] {
                leader.say(followed);
            }
            until(|| shared.revision() == Revision(2)).await;
            taken = room.acquire_many(BATCHES_UNDER_WAY).await.ok();
            leader.say(batch(9, 2));
            for _ in 0..100 {
                yield_now().await;
            }
        };
        follower.follow_until(&leader, stuck).await;
        drop(taken);
        assert_eq!(
            follower.leadership.progress.sequence, 8,
            "what it has, not what it was told"
        );
        let again = async {
            until(|| leader.followed_from().sequence == 8).await;
            for followed in [Followed::Continued, batch(9, 2), batch(10, 3)] {
                leader.say(followed);
            }
            until(|| shared.revision() == Revision(4)).await;
        };
        follower.follow_until(&leader, again).await;
        assert_eq!(
            follower.leadership.shared.read(|state| state.index().versions()),
            3
        );
    };
    LocalSet::new().run_until(test).await;
}

/// Follows until something is before the keyspace that it has not begun with, and gives up then.
async fn give_up_before_the_keyspace(follower: &mut Follower, leader: &Puppet, said: Followed) {
    let meter = Arc::clone(&follower.keyspace);
    let handed_over = async {
        until(|| leader.is_followed()).await;
        leader.say(said);
        until(|| meter.report().depth > 0).await;
    };
    follower.follow_until(leader, handed_over).await;
    assert_eq!(
        follower.keyspace.report().depth,
        1,
        "given up too late for this test"
    );
    leader.forget_follower();
}

#[tokio::test]
async fn a_rebuild_that_was_given_up_counts_for_whoever_is_followed_next() {
    let test = async {
        let mut log = MemoryJournal::new();
        log.append(&[put(1), put(2), put(3)]).expect("a log in memory");
        let (mut follower, leader) = (Follower::of(&log), Puppet::new().0);
        give_up_before_the_keyspace(&mut follower, &leader, Followed::TooFarBehind).await;
        let asked = until(|| leader.is_followed());
        follower.follow_until(&leader, asked).await;
        assert_eq!(
            leader.followed_from().revision,
            Revision(4),
            "it would be told again what the replica had"
        );
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_reconciliation_that_was_given_up_is_over_before_the_next_role() {
    let test = async {
        let (mut follower, leader) = (Follower::of(&MemoryJournal::new()), Puppet::new().0);
        give_up_before_the_keyspace(&mut follower, &leader, standing(7, 1, [1, 2])).await;
        follower.leadership.all_applied().await;
        let leases = follower.leadership.shared.read(|state| state.leases().len());
        assert_eq!(leases, 2);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_batch_that_does_not_follow_on_sends_it_back_to_the_beginning() {
    let test = async {
        let (mut follower, leader) = (Follower::of(&MemoryJournal::new()), Puppet::new().0);
        let play = async {
            until(|| leader.is_followed()).await;
            for followed in [standing(7, 1, []), Followed::Continued, batch(9, 1)] {
                leader.say(followed);
            }
        };
        let (failure, ()) = tokio::join!(follower.leadership.follow_stream(leader.as_ref()), play);
        assert_eq!(failure.to_string(), "batch 9 came after batch 8");
        assert_eq!(follower.leadership.progress, Progress::default());
        assert_eq!(follower.leadership.shared.revision(), Revision(1));
    };
    LocalSet::new().run_until(test).await;
}
