//! What makes a pipeline one member of several.

use std::sync::Arc;
use std::time::Duration;

use journal::{Identity, SharedLog};

use crate::cluster::{Members, Promises};

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
    /// How long a request waits for a leader.
    pub patience: Duration,
}
