//! Creation of objects as kube-apiserver does it: a put on condition that the key has never been modified.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, PutRequest, RequestOp, TxnRequest, TxnResponse};

use super::ground::Ground;
use crate::client::wire::{decode, frame};
use crate::client::{CallError, Connection, Route};
use crate::keys::Keys;
use crate::load::{Outcome, Scenario, Worker};

/// The scenario.
pub(crate) struct TxnCreate {
    ground: Ground,
}

impl TxnCreate {
    /// Creates objects beside the ground's keys.
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground }
    }
}

impl Scenario for TxnCreate {
    type Worker = Creator;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.ground.prepare(connection).await.map(drop)
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Creator> {
        Creator::new(&self.ground, index, &connections[0])
    }
}

/// One client.
pub(crate) struct Creator {
    route: Route,
    keys: Keys,
    value: Bytes,
    next: usize,
    step: usize,
}

impl Creator {
    /// A client that creates names which no other client creates.
    pub(crate) fn new(ground: &Ground, client: usize, connection: &Connection) -> Result<Self> {
        Ok(Self {
            route: connection.route("/etcdserverpb.KV/Txn")?,
            keys: ground.keys.clone(),
            value: ground.value.clone(),
            next: client,
            step: ground.load.clients,
        })
    }

    /// Creates the next object and returns its key and revision.
    pub(crate) async fn create(&mut self) -> Result<(Bytes, i64), CallError> {
        let key = self.keys.name("created", self.next);
        self.next += self.step;
        let request = TxnRequest {
            compare: vec![unmodified_since(&key, 0)],
            success: vec![put(&key, &self.value)],
            failure: Vec::new(),
        };
        let revision = committed(&mut self.route, &request).await?;
        Ok((key, revision))
    }
}

impl Worker for Creator {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        self.create().await.map(|_| Outcome::Done("create"))
    }
}

/// The condition that the key's newest change is of this revision; 0: that there is no such key.
pub(crate) fn unmodified_since(key: &Bytes, revision: i64) -> Compare {
    Compare {
        target: CompareTarget::Mod.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(revision)),
        ..Default::default()
    }
}

/// A put as an operation.
pub(crate) fn put(key: &Bytes, value: &Bytes) -> RequestOp {
    let put = PutRequest {
        key: key.clone(),
        value: value.clone(),
        ..Default::default()
    };
    RequestOp {
        request: Some(Request::RequestPut(put)),
    }
}

/// Sends a transaction whose condition must hold and returns its revision.
pub(crate) async fn committed(route: &mut Route, request: &TxnRequest) -> Result<i64, CallError> {
    let answer: TxnResponse = decode(route.call(frame(request)).await?)?;
    match answer {
        TxnResponse {
            succeeded: true,
            header: Some(header),
            ..
        } => Ok(header.revision),
        _ => Err(CallError::Wrong(
            "a transaction's condition does not hold".to_owned(),
        )),
    }
}
