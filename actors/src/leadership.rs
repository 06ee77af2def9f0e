//! Leadership: what this member is, one thing after the other, for as long as it runs.
//!
//! ```text
//!            nobody leads             another member leads
//! Waiting <---------------- Leading <----------------------> Following
//!    |                         ^                                 ^
//!    '-- this member leads: claim, catch up, promises -----------'
//! ```
//!
//! Who leads is Dqlite's decision; whether that member may write is the log's. A member that is to lead
//! claims the log under a new epoch, so nobody else can append any more; brings its state to the log's end,
//! where it finds what became of batches nobody could tell of; has a majority of the voters promise
//! themselves to the epoch, so that no earlier leader can confirm a read any more; and only then decides
//! anything. When its office is over it refuses what it has not handed to the log, and waits for what it has.

mod catching_up;
mod following;
mod leadership_meter;
mod leading;

use std::sync::Arc;
use std::time::Duration;

use journal::SharedLog;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::sleep;

use crate::clock::LeaseClock;
use crate::cluster::{Epoch, Members, Progress, Promises, Role};
use crate::compactor::Compactor;
use crate::keyspace::Keyspace;
use crate::lease_actor::LeaseActor;
use crate::mailbox::Mailbox;
use crate::shared_state::SharedState;
use crate::term::{Term, TermStarter};

pub(crate) use catching_up::build_state;
pub(crate) use leadership_meter::LeadershipMeter;
pub use leadership_meter::LeadershipReport;

/// How long a member that failed to lead or to follow waits before it tries again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Batches that the keyspace may have before it at once.
pub(crate) const BATCHES_UNDER_WAY: u32 = 64;

/// Those who must know when this member begins and ends to lead.
#[derive(Clone)]
pub(crate) struct Subordinates {
    pub(crate) keyspace: Mailbox<Keyspace>,
    pub(crate) lease_actor: Mailbox<LeaseActor>,
    pub(crate) compactor: Mailbox<Compactor>,
}

/// The sequence of roles of one member.
pub(crate) struct Leadership {
    pub(crate) log: Arc<dyn SharedLog>,
    pub(crate) members: Arc<dyn Members>,
    pub(crate) promises: Arc<Promises>,
    /// Asked for when the log is to be claimed anew.
    pub(crate) claim_again: Arc<Notify>,
    pub(crate) shared: Arc<SharedState>,
    pub(crate) clock: LeaseClock,
    pub(crate) role: watch::Sender<Role>,
    pub(crate) subordinates: Subordinates,
    pub(crate) start_term: TermStarter,
    pub(crate) value_cache_bytes: usize,
    pub(crate) meter: Arc<LeadershipMeter>,
    /// How far this member has followed a leader.
    pub(crate) progress: Progress,
    /// Room for batches before the keyspace.
    pub(crate) room: Arc<Semaphore>,
}

/// Why a role ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Somebody else leads now, or nobody, or this member again.
    LeaderChanged,
    /// It did not work; it is tried again unless somebody else leads by then.
    Failed,
    /// The log is to be claimed again.
    ClaimAgain,
    /// The server is stopping.
    Stopping,
}

impl Leadership {
    /// Plays one role after another until `stopping` says true.
    pub(crate) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut leader = self.members.leader();
        loop {
            let seen = *leader.borrow_and_update();
            self.meter.sees(seen);
            // Known before a leader has said where it stands, also after a restart: clients see it.
            self.meter.takes_part_in(self.promises.highest());
            let ended = match seen {
                Some(member) if member == self.members.me() => self.lead(&mut leader, &mut stopping).await,
                Some(member) => self.follow(member, &mut leader, &mut stopping).await,
                None => self.wait(&mut leader, &mut stopping).await,
            };
            match ended {
                Ended::LeaderChanged | Ended::ClaimAgain => {}
                Ended::Failed => sleep(AGAIN_AFTER).await,
                Ended::Stopping => return,
            }
        }
    }

    /// Nobody leads: requests wait.
    async fn wait(
        &self,
        leader: &mut watch::Receiver<Option<u64>>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Ended {
        self.plays(Role::Waiting);
        tokio::select! {
            () = left(leader, None) => Ended::LeaderChanged,
            () = stops(stopping) => Ended::Stopping,
        }
    }

    fn plays(&self, role: Role) {
        self.meter.plays(&role);
        self.role.send_replace(role);
    }

    /// Leads until another member does.
    async fn lead(
        &mut self,
        leader: &mut watch::Receiver<Option<u64>>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Ended {
        self.plays(Role::Waiting);
        let me = Some(self.members.me());
        let taken_over = tokio::select! {
            taken_over = self.take_over() => taken_over,
            () = left(leader, me) => return Ended::LeaderChanged,
            () = stops(stopping) => return Ended::Stopping,
        };
        let mut term = match taken_over {
            Ok(term) => term,
            Err(error) => {
                error.tell();
                return Ended::Failed;
            }
        };
        let ended = self.stay_in_office(&mut term, leader, stopping).await;
        let in_order = matches!(ended, Ended::Stopping | Ended::ClaimAgain);
        self.leave_office(term, in_order).await;
        ended
    }

    async fn stay_in_office(
        &self,
        term: &mut Term,
        leader: &mut watch::Receiver<Option<u64>>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Ended {
        let mut promised = self.promises.subscribe();
        let epoch = term.epoch();
        let overtaken = promised.wait_for(|highest: &Epoch| *highest > epoch);
        tokio::select! {
            () = term.lost() => Ended::Failed,
            _ = overtaken => Ended::Failed,
            () = self.claim_again.notified() => Ended::ClaimAgain,
            () = left(leader, Some(self.members.me())) => Ended::LeaderChanged,
            () = stops(stopping) => Ended::Stopping,
        }
    }
}

/// Waits until the leader is another one than `known`.
async fn left(leader: &mut watch::Receiver<Option<u64>>, known: Option<u64>) {
    if leader.wait_for(|leader| *leader != known).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn stops(stopping: &mut watch::Receiver<bool>) {
    let _gone = stopping.wait_for(|stopping| *stopping).await;
}
