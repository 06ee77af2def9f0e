//! Requests of the KV service as commands and queries.

use bytes::Bytes;
use model::{
    Compare, CompareResult, CompareTarget, DeleteRange, KeyRange, LeaseId, Operation, Put, RangeQuery,
    Refusal, Revision, SortOrder, SortTarget, Txn,
};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;

/// A range with all its options.
///
/// # Errors
/// [`Refusal::InvalidSortOption`] for an order or a target that etcd does not know. An empty key comes before it.
pub(in crate::services) fn range_query(request: pb::RangeRequest) -> Result<RangeQuery, Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    Ok(RangeQuery {
        sort_order: sort_order(request.sort_order)?,
        sort_target: sort_target(request.sort_target)?,
        range: KeyRange::new(request.key, request.range_end),
        revision: Revision(request.revision),
        limit: request.limit,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: Revision(request.min_mod_revision),
        max_mod_revision: Revision(request.max_mod_revision),
        min_create_revision: Revision(request.min_create_revision),
        max_create_revision: Revision(request.max_create_revision),
    })
}

fn sort_order(wire: i32) -> Result<SortOrder, Refusal> {
    use pb::range_request::SortOrder as Wire;
    match Wire::try_from(wire) {
        Ok(Wire::None) => Ok(SortOrder::None),
        Ok(Wire::Ascend) => Ok(SortOrder::Ascending),
        Ok(Wire::Descend) => Ok(SortOrder::Descending),
        Err(_) => Err(Refusal::InvalidSortOption),
    }
}

fn sort_target(wire: i32) -> Result<SortTarget, Refusal> {
    use pb::range_request::SortTarget as Wire;
    match Wire::try_from(wire) {
        Ok(Wire::Key) => Ok(SortTarget::Key),
        Ok(Wire::Version) => Ok(SortTarget::Version),
        Ok(Wire::Create) => Ok(SortTarget::CreateRevision),
        Ok(Wire::Mod) => Ok(SortTarget::ModRevision),
        Ok(Wire::Value) => Ok(SortTarget::Value),
        Err(_) => Err(Refusal::InvalidSortOption),
    }
}

/// A put.
pub(in crate::services) fn put(request: pb::PutRequest) -> Put {
    Put {
        key: request.key,
        value: request.value,
        lease: LeaseId(request.lease),
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

/// A delete.
pub(in crate::services) fn delete_range(request: pb::DeleteRangeRequest) -> DeleteRange {
    DeleteRange {
        range: KeyRange::new(request.key, request.range_end),
        prev_kv: request.prev_kv,
    }
}

/// A transaction.
///
/// # Errors
/// What [`range_query`] refuses; the rest is for the rules to judge.
pub(in crate::services) fn txn(request: pb::TxnRequest) -> Result<Txn, Refusal> {
    let branch = |ops: Vec<pb::RequestOp>| ops.into_iter().map(operation).collect::<Result<Vec<_>, _>>();
    Ok(Txn {
        compare: request.compare.into_iter().map(compare).collect(),
        success: branch(request.success)?,
        failure: branch(request.failure)?,
    })
}

fn operation(op: pb::RequestOp) -> Result<Operation, Refusal> {
    Ok(match op.request {
        Some(Request::RequestRange(request)) => Operation::Range(range_query(request)?),
        Some(Request::RequestPut(request)) => Operation::Put(put(request)),
        Some(Request::RequestDeleteRange(request)) => Operation::DeleteRange(delete_range(request)),
        Some(Request::RequestTxn(request)) => Operation::Txn(txn(request)?),
        None => Operation::Missing,
    })
}

fn compare(wire: pb::Compare) -> Compare {
    Compare {
        result: compare_result(wire.result),
        target: compare_target(wire.target, wire.target_union),
        range: KeyRange::new(wire.key, wire.range_end),
    }
}

fn compare_result(wire: i32) -> CompareResult {
    use pb::compare::CompareResult as Wire;
    match Wire::try_from(wire) {
        Ok(Wire::Equal) => CompareResult::Equal,
        Ok(Wire::Greater) => CompareResult::Greater,
        Ok(Wire::Less) => CompareResult::Less,
        Ok(Wire::NotEqual) => CompareResult::NotEqual,
        Err(_) => CompareResult::Unknown,
    }
}

/// The operand, if it is the one that belongs to the target; else zero or empty, as etcd takes it.
fn compare_target(target: i32, operand: Option<TargetUnion>) -> CompareTarget {
    use pb::compare::CompareTarget as Wire;
    match (Wire::try_from(target), operand) {
        (Ok(Wire::Version), Some(TargetUnion::Version(version))) => CompareTarget::Version(version),
        (Ok(Wire::Version), _) => CompareTarget::Version(0),
        (Ok(Wire::Create), Some(TargetUnion::CreateRevision(revision))) => {
            CompareTarget::CreateRevision(revision)
        }
        (Ok(Wire::Create), _) => CompareTarget::CreateRevision(0),
        (Ok(Wire::Mod), Some(TargetUnion::ModRevision(revision))) => CompareTarget::ModRevision(revision),
        (Ok(Wire::Mod), _) => CompareTarget::ModRevision(0),
        (Ok(Wire::Value), Some(TargetUnion::Value(value))) => CompareTarget::Value(value),
        (Ok(Wire::Value), _) => CompareTarget::Value(Bytes::new()),
        (Ok(Wire::Lease), Some(TargetUnion::Lease(lease))) => CompareTarget::Lease(lease),
        (Ok(Wire::Lease), _) => CompareTarget::Lease(0),
        (Err(_), _) => CompareTarget::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Bytes {
        Bytes::from_static(b"k")
    }

    fn range(sort_order: i32, sort_target: i32) -> pb::RangeRequest {
        pb::RangeRequest {
            key: key(),
            sort_order,
            sort_target,
            ..Default::default()
        }
    }

    fn range_op(request: pb::RangeRequest) -> pb::RequestOp {
        pb::RequestOp {
            request: Some(Request::RequestRange(request)),
        }
    }

    #[test]
    fn unknown_sort_options_are_refused() {
        for (order, target) in [(3, 0), (-1, 0), (0, 5), (0, -1)] {
            assert_eq!(range_query(range(order, target)), Err(Refusal::InvalidSortOption));
        }
        assert!(range_query(range(2, 4)).is_ok_and(|query| query.sort_target == SortTarget::Value));
    }

    #[test]
    fn an_empty_key_comes_before_a_bad_sort_option() {
        let request = pb::RangeRequest {
            key: Bytes::new(),
            ..range(7, 7)
        };
        assert_eq!(range_query(request), Err(Refusal::EmptyKey));
    }

    #[test]
    fn keys_and_values_move() {
        let value = Bytes::from(vec![7; 100]);
        let request = pb::PutRequest {
            key: key(),
            value: value.clone(),
            lease: 9,
            ..Default::default()
        };
        let command = put(request);
        assert_eq!(command.value.as_ptr(), value.as_ptr());
        assert_eq!(command.lease, LeaseId(9));
    }

    #[test]
    fn an_operand_of_another_target_counts_as_zero() {
        let cases = [
            (0, Some(TargetUnion::ModRevision(5)), CompareTarget::Version(0)),
            (1, Some(TargetUnion::Version(5)), CompareTarget::CreateRevision(0)),
            (
                2,
                Some(TargetUnion::ModRevision(5)),
                CompareTarget::ModRevision(5),
            ),
            (3, Some(TargetUnion::Lease(5)), CompareTarget::Value(Bytes::new())),
            (4, None, CompareTarget::Lease(0)),
            (9, Some(TargetUnion::Version(5)), CompareTarget::Unknown),
        ];
        for (target, operand, expected) in cases {
            assert_eq!(compare_target(target, operand), expected);
        }
    }

    #[test]
    fn unknown_results_and_missing_operations_are_left_to_the_rules() {
        let request = pb::TxnRequest {
            compare: vec![pb::Compare {
                result: 8,
                key: key(),
                ..Default::default()
            }],
            success: vec![pb::RequestOp { request: None }],
            failure: Vec::new(),
        };
        let txn = txn(request).expect("translates");
        assert_eq!(txn.compare[0].result, CompareResult::Unknown);
        assert_eq!(txn.success, [Operation::Missing]);
    }

    #[test]
    fn nested_transactions_keep_their_shape() {
        let inner = pb::TxnRequest {
            success: vec![range_op(range(0, 0))],
            ..Default::default()
        };
        let op = pb::RequestOp {
            request: Some(Request::RequestTxn(inner)),
        };
        let outer = txn(pb::TxnRequest {
            failure: vec![op],
            ..Default::default()
        })
        .expect("translates");
        let [Operation::Txn(inner)] = outer.failure.as_slice() else {
            panic!("{outer:?}")
        };
        assert!(matches!(inner.success.as_slice(), [Operation::Range(_)]) && outer.success.is_empty());
    }

    #[test]
    fn a_bad_sort_option_inside_a_transaction_is_refused() {
        let request = pb::TxnRequest {
            failure: vec![range_op(range(4, 0))],
            ..Default::default()
        };
        assert_eq!(txn(request), Err(Refusal::InvalidSortOption));
    }
}
