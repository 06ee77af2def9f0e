//! What a member knows of the others: all of them vote, and a test says who leads.

use std::sync::Arc;

use actors::{Members, Peer};
use tokio::sync::watch;

use crate::network::{Network, Way};

/// The members of the cluster.
pub const MEMBERS: [u64; 3] = [1, 2, 3];

/// The cluster as one member sees it.
pub struct View {
    me: u64,
    network: Arc<Network>,
    leader: watch::Sender<Option<u64>>,
}

impl View {
    /// A member that knows of no leader.
    pub fn new(me: u64, network: Arc<Network>) -> Arc<Self> {
        Arc::new(Self {
            me,
            network,
            leader: watch::channel(None).0,
        })
    }

    /// Tells this member who leads.
    pub fn sees(&self, leader: Option<u64>) {
        self.leader.send_replace(leader);
    }
}

impl Members for View {
    fn me(&self) -> u64 {
        self.me
    }

    fn voters(&self) -> Option<Vec<u64>> {
        Some(MEMBERS.to_vec())
    }

    fn peer(&self, member: u64) -> Option<Arc<dyn Peer>> {
        let other = MEMBERS.contains(&member) && member != self.me;
        other.then(|| Arc::new(Way::new(Arc::clone(&self.network), self.me, member)) as Arc<dyn Peer>)
    }

    fn leader(&self) -> watch::Receiver<Option<u64>> {
        self.leader.subscribe()
    }
}
