//! Keep-alives: each client has one lease and one stream, and renews as soon as the last renewal is confirmed.

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};

use super::lease_grant::Granter;
use crate::client::wire::{decode, frame};
use crate::client::{CallError, Connection, Stream};
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct LeaseKeepalive;

impl Scenario for LeaseKeepalive {
    type Worker = Keeper;

    async fn prepare(&mut self, _connection: &Connection) -> Result<()> {
        Ok(())
    }

    async fn worker(&self, _index: usize, connections: &[Connection]) -> Result<Keeper> {
        let lease = Granter::new(&connections[0])?
            .grant()
            .await
            .context("no lease to keep alive")?;
        let stream = connections[0]
            .route("/etcdserverpb.Lease/LeaseKeepAlive")?
            .stream()
            .await?;
        Ok(Keeper {
            stream,
            request: frame(&LeaseKeepAliveRequest { id: lease }),
        })
    }
}

/// One client.
pub(crate) struct Keeper {
    stream: Stream,
    request: Bytes,
}

impl Worker for Keeper {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        self.stream.send(self.request.clone())?;
        let answer = self.stream.next().await?;
        let answer = answer.ok_or_else(|| CallError::Wrong("a keep-alive stream has ended".to_owned()))?;
        match decode::<LeaseKeepAliveResponse>(answer)?.ttl {
            1.. => Ok(Outcome::Done("keepalive")),
            ttl => Err(CallError::Wrong(format!("a lease was renewed to {ttl} s"))),
        }
    }
}
