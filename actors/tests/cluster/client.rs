//! What a client does.

use actors::{Committed, RequestError, Store};
use bytes::Bytes;
use model::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, KeyRange, KeyValue, LeaseGrant, LeaseId,
    Operation, Put, RangeQuery, RangeReply, Reply, Txn, Value,
};
use tokio::task::JoinHandle;

pub type Outcome = Result<Committed, RequestError>;

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn put(key: &str, value: &str) -> Command {
    put_with(key, value, LeaseId::NONE)
}

pub fn put_with(key: &str, value: &str, lease: LeaseId) -> Command {
    Command::Put(Put {
        key: bytes(key),
        value: bytes(value),
        lease,
        ..Put::default()
    })
}

pub fn delete(key: &str) -> Command {
    Command::DeleteRange(DeleteRange {
        range: KeyRange::Single(bytes(key)),
        prev_kv: false,
    })
}

/// Puts a value if the key has another one, exactly this one.
pub fn swap(key: &str, from: &str, to: &str) -> Command {
    Command::Txn(Txn {
        compare: vec![Compare {
            range: KeyRange::Single(bytes(key)),
            target: CompareTarget::Value(bytes(from)),
            result: CompareResult::Equal,
        }],
        success: vec![Operation::Put(Put {
            key: bytes(key),
            value: bytes(to),
            ..Put::default()
        })],
        failure: vec![],
    })
}

/// A transaction that only reads.
pub fn look(key: &str) -> Command {
    Command::Txn(Txn {
        success: vec![Operation::Range(RangeQuery::new(KeyRange::Single(bytes(key))))],
        ..Txn::default()
    })
}

/// Grants a lease, as a front door does.
pub fn grant(store: &Store, id: i64, ttl: i64) -> Command {
    let id = LeaseId(id);
    Command::LeaseGrant(LeaseGrant {
        id,
        chosen: id,
        ttl,
        now_ms: store.lease_clock_ms(),
    })
}

/// Submits without waiting.
pub fn submit(store: &Store, command: Command) -> JoinHandle<Outcome> {
    let store = store.clone();
    tokio::spawn(async move { store.submit(command).await })
}

pub fn all() -> RangeQuery {
    RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")))
}

/// What this member shows of everything, without asking another one.
pub async fn pairs(store: &Store) -> RangeReply {
    store.range(all()).await.expect("a range")
}

/// What this member shows of one key, without asking another one.
pub async fn value(store: &Store, key: &str) -> Option<String> {
    let query = RangeQuery::new(KeyRange::Single(bytes(key)));
    let reply = store.range(query).await.expect("a range");
    reply.kvs.first().map(text)
}

/// What a linearizable read shows of one key.
pub async fn read(store: &Store, key: &str) -> Result<Option<String>, RequestError> {
    store.linearize().await?;
    Ok(value(store, key).await)
}

pub fn text(pair: &KeyValue) -> String {
    match &pair.value {
        Value::Resident(value) => String::from_utf8_lossy(value).into_owned(),
        Value::Stored(_) => panic!("a store's answers hold their values"),
    }
}

pub fn succeeded(committed: &Committed) -> bool {
    match &committed.reply {
        Reply::Txn(reply) => reply.succeeded,
        other => panic!("not a transaction's answer: {other:?}"),
    }
}
