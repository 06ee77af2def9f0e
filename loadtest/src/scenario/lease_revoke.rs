//! Revocation of leases that hold no keys.

use std::sync::Mutex;

use anyhow::Result;
use proto::etcdserverpb::LeaseRevokeRequest;
use tokio::task::JoinSet;

use super::lease_grant::Granter;
use crate::cli::LoadArguments;
use crate::client::wire::frame;
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// Grants in flight while preparing.
const LANES: usize = 16;

/// The scenario.
pub(crate) struct LeaseRevoke {
    number: usize,
    clients: usize,
    /// The leases that no client has yet, since each can be revoked once.
    leases: Mutex<Vec<i64>>,
}

impl LeaseRevoke {
    /// Revokes as many leases as other scenarios have keys.
    pub(crate) fn new(load: &LoadArguments) -> Self {
        Self {
            number: load.keys,
            clients: load.clients,
            leases: Mutex::new(Vec::new()),
        }
    }
}

impl Scenario for LeaseRevoke {
    type Worker = Revoker;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let granter = Granter::new(connection)?;
            lanes.spawn(grant_many(granter, (lane..self.number).step_by(LANES).len()));
        }
        while let Some(leases) = lanes.join_next().await {
            self.leases.get_mut().expect("not shared yet").extend(leases??);
        }
        Ok(())
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Revoker> {
        let route = connections[0].route("/etcdserverpb.Lease/LeaseRevoke")?;
        let mut leases = self.leases.lock().expect("no client panics");
        let share = (index..self.number).step_by(self.clients).len().min(leases.len());
        let left = leases.len() - share;
        Ok(Revoker {
            route,
            leases: leases.split_off(left),
        })
    }
}

async fn grant_many(mut granter: Granter, number: usize) -> Result<Vec<i64>, CallError> {
    let mut leases = Vec::with_capacity(number);
    for _ in 0..number {
        leases.push(granter.grant().await?);
    }
    Ok(leases)
}

/// One client with the leases that it has still to revoke.
pub(crate) struct Revoker {
    route: Route,
    leases: Vec<i64>,
}

impl Worker for Revoker {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let Some(id) = self.leases.pop() else {
            return Ok(Outcome::Exhausted);
        };
        self.route.call(frame(&LeaseRevokeRequest { id })).await?;
        Ok(Outcome::Done("revoke"))
    }
}
