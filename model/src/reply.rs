//! What the store answers.

use bytes::Bytes;

use crate::{LeaseId, Position, Revision, Version};

/// The bytes of a value, or where the log keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The value itself.
    Resident(Bytes),
    /// The log row to read it from: it was superseded, or the memory budget pushed it out.
    Stored(Position),
}

/// A key with everything that etcd says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// Its value, empty where the query asked for keys only.
    pub value: Value,
    /// Its revisions, version and lease.
    pub version: Version,
}

/// The same where it lies, to be looked at and not to be kept.
#[derive(Clone, Copy, Debug)]
pub struct PairRef<'state> {
    /// The key.
    pub key: &'state Bytes,
    /// Its value; none if that is only in the log, in the row that the version names.
    pub value: Option<&'state Bytes>,
    /// Its revisions, version and lease.
    pub version: Version,
}

impl From<PairRef<'_>> for KeyValue {
    fn from(pair: PairRef<'_>) -> Self {
        let stored = Value::Stored(pair.version.position);
        Self {
            key: pair.key.clone(),
            value: pair.value.cloned().map_or(stored, Value::Resident),
            version: pair.version,
        }
    }
}

impl<'pair> From<&'pair KeyValue> for PairRef<'pair> {
    fn from(pair: &'pair KeyValue) -> Self {
        let value = match &pair.value {
            Value::Resident(value) => Some(value),
            Value::Stored(_) => None,
        };
        Self {
            key: &pair.key,
            value,
            version: pair.version,
        }
    }
}

/// The answer to a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeReply {
    /// The newest revision when the range was read, whatever revision it was read at.
    pub revision: Revision,
    /// The pairs.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut the result.
    pub more: bool,
    /// How many keys the range holds, limit and revision filters left aside.
    pub count: i64,
}

/// The answer to a put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutReply {
    /// The pair before, if asked for and there was one.
    pub prev_kv: Option<KeyValue>,
}

/// The answer to a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRangeReply {
    /// How many keys were deleted.
    pub deleted: i64,
    /// The pairs before, if asked for, in key order.
    pub prev_kvs: Vec<KeyValue>,
}

/// The answer to one operation of a transaction, with the revision its header carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationReply {
    /// To a range.
    Range(RangeReply),
    /// To a put, made at this revision.
    Put(Revision, PutReply),
    /// To a delete; the revision is the one the operation saw or made.
    DeleteRange(Revision, DeleteRangeReply),
    /// To a nested transaction.
    Txn(TxnReply),
}

/// The answer to a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnReply {
    /// Whether the conditions held.
    pub succeeded: bool,
    /// One answer for each operation of the branch that ran, in order.
    pub responses: Vec<OperationReply>,
}

/// The answer to a lease grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseGrantReply {
    /// The lease's identity.
    pub id: LeaseId,
    /// The granted time to live, seconds.
    pub ttl: i64,
}

/// The answer to a command, of the command's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a put.
    Put(PutReply),
    /// To a delete.
    DeleteRange(DeleteRangeReply),
    /// To a transaction.
    Txn(TxnReply),
    /// To a lease grant.
    LeaseGrant(LeaseGrantReply),
    /// To an alarm action: whether it changed anything.
    Alarm(bool),
    /// To a command that has nothing more to say than that it was done.
    Done,
}

impl Reply {
    /// Shows every pair in the answer, so that values can be filled in.
    pub fn for_each_pair(&mut self, see: &mut dyn FnMut(&mut KeyValue)) {
        match self {
            Self::Put(put) => put.prev_kv.iter_mut().for_each(see),
            Self::DeleteRange(delete) => delete.prev_kvs.iter_mut().for_each(see),
            Self::Txn(txn) => txn.for_each_pair(see),
            Self::LeaseGrant(_) | Self::Alarm(_) | Self::Done => {}
        }
    }
}

impl TxnReply {
    fn for_each_pair(&mut self, see: &mut dyn FnMut(&mut KeyValue)) {
        for response in &mut self.responses {
            match response {
                OperationReply::Range(range) => range.kvs.iter_mut().for_each(&mut *see),
                OperationReply::Put(_, put) => put.prev_kv.iter_mut().for_each(&mut *see),
                OperationReply::DeleteRange(_, delete) => delete.prev_kvs.iter_mut().for_each(&mut *see),
                OperationReply::Txn(inner) => inner.for_each_pair(see),
            }
        }
    }
}
