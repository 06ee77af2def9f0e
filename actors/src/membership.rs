//! What makes a pipeline one member of several.

use std::sync::Arc;

use journal::{Identity, SharedLog};
use tokio::sync::Notify;

use crate::cluster::{Members, Patience, Promises};

/// What a pipeline needs to know to be a member of a cluster.
#[derive(Clone)]
pub struct Membership {
    /// Who this member is, and of which cluster.
    pub identity: Identity,
    /// The log that the members share.
    pub log: Arc<dyn SharedLog>,
    /// The other members and who leads.
    pub members: Arc<dyn Members>,
    /// What this member promised to leaders.
    pub promises: Arc<Promises>,
    /// How long requests and streams wait for a leader.
    pub patience: Patience,
    /// Has this member, if it leads, claim the log again, under a new epoch.
    pub claim_again: Arc<Notify>,
}
