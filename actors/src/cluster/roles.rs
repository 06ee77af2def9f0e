//! The part that this member plays, for everybody who must know where a request goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

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
        self.role.borrow().clone()
    }

    /// The role once somebody leads.
    ///
    /// # Errors
    /// [`RequestError::TimedOut`] when nobody does within the patience.
    pub(crate) async fn settled(&self) -> Result<Role, RequestError> {
        self.wait_for(|role| !matches!(role, Role::Waiting)).await
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

    /// Waits until the role is another one than it is now, at most this long.
    pub(crate) async fn changed_within(&self, limit: Duration) {
        let mut role = self.role.clone();
        role.mark_unchanged();
        let _unchanged = tokio::time::timeout(limit, role.changed()).await;
    }

    /// Waits until there has been no leader for longer than streams that demand one put up with.
    pub(crate) async fn leader_lost(&self) {
        let mut role = self.role.clone();
        while role.wait_for(|role| matches!(role, Role::Waiting)).await.is_ok() {
            let settled = role.wait_for(|role| !matches!(role, Role::Waiting));
            if tokio::time::timeout(self.patience.leader, settled).await.is_err() {
                return;
            }
        }
        // Nobody plays any role any more: a member that is alone leads to the end.
        std::future::pending::<()>().await;
    }

    async fn wait_for(&self, wanted: impl FnMut(&Role) -> bool) -> Result<Role, RequestError> {
        let mut role = self.role.clone();
        let waited = tokio::time::timeout(self.patience.request, role.wait_for(wanted)).await;
        match waited {
            Ok(Ok(role)) => Ok(role.clone()),
            Ok(Err(_)) => Err(RequestError::Stopped),
            Err(_) => Err(RequestError::TimedOut),
        }
    }
}
