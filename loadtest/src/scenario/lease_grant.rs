//! Grants of leases, of an hour each: they outlive the run.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse};

use crate::client::wire::{decode, frame};
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// Seconds of every lease that is not meant to expire.
const TIME_TO_LIVE: i64 = 3600;

/// The scenario.
pub(crate) struct LeaseGrant;

impl Scenario for LeaseGrant {
    type Worker = Granter;

    async fn prepare(&mut self, _connection: &Connection) -> Result<()> {
        Ok(())
    }

    async fn worker(&self, _index: usize, connections: &[Connection]) -> Result<Granter> {
        Granter::new(&connections[0])
    }
}

/// One client.
pub(crate) struct Granter {
    route: Route,
    request: Bytes,
    ttl: i64,
}

impl Granter {
    /// A client that lets the server choose the ids.
    pub(crate) fn new(connection: &Connection) -> Result<Self> {
        Self::living(connection, TIME_TO_LIVE)
    }

    /// The same with leases that live so many seconds.
    pub(crate) fn living(connection: &Connection, ttl: i64) -> Result<Self> {
        Ok(Self {
            route: connection.route("/etcdserverpb.Lease/LeaseGrant")?,
            request: frame(&LeaseGrantRequest { ttl, id: 0 }),
            ttl,
        })
    }

    /// Grants a lease and returns its id.
    pub(crate) async fn grant(&mut self) -> Result<i64, CallError> {
        let answer: LeaseGrantResponse = decode(self.route.call(self.request.clone()).await?)?;
        if answer.id == 0 || answer.ttl < self.ttl {
            return Err(CallError::Wrong(format!(
                "a grant of {} s with id {}",
                answer.ttl, answer.id
            )));
        }
        Ok(answer.id)
    }
}

impl Worker for Granter {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        self.grant().await.map(|_| Outcome::Done("grant"))
    }
}
