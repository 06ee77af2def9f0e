//! What a client asked for, in the words of etcd's API.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A key or a value. Chaos traffic writes text; bytes that are no text are taken down as something that no client
/// writes.
pub type Text = Arc<str>;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A request of the services KV and Lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Reads.
    Range(Range),
    /// Writes one key.
    Put(Put),
    /// Deletes keys.
    DeleteRange(DeleteRange),
    /// Compares, then runs one of two lists.
    Txn(Txn),
    /// Makes a lease.
    LeaseGrant {
        /// Its id, never 0: the server's own choice could not be told apart after a call without an answer.
        id: i64,
        /// Seconds to live.
        ttl: i64,
    },
    /// Ends a lease and deletes its keys.
    LeaseRevoke {
        /// Its id.
        id: i64,
    },
    /// Forgets history.
    Compact {
        /// Oldest revision that stays readable.
        revision: i64,
    },
}

/// A read of one key or a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Range {
    /// First key.
    pub key: Text,
    /// End of the range under etcd's rules: empty for one key, a zero byte for everything from `key` on.
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Text,
    /// Revision to read at; 0 for the newest.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
    /// Most keys to return; 0 for all.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: i64,
    /// May be answered by a member that is behind.
    #[serde(skip_serializing_if = "is_default")]
    pub serializable: bool,
    /// Without values.
    #[serde(skip_serializing_if = "is_default")]
    pub keys_only: bool,
    /// Without keys.
    #[serde(skip_serializing_if = "is_default")]
    pub count_only: bool,
    /// Asked as `RangeStream`; the answer is all pieces merged.
    #[serde(skip_serializing_if = "is_default")]
    pub streamed: bool,
}

/// A write of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Put {
    /// The key.
    pub key: Text,
    /// Its new value.
    pub value: Text,
    /// The lease to attach it to; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub lease: i64,
    /// Asks for the pair before.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
}

/// A deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct DeleteRange {
    /// First key.
    pub key: Text,
    /// End of the range, under the rules of [`Range::range_end`].
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Text,
    /// Asks for the pairs before.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
}

/// A transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Txn {
    /// Conditions; all must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compare: Vec<Compare>,
    /// Runs if they do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<Operation>,
    /// Runs if they do not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failure: Vec<Operation>,
}

/// One condition on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Compare {
    /// The key.
    pub key: Text,
    /// The relation between what the key has and the operand.
    pub result: Relation,
    /// What is compared, and with what.
    pub target: Target,
}

/// A relation between what a key has and an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Relation {
    /// The same.
    Equal,
    /// The key has more.
    Greater,
    /// The key has less.
    Less,
    /// Different.
    NotEqual,
}

/// What of a key is compared, with the operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// Puts since creation.
    Version(i64),
    /// Revision of creation.
    CreateRevision(i64),
    /// Revision of the newest change.
    ModRevision(i64),
    /// The value.
    Value(Text),
    /// The lease.
    Lease(i64),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Reads.
    Range(Range),
    /// Writes one key.
    Put(Put),
    /// Deletes keys.
    DeleteRange(DeleteRange),
}

impl Request {
    /// Whether the answer depends only on the moment at which the cluster as a whole stands: false for reads
    /// that a member may answer alone.
    #[must_use]
    pub fn is_linearizable(&self) -> bool {
        match self {
            Self::Range(range) => !range.serializable,
            _ => true,
        }
    }

    /// Whether it can change anything.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::Range(_) => false,
            Self::Txn(txn) => {
                let mut all = txn.success.iter().chain(&txn.failure);
                all.any(|operation| !matches!(operation, Operation::Range(_)))
            }
            _ => true,
        }
    }

    /// The lease that is named, if one is.
    pub fn leases(&self) -> impl Iterator<Item = i64> + '_ {
        let (own, branches) = match self {
            Self::LeaseGrant { id, .. } | Self::LeaseRevoke { id } => (*id, None),
            Self::Put(put) => (put.lease, None),
            Self::Txn(txn) => (0, Some(txn.success.iter().chain(&txn.failure))),
            Self::Range(_) | Self::DeleteRange(_) | Self::Compact { .. } => (0, None),
        };
        let put = branches
            .into_iter()
            .flatten()
            .filter_map(|operation| match operation {
                Operation::Put(put) => Some(put.lease),
                Operation::Range(_) | Operation::DeleteRange(_) => None,
            });
        std::iter::once(own).chain(put).filter(|lease| *lease != 0)
    }

    /// What it is called in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Range(range) if range.streamed => "RangeStream",
            Self::Range(_) => "Range",
            Self::Put(_) => "Put",
            Self::DeleteRange(_) => "DeleteRange",
            Self::Txn(_) => "Txn",
            Self::LeaseGrant { .. } => "LeaseGrant",
            Self::LeaseRevoke { .. } => "LeaseRevoke",
            Self::Compact { .. } => "Compact",
        }
    }
}

/// Whether a key lies in the range from `start` to `end`, under etcd's rules for `range_end`.
#[must_use]
pub fn in_range(key: &str, start: &str, end: &str) -> bool {
    match end {
        "" => key == start,
        "\0" => key >= start,
        _ => key >= start && key < end,
    }
}

/// The end of the range of all keys that begin with `prefix`.
///
/// # Panics
///
/// If the prefix is empty or does not end in ASCII.
#[must_use]
pub fn prefix_end(prefix: &str) -> Text {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix is not empty") += 1;
    String::from_utf8(end)
        .expect("a prefix ends in ASCII below 0x7f")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_as_etcd_says() {
        assert!(in_range("b", "b", "") && !in_range("ba", "b", ""));
        assert!(in_range("ba", "b", "\0") && !in_range("a", "b", "\0"));
        assert!(in_range("b/1", "b/", &prefix_end("b/")) && !in_range("b0", "b/", &prefix_end("b/")));
    }

    #[test]
    fn leases_are_found_wherever_they_are_named() {
        let put = |lease| Put {
            lease,
            ..Put::default()
        };
        let txn = Txn {
            success: vec![Operation::Put(put(7)), Operation::Put(put(0))],
            failure: vec![Operation::Put(put(8))],
            ..Txn::default()
        };
        assert_eq!(Request::Txn(txn).leases().collect::<Vec<_>>(), [7, 8]);
        assert_eq!(Request::Put(put(9)).leases().collect::<Vec<_>>(), [9]);
        assert_eq!(Request::Put(put(0)).leases().count(), 0);
    }
}
