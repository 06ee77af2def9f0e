//! The other members of this server's cluster, if it has any: what the front door asks of them in more than one place.

#[cfg(feature = "dqlite")]
use crate::cluster::ClusterChanges;

/// The members of a cluster of several, or none where this server is the only one there can be. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Company {
    #[cfg(feature = "dqlite")]
    changes: Option<ClusterChanges>,
}

impl Company {
    /// The company of a member of several, if this server is one.
    #[cfg(feature = "dqlite")]
    pub(crate) fn of(changes: Option<ClusterChanges>) -> Self {
        Self { changes }
    }

    /// Where the members are listed and changed.
    #[cfg(feature = "dqlite")]
    pub(crate) fn changes(&self) -> Option<&ClusterChanges> {
        self.changes.as_ref()
    }

    /// Whether this member has no vote. A server that is alone has the only one.
    pub(crate) async fn is_learner(&self) -> bool {
        #[cfg(feature = "dqlite")]
        if let Some(changes) = &self.changes {
            return changes.is_learner().await;
        }
        false
    }
}
