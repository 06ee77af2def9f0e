//! Confirmations that the other members, played by the tests, give or do not give.

use model::State;
use tokio::sync::watch;
use tokio::task::{LocalSet, yield_now};

use super::*;
use crate::cluster::testing::{Puppet, Puppets, Question, Strings};
use crate::cluster::{AskOutcome, Patience, Promised};
use crate::testing;

const PATIENCE: Duration = Duration::from_secs(5);
const EPOCH: Epoch = Epoch(3);

/// A read index of member 1, and everything around it.
struct Stage {
    read_index: Mailbox<ReadIndex>,
    role: watch::Sender<Role>,
    shared: Arc<SharedState>,
    promises: Arc<Promises>,
    puppets: Vec<Arc<Puppet>>,
    strings: Vec<Strings>,
}

impl Stage {
    fn set() -> Self {
        let (puppets, strings): (Vec<_>, Vec<_>) = [Puppet::new(), Puppet::new()].into_iter().unzip();
        let shared = SharedState::new(State::default(), journal::MemoryJournal::new().reader());
        let (role, seen) = watch::channel(Role::Waiting);
        let patience = Patience {
            request: PATIENCE,
            leader: PATIENCE,
        };
        let promises = Arc::new(Promises::forgetful());
        let confirmer = Confirmer {
            shared: Arc::clone(&shared),
            roles: Roles::new(seen, patience),
            members: Arc::new(Puppets(puppets.clone())),
            promises: Arc::clone(&promises),
        };
        let meter = Meter::new("read_index");
        let address = ReadIndex::new(confirmer, Arc::clone(&meter)).start();
        Self {
            read_index: Mailbox::new(address, meter),
            role,
            shared,
            promises,
            puppets,
            strings,
        }
    }

    /// Member 1 leads from now on.
    fn lead(&self) {
        let claim = Claim {
            epoch: EPOCH,
            leader: 1,
            confirm: false,
        };
        self.promises.consider(claim).expect("without a disk");
        self.role.send_replace(Role::Leading(Office {
            epoch: EPOCH,
            allocator: testing::allocator(&self.shared),
        }));
    }

    /// Member 1 follows another one from now on.
    fn follow(&self, leader: u64) {
        let puppet = &self.puppets[usize::try_from(leader).expect("a small number") - 2];
        self.role.send_replace(Role::Following {
            leader,
            peer: Arc::clone(puppet) as Arc<_>,
        });
    }

    fn ask(&self) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.read_index.tell(Confirm { answer });
        answered
    }

    /// What members 2 and 3 are asked in the next round.
    async fn next_round(&mut self) -> Vec<Question<Claim, Promised>> {
        let mut round = Vec::new();
        for strings in &mut self.strings {
            round.push(strings.claimed.recv().await.expect("a question"));
        }
        round
    }
}

fn confirmed(revision: i64, office: Option<Epoch>) -> Outcome {
    Ok(Confirmation {
        revision: Revision(revision),
        office,
    })
}

fn set_revision(shared: &SharedState, revision: i64) {
    shared.write(|state| {
        state.apply(&model::Effect::Compacted(Revision(revision)));
    });
}

async fn on_stage(test: impl AsyncFnOnce(Stage)) {
    LocalSet::new()
        .run_until(async { test(Stage::set()).await })
        .await;
}

#[tokio::test(start_paused = true)]
async fn one_round_serves_all_who_waited_for_it_and_the_next_one_all_who_came_since() {
    on_stage(async |mut stage| {
        stage.lead();
        let first = stage.ask();
        let round = stage.next_round().await;
        let later = [stage.ask(), stage.ask(), stage.ask()];
        for _ in 0..100 {
            yield_now().await;
        }
        set_revision(&stage.shared, 9);
        for (claim, answer) in round {
            assert_eq!((claim.epoch, claim.confirm), (EPOCH, true));
            let _ = answer.send(Promised::Granted);
        }
        assert_eq!(
            first.await.unwrap(),
            confirmed(1, Some(EPOCH)),
            "what it was before it asked"
        );
        for (_, answer) in stage.next_round().await {
            let _ = answer.send(Promised::Granted);
        }
        for answer in later {
            assert_eq!(answer.await.unwrap(), confirmed(9, Some(EPOCH)));
        }
        assert!(
            stage.strings[0].claimed.try_recv().is_err(),
            "three rounds for two"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_of_two_others_is_enough() {
    on_stage(async |mut stage| {
        stage.lead();
        let waiting = stage.ask();
        let mut round = stage.next_round().await;
        let (_, answer) = round.pop().expect("member 3");
        let _ = answer.send(Promised::Granted);
        assert_eq!(waiting.await.unwrap(), confirmed(1, Some(EPOCH)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_was_overtaken_confirms_nothing() {
    on_stage(async |mut stage| {
        stage.lead();
        let begun = Instant::now();
        let mut waiting = stage.ask();
        let mut rounds = 0;
        let outcome = loop {
            tokio::select! {
                outcome = &mut waiting => break outcome.unwrap(),
                round = stage.next_round() => {
                    rounds += 1;
                    for (_, answer) in round {
                        let _ = answer.send(Promised::Refused { highest: Epoch(4) });
                    }
                }
            }
        };
        assert_eq!(outcome, Err(RequestError::NotLeader));
        assert!(begun.elapsed() >= PATIENCE && begun.elapsed() < PATIENCE + RETRY * 2);
        assert!(rounds > 10, "it asked {rounds} times");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn its_own_promise_to_another_one_counts_too() {
    on_stage(async |stage| {
        stage.lead();
        let claim = Claim {
            epoch: Epoch(4),
            leader: 2,
            confirm: false,
        };
        stage.promises.consider(claim).expect("without a disk");
        let outcome = stage.ask().await.unwrap();
        assert_eq!(outcome, Err(RequestError::NotLeader));
    })
    .await;
}

async fn asked_for_revision(strings: &mut Strings) -> oneshot::Sender<AskOutcome> {
    let (ask, answer) = strings.asked.recv().await.expect("a question");
    assert_eq!(ask, Ask::ReadRevision);
    answer
}

#[tokio::test(start_paused = true)]
async fn a_follower_asks_its_leader_once_for_all() {
    on_stage(async |mut stage| {
        stage.follow(2);
        let first = stage.ask();
        let answer = asked_for_revision(&mut stage.strings[0]).await;
        let later = [stage.ask(), stage.ask()];
        for _ in 0..100 {
            yield_now().await;
        }
        let _ = answer.send(Ok(Told::ReadRevision(Revision(7))));
        assert_eq!(first.await.unwrap(), confirmed(7, None));
        let answer = asked_for_revision(&mut stage.strings[0]).await;
        let _ = answer.send(Ok(Told::ReadRevision(Revision(8))));
        for waiting in later {
            assert_eq!(waiting.await.unwrap(), confirmed(8, None));
        }
        assert!(stage.strings[0].asked.try_recv().is_err(), "asked for nobody");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_says_nothing_is_not_waited_for_when_another_one_leads() {
    on_stage(async |mut stage| {
        let begun = Instant::now();
        stage.follow(2);
        let waiting = stage.ask();
        let _silent = asked_for_revision(&mut stage.strings[0]).await;
        stage.follow(3);
        let answer = asked_for_revision(&mut stage.strings[1]).await;
        let _ = answer.send(Ok(Told::ReadRevision(Revision(7))));
        assert_eq!(waiting.await.unwrap(), confirmed(7, None));
        assert!(begun.elapsed() <= RETRY, "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_nobody_leads_it_waits_and_then_says_so() {
    on_stage(async |mut stage| {
        let begun = Instant::now();
        assert_eq!(stage.ask().await.unwrap(), Err(RequestError::TimedOut));
        assert_eq!(begun.elapsed(), PATIENCE);
        let waiting = stage.ask();
        for _ in 0..100 {
            yield_now().await;
        }
        stage.follow(2);
        let answer = asked_for_revision(&mut stage.strings[0]).await;
        let _ = answer.send(Ok(Told::ReadRevision(Revision(7))));
        assert_eq!(waiting.await.unwrap(), confirmed(7, None));
    })
    .await;
}
