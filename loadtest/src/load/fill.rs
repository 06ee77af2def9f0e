//! Brings keys into a server, quickly, before anything is measured.

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest, TxnResponse};
use tokio::task::JoinSet;

use crate::client::wire::{decode, frame};
use crate::client::{Connection, Route};
use crate::keys::KeyRange;

/// Transactions in flight.
const LANES: usize = 4;

/// Puts of one transaction: below the 128 that etcd allows.
const PUTS: usize = 100;

/// Bytes of one transaction: below the 1.5 MiB that etcd allows.
const BYTES: usize = 1 << 20;

/// Deletes everything in the range.
pub(crate) async fn empty(connection: &Connection, range: &KeyRange) -> Result<()> {
    let request = DeleteRangeRequest {
        key: range.start.clone(),
        range_end: range.end.clone(),
        ..Default::default()
    };
    connection
        .route("/etcdserverpb.KV/DeleteRange")?
        .call(frame(&request))
        .await?;
    Ok(())
}

/// Puts all names with the same value and returns the revision of each, in the order of the names.
pub(crate) async fn fill(connection: &Connection, names: &[Bytes], value: &Bytes) -> Result<Vec<i64>> {
    let size = names.first().map_or(1, |name| name.len() + value.len() + 16);
    let puts = (BYTES / size).clamp(1, PUTS);
    let route = connection.route("/etcdserverpb.KV/Txn")?;
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let chunks = names.chunks(puts).enumerate().skip(lane).step_by(LANES);
        let requests = chunks
            .map(|(number, chunk)| (number, put_all(chunk, value)))
            .collect();
        lanes.spawn(send_all(route.clone(), requests));
    }
    let mut revisions = vec![0; names.len()];
    while let Some(lane) = lanes.join_next().await {
        for (number, revision) in lane?? {
            revisions
                .chunks_mut(puts)
                .nth(number)
                .context("one chunk for each request")?
                .fill(revision);
        }
    }
    Ok(revisions)
}

fn put_all(names: &[Bytes], value: &Bytes) -> TxnRequest {
    let put = |name: &Bytes| PutRequest {
        key: name.clone(),
        value: value.clone(),
        ..Default::default()
    };
    let operation = |name| RequestOp {
        request: Some(Request::RequestPut(put(name))),
    };
    TxnRequest {
        success: names.iter().map(operation).collect(),
        ..Default::default()
    }
}

/// Sends the numbered transactions one after the other and returns the revision that each made.
async fn send_all(mut route: Route, requests: Vec<(usize, TxnRequest)>) -> Result<Vec<(usize, i64)>> {
    let mut revisions = Vec::with_capacity(requests.len());
    for (number, request) in requests {
        let answer: TxnResponse = decode(route.call(frame(&request)).await?)?;
        revisions.push((
            number,
            answer.header.context("an answer without a header")?.revision,
        ));
    }
    Ok(revisions)
}
