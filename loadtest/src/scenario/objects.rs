//! Brings keys into a server and out of it before anything is measured: many at once, or one object in a transaction on
//! servers that take nothing but what kube-apiserver sends, as kine and k8s-dqlite.

use anyhow::Result;
use bytes::Bytes;
use proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest};
use tokio::task::JoinSet;

use super::txn_create::{committed, put, unmodified_since};
use super::txn_delete::{delete, read_back};
use crate::client::wire::{decode, frame};
use crate::client::{CallError, Connection, Route};
use crate::keys::KeyRange;
use crate::load;

/// Transactions of one object that are in flight.
const LANES: usize = 16;

/// Objects that are listed at a time.
const PAGE: i64 = 500;

/// Deletes everything in the range.
pub(super) async fn empty(connection: &Connection, range: &KeyRange) -> Result<()> {
    match load::empty(connection, range).await {
        Err(error) if is_refused(&error) => empty_one_by_one(connection, range).await,
        outcome => outcome,
    }
}

/// Writes all names with the same value and returns the revision of each, in the order of the names.
pub(super) async fn fill(connection: &Connection, names: &[Bytes], value: &Bytes) -> Result<Vec<i64>> {
    match load::fill(connection, names, value).await {
        Err(error) if is_refused(&error) => fill_one_by_one(connection, names, value).await,
        outcome => outcome,
    }
}

/// Whether the server does not know what it was asked for. One that is in trouble says something else, and will do so again.
fn is_refused(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CallError::Status { .. }))
}

async fn empty_one_by_one(connection: &Connection, range: &KeyRange) -> Result<()> {
    let mut list = connection.route("/etcdserverpb.KV/Range")?;
    let mut transactions = connection.route("/etcdserverpb.KV/Txn")?;
    let page = RangeRequest {
        key: range.start.clone(),
        range_end: range.end.clone(),
        limit: PAGE,
        ..Default::default()
    };
    loop {
        let found: RangeResponse = decode(list.call(frame(&page)).await?)?;
        if found.kvs.is_empty() {
            return Ok(());
        }
        for object in found.kvs {
            delete(&mut transactions, &object.key, object.mod_revision).await?;
        }
    }
}

async fn fill_one_by_one(connection: &Connection, names: &[Bytes], value: &Bytes) -> Result<Vec<i64>> {
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let mut writer = Writer {
            reads: connection.route("/etcdserverpb.KV/Range")?,
            transactions: connection.route("/etcdserverpb.KV/Txn")?,
            value: value.clone(),
        };
        let numbered = names.iter().cloned().enumerate();
        let mine: Vec<_> = numbered.skip(lane).step_by(LANES).collect();
        lanes.spawn(async move { writer.write_all(mine).await });
    }
    let mut revisions = vec![0; names.len()];
    while let Some(lane) = lanes.join_next().await {
        for (number, revision) in lane?? {
            revisions[number] = revision;
        }
    }
    Ok(revisions)
}

/// Creates objects, and updates those that are there.
struct Writer {
    reads: Route,
    transactions: Route,
    value: Bytes,
}

impl Writer {
    async fn write_all(&mut self, names: Vec<(usize, Bytes)>) -> Result<Vec<(usize, i64)>> {
        let mut revisions = Vec::with_capacity(names.len());
        for (number, name) in names {
            revisions.push((number, self.write(&name).await?));
        }
        Ok(revisions)
    }

    async fn write(&mut self, name: &Bytes) -> Result<i64, CallError> {
        let read = RangeRequest {
            key: name.clone(),
            ..Default::default()
        };
        let found: RangeResponse = decode(self.reads.call(frame(&read)).await?)?;
        let there = found.kvs.first();
        let request = TxnRequest {
            compare: vec![unmodified_since(
                name,
                there.map_or(0, |object| object.mod_revision),
            )],
            success: vec![put(name, &self.value)],
            // As kube-apiserver does it: a creation asks for nothing if the object is there.
            failure: there.map(|_| read_back(name)).into_iter().collect(),
        };
        committed(&mut self.transactions, &request).await
    }
}
