//! Whatever a client sends is answered or refused, and never a panic: a panic ends the process.
//!
//! Requests are built with numbers from the edges and enum values that do not exist, encoded, damaged in a
//! few bytes, decoded, and carried out on a model store. The store must still agree with itself afterwards.

use bytes::Bytes;
use model::{
    Command, Effect, KeyRange, LeaseGrant, LeaseId, Limits, Overlay, Position, RangeQuery, Refusal, Revision,
    Scan, ScanStep, State, ValueSource, decide, validate,
};
use proptest::prelude::*;
use prost::Message;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;

struct NoValues;

impl ValueSource for NoValues {
    fn value(&self, _: Position) -> Option<Bytes> {
        None
    }
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![-2i64..9, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
}

fn key() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(255), b'a'..b'd'], 0..4).prop_map(Bytes::from)
}

fn flags() -> impl Strategy<Value = [bool; 4]> {
    any::<[bool; 4]>()
}

fn put() -> impl Strategy<Value = pb::PutRequest> {
    (key(), key(), number(), flags()).prop_map(|(key, value, lease, flags)| pb::PutRequest {
        key,
        value,
        lease,
        prev_kv: flags[0],
        ignore_value: flags[1],
        ignore_lease: flags[2],
    })
}

fn range() -> impl Strategy<Value = pb::RangeRequest> {
    let numbers = prop::array::uniform6(number());
    (key(), key(), numbers, -1i32..6, -1i32..4, flags()).prop_map(
        |(key, range_end, numbers, target, order, flags)| pb::RangeRequest {
            key,
            range_end,
            limit: numbers[0],
            revision: numbers[1],
            sort_order: order,
            sort_target: target,
            serializable: flags[0],
            keys_only: flags[1],
            count_only: flags[2],
            min_mod_revision: numbers[2],
            max_mod_revision: numbers[3],
            min_create_revision: numbers[4],
            max_create_revision: numbers[5],
        },
    )
}

fn delete() -> impl Strategy<Value = pb::DeleteRangeRequest> {
    (key(), key(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| pb::DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn compare() -> impl Strategy<Value = pb::Compare> {
    let union = prop_oneof![
        number().prop_map(TargetUnion::Version),
        number().prop_map(TargetUnion::ModRevision),
        number().prop_map(TargetUnion::Lease),
        key().prop_map(TargetUnion::Value),
    ];
    (-1i32..6, -1i32..6, key(), key(), prop::option::of(union)).prop_map(
        |(result, target, key, range_end, target_union)| pb::Compare {
            result,
            target,
            key,
            range_end,
            target_union,
        },
    )
}

fn operation() -> impl Strategy<Value = pb::RequestOp> {
    let simple = prop_oneof![
        put().prop_map(Request::RequestPut),
        range().prop_map(Request::RequestRange),
        delete().prop_map(Request::RequestDeleteRange),
    ];
    let simple = prop::option::weighted(0.95, simple).prop_map(|request| pb::RequestOp { request });
    simple.prop_recursive(4, 24, 5, |inner| {
        txn_of(inner).prop_map(|txn| pb::RequestOp {
            request: Some(Request::RequestTxn(txn)),
        })
    })
}

fn txn_of(operation: impl Strategy<Value = pb::RequestOp> + Clone) -> impl Strategy<Value = pb::TxnRequest> {
    let branch = prop::collection::vec(operation, 0..4);
    (prop::collection::vec(compare(), 0..3), branch.clone(), branch).prop_map(
        |(compare, success, failure)| pb::TxnRequest {
            compare,
            success,
            failure,
        },
    )
}

/// A transaction as it may arrive: whole, or with some bytes changed.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (txn_of(operation().boxed()), damage).prop_map(|(txn, damage)| {
        let mut bytes = txn.encode_to_vec();
        for (index, byte) in damage {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

fn submit(state: &mut State, overlay: &mut Overlay, command: Command) -> Result<Vec<Effect>, Refusal> {
    let limits = Limits::default();
    validate(&command, limits)?;
    let decision = decide(command, state, overlay, &NoValues, limits)?;
    for effect in &decision.effects {
        state.apply(effect);
    }
    overlay.settle(state.applied());
    Ok(decision.effects)
}

/// What a count says is there, and what is there.
fn counted_and_found(state: &State) -> (i64, usize) {
    let query = RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")));
    let mut scan = Scan::begin(query, state).expect("the newest revision can be read");
    while scan.step(state, 3).expect("nothing is compacted") == ScanStep::More {}
    let reply = scan.finish();
    (reply.count, reply.kvs.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_transaction_breaks_the_store(requests in prop::collection::vec(wire(), 1..12), compact in number()) {
        let mut state = State::default();
        let mut overlay = Overlay::new(&state);
        let grant = LeaseGrant { id: LeaseId(compact), chosen: LeaseId(1), ttl: compact, now_ms: compact };
        let _granted = submit(&mut state, &mut overlay, Command::LeaseGrant(grant));
        for bytes in requests {
            let Ok(request) = pb::TxnRequest::decode(Bytes::from(bytes)) else { continue };
            let Ok(txn) = super::txn(request) else { continue };
            let before = state.revision();
            let outcome = submit(&mut state, &mut overlay, Command::Txn(txn));
            let changed = outcome.is_ok_and(|effects| !effects.is_empty());
            prop_assert_eq!(state.revision().0, before.0 + i64::from(changed));
        }
        let _compacted = submit(&mut state, &mut overlay, Command::Compact(Revision(compact)));
        prop_assert!(overlay.is_settled());
        let (counted, found) = counted_and_found(&state);
        prop_assert_eq!(usize::try_from(counted), Ok(found));
        prop_assert_eq!(state.index().live_keys(), found);
    }
}
