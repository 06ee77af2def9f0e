//! Deletion of objects as kube-apiserver does it: on condition that the key is as it was read, and the key as it is if
//! not.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, RangeRequest, RequestOp, TxnRequest};

use super::ground::Ground;
use super::txn_create::{committed, unmodified_since};
use crate::client::{CallError, Connection, Route};
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct TxnDelete {
    ground: Ground,
    revisions: Vec<i64>,
}

impl TxnDelete {
    /// Deletes the ground's keys, each once.
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            ground,
            revisions: Vec::new(),
        }
    }
}

impl Scenario for TxnDelete {
    type Worker = Deleter;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.revisions = self.ground.prepare_known(connection).await?;
        Ok(())
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Deleter> {
        let key = |number: usize| (self.ground.names[number].clone(), self.revisions[number]);
        let share = self.ground.share(index).map(key).collect();
        Ok(Deleter {
            route: connections[0].route("/etcdserverpb.KV/Txn")?,
            share,
        })
    }
}

/// One client with the keys and revisions that it has still to delete.
pub(crate) struct Deleter {
    route: Route,
    share: Vec<(Bytes, i64)>,
}

impl Worker for Deleter {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        let Some((key, revision)) = self.share.pop() else {
            return Ok(Outcome::Exhausted);
        };
        delete(&mut self.route, &key, revision).await?;
        Ok(Outcome::Done("delete"))
    }
}

/// Deletes the key, which must be as it was at this revision.
pub(crate) async fn delete(route: &mut Route, key: &Bytes, revision: i64) -> Result<(), CallError> {
    let deletion = DeleteRangeRequest {
        key: key.clone(),
        ..Default::default()
    };
    let request = TxnRequest {
        compare: vec![unmodified_since(key, revision)],
        success: vec![RequestOp {
            request: Some(Request::RequestDeleteRange(deletion)),
        }],
        failure: vec![read_back(key)],
    };
    committed(route, &request).await.map(drop)
}

/// The operation that returns the key as it is.
pub(crate) fn read_back(key: &Bytes) -> RequestOp {
    RequestOp {
        request: Some(Request::RequestRange(RangeRequest {
            key: key.clone(),
            ..Default::default()
        })),
    }
}
