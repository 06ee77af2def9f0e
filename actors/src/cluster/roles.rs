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

/// Where the role is read. Clones read the same.
#[derive(Clone)]
pub(crate) struct Roles {
    role: watch::Receiver<Role>,
    patience: Duration,
}

impl Roles {
    /// Reads from here; whoever waits for a leader gives up after `patience`.
    pub(crate) fn new(role: watch::Receiver<Role>, patience: Duration) -> Self {
        Self { role, patience }
    }

    /// The role of a member that is alone and leads for life.
    pub(crate) fn alone(allocator: Mailbox<RevisionAllocator>) -> Self {
        let office = Office {
            epoch: Epoch(1),
            allocator,
        };
        Self::new(watch::channel(Role::Leading(office)).1, Duration::ZERO)
    }

    /// How long a request waits for a leader.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// The role of this moment.
    pub(crate) fn now(&self) -> Role {
        self.role.borrow().clone()
    }

    /// Looks at the role without holding on to it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Role) -> T) -> T {
        look(&self.role.borrow())
    }

    /// Whether this member leads.
    pub(crate) fn is_leading(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leading(_))
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

    async fn wait_for(&self, wanted: impl FnMut(&Role) -> bool) -> Result<Role, RequestError> {
        let mut role = self.role.clone();
        let waited = tokio::time::timeout(self.patience, role.wait_for(wanted)).await;
        match waited {
            Ok(Ok(role)) => Ok(role.clone()),
            Ok(Err(_)) => Err(RequestError::Stopped),
            Err(_) => Err(RequestError::TimedOut),
        }
    }
}
