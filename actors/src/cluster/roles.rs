//! The part that this member plays, for everybody who must know where a request goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::time::timeout;

use super::messages::Epoch;
use super::peers::Peer;
use crate::errors::RequestError;
use crate::mailbox::Mailbox;
use crate::revision_allocator::RevisionAllocator;

/// What this member is at one moment.
#[derive(Clone)]
pub(crate) enum Role {
    /// There is no leader, or this member is about to be it. Requests wait.
    Waiting,
    /// This member leads: it decides.
    Leading(Office),
    /// Another member leads: what changes the store is forwarded to it.
    Following {
        /// The leader.
        leader: u64,
        /// The way to it.
        peer: Arc<dyn Peer>,
    },
}

impl Role {
    /// Whether the same member leads, and if it is this one, under the same epoch.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Waiting, Self::Waiting) => true,
            (Self::Leading(left), Self::Leading(right)) => left.epoch == right.epoch,
            (Self::Following { leader: left, .. }, Self::Following { leader: right, .. }) => left == right,
            _ => false,
        }
    }
}

/// One leadership of this member, while it lasts.
#[derive(Clone)]
pub(crate) struct Office {
    /// The epoch under which this member appends.
    pub(crate) epoch: Epoch,
    /// Where commands are decided.
    pub(crate) allocator: Mailbox<RevisionAllocator>,
}

/// How long what is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a request waits for a leader.
    pub request: Duration,
    /// How long there may be no leader before streams that demand one are ended: etcd's three election timeouts.
    pub leader: Duration,
}

/// Where the role is read. Clones read the same.
#[derive(Clone)]
pub(crate) struct Roles {
    role: watch::Receiver<Role>,
    patience: Patience,
}

impl Roles {
    /// Reads from here.
    pub(crate) fn new(role: watch::Receiver<Role>, patience: Patience) -> Self {
        Self { role, patience }
    }

    /// The role of a member that is alone and leads for life.
    pub(crate) fn alone(allocator: Mailbox<RevisionAllocator>) -> Self {
        let office = Office {
            epoch: Epoch(1),
            allocator,
        };
        let patience = Patience {
            request: Duration::ZERO,
            leader: Duration::MAX,
        };
        Self::new(watch::channel(Role::Leading(office)).1, patience)
    }

    /// How long a request waits for a leader.
    pub(crate) fn patience(&self) -> Duration {
        self.patience.request
    }

    /// The role of this moment.
    pub(crate) fn now(&self) -> Role {
        self.look().clone()
    }

    /// The role of this moment, which cannot change while it is looked at.
    pub(crate) fn look(&self) -> watch::Ref<'_, Role> {
        self.role.borrow()
    }

    /// The role once somebody leads.
    ///
    /// # Errors
    /// [`RequestError::TimedOut`] when nobody does within the patience.
    pub(crate) async fn settled(&self) -> Result<Role, RequestError> {
        let mut role = self.role.clone();
        match timeout(self.patience.request, role.wait_for(is_settled)).await {
            Ok(Ok(role)) => Ok(role.clone()),
            Ok(Err(_)) => Err(RequestError::Stopped),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// The office once this member leads.
    ///
    /// # Errors
    /// [`RequestError::NotLeader`] when another member does, [`RequestError::TimedOut`] when nobody does within
    /// the patience.
    pub(crate) async fn office(&self) -> Result<Office, RequestError> {
        match self.settled().await? {
            Role::Leading(office) => Ok(office),
            _ => Err(RequestError::NotLeader),
        }
    }

    /// Waits until somebody leads, at most this long. A leader that came a moment ago is not missed.
    pub(crate) async fn led_within(&self, limit: Duration) {
        let mut role = self.role.clone();
        let led = async {
            let led = role.wait_for(is_settled).await.map(drop);
            lasting(led).await;
        };
        let _nobody = timeout(limit, led).await;
    }

    /// Waits until the role is another one than it is now, at most this long.
    pub(crate) async fn changed_within(&self, limit: Duration) {
        let now = self.now();
        let _unchanged = timeout(limit, self.other_than(&now)).await;
    }

    /// Waits until the role is another one than this.
    pub(crate) async fn other_than(&self, known: &Role) {
        let mut role = self.role.clone();
        let changed = role.wait_for(|role| !role.is_same(known)).await.map(drop);
        lasting(changed).await;
    }

    /// Waits until there has been no leader for longer than streams that demand one put up with.
    pub(crate) async fn leader_lost(&self) {
        let mut role = self.role.clone();
        loop {
            let lost = role.wait_for(|role| !is_settled(role)).await.map(drop);
            lasting(lost).await;
            let found = async { role.wait_for(is_settled).await.map(drop) };
            match timeout(self.patience.leader, found).await {
                Ok(found) => lasting(found).await,
                Err(_) => return,
            }
        }
    }
}

fn is_settled(role: &Role) -> bool {
    !matches!(role, Role::Waiting)
}

/// What was waited for, unless nobody plays any role any more: then nothing is left to be waited for, and
/// whoever waits goes with the pipeline. A member that is alone leads to the end.
async fn lasting(waited: Result<(), RecvError>) {
    if waited.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::cluster::testing::Puppet;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn following() -> Role {
        Role::Following {
            leader: 2,
            peer: Puppet::new().0,
        }
    }

    fn waiting() -> (watch::Sender<Role>, Roles) {
        let (role, seen) = watch::channel(Role::Waiting);
        let patience = Patience {
            request: PATIENCE,
            leader: PATIENCE,
        };
        (role, Roles::new(seen, patience))
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_came_before_anybody_waited_is_not_missed() {
        let (role, roles) = waiting();
        role.send_replace(following());
        let begun = Instant::now();
        roles.led_within(PATIENCE).await;
        assert!(roles.settled().await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_waits_as_long_as_agreed() {
        let (role, roles) = waiting();
        let begun = Instant::now();
        roles.led_within(PATIENCE).await;
        assert_eq!(begun.elapsed(), PATIENCE);
        let outcome = roles.settled().await;
        assert_eq!(outcome.err(), Some(RequestError::TimedOut));
        assert_eq!(begun.elapsed(), PATIENCE * 2);
        drop(role);
    }

    #[tokio::test(start_paused = true)]
    async fn when_nobody_plays_a_role_any_more_no_wait_is_busy() {
        let (role, roles) = waiting();
        drop(role);
        let begun = Instant::now();
        roles.led_within(PATIENCE).await;
        roles.changed_within(PATIENCE).await;
        assert_eq!(begun.elapsed(), PATIENCE * 2);
        assert_eq!(roles.settled().await.err(), Some(RequestError::Stopped));
        let lost = timeout(PATIENCE * 2, roles.leader_lost()).await;
        assert!(lost.is_err(), "there will be no leader, and nobody to say so");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_is_lost_when_none_has_come_for_long_enough() {
        let (role, roles) = waiting();
        let changes = async {
            for _ in 0..3 {
                tokio::time::sleep(PATIENCE / 2).await;
                role.send_replace(following());
                tokio::time::sleep(PATIENCE / 2).await;
                role.send_replace(Role::Waiting);
            }
            std::future::pending::<()>().await;
        };
        let begun = Instant::now();
        tokio::select! {
            () = roles.leader_lost() => {}
            () = changes => {}
        }
        assert_eq!(begun.elapsed(), PATIENCE * 3 + PATIENCE);
    }
}
