//! Anything that our types can say.

use std::sync::Arc;

use actors::{
    Ask, AskOutcome, Committed, Epoch, Followed, KeepAliveReply, MemberDescription, Progress, RequestError,
    Standing, TimeToLiveReply, Told,
};
use bytes::Bytes;
use journal::{Identity, Size};
use model::{
    Alarm, AlarmAction, Command, Compare, CompareResult, CompareTarget, DeleteRange, DeleteRangeReply,
    Effect, Event, KeyRange, KeyValue, Lease, LeaseGrant, LeaseGrantReply, LeaseId, Operation,
    OperationReply, Position, Put, PutReply, RangeQuery, RangeReply, Refusal, Reply, Revision, SortOrder,
    SortTarget, Txn, TxnReply, Value, Version,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(super) fn number() -> impl Strategy<Value = i64> {
    prop_oneof![-2i64..9, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
}

fn revision() -> impl Strategy<Value = Revision> {
    number().prop_map(Revision)
}

fn position() -> impl Strategy<Value = Position> {
    number().prop_map(Position)
}

fn lease_id() -> impl Strategy<Value = LeaseId> {
    number().prop_map(LeaseId)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..5).prop_map(Bytes::from)
}

fn version() -> impl Strategy<Value = Version> {
    (position(), revision(), revision(), number(), lease_id()).prop_map(
        |(position, mod_revision, create_revision, version, lease)| Version {
            position,
            mod_revision,
            create_revision,
            version,
            lease,
        },
    )
}

fn key_range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        bytes().prop_map(KeyRange::Single),
        bytes().prop_map(KeyRange::From),
        (bytes(), bytes()).prop_map(|(key, end)| KeyRange::Between(key, end)),
    ]
}

fn put() -> impl Strategy<Value = Put> {
    (bytes(), bytes(), lease_id(), any::<[bool; 3]>()).prop_map(|(key, value, lease, flags)| Put {
        key,
        value,
        lease,
        prev_kv: flags[0],
        ignore_value: flags[1],
        ignore_lease: flags[2],
    })
}

fn delete_range() -> impl Strategy<Value = DeleteRange> {
    (key_range(), any::<bool>()).prop_map(|(range, prev_kv)| DeleteRange { range, prev_kv })
}

fn query() -> impl Strategy<Value = RangeQuery> {
    let order = prop_oneof![
        Just(SortOrder::None),
        Just(SortOrder::Ascending),
        Just(SortOrder::Descending)
    ];
    let target = prop_oneof![
        Just(SortTarget::Key),
        Just(SortTarget::Version),
        Just(SortTarget::CreateRevision),
        Just(SortTarget::ModRevision),
        Just(SortTarget::Value)
    ];
    let numbers = prop::array::uniform6(number());
    (key_range(), order, target, numbers, any::<[bool; 2]>()).prop_map(
        |(range, sort_order, sort_target, numbers, flags)| RangeQuery {
            range,
            revision: Revision(numbers[0]),
            limit: numbers[1],
            sort_order,
            sort_target,
            keys_only: flags[0],
            count_only: flags[1],
            min_mod_revision: Revision(numbers[2]),
            max_mod_revision: Revision(numbers[3]),
            min_create_revision: Revision(numbers[4]),
            max_create_revision: Revision(numbers[5]),
        },
    )
}

fn compare() -> impl Strategy<Value = Compare> {
    let target = prop_oneof![
        number().prop_map(CompareTarget::Version),
        number().prop_map(CompareTarget::CreateRevision),
        number().prop_map(CompareTarget::ModRevision),
        bytes().prop_map(CompareTarget::Value),
        number().prop_map(CompareTarget::Lease),
        Just(CompareTarget::Unknown),
    ];
    let result = prop_oneof![
        Just(CompareResult::Equal),
        Just(CompareResult::Greater),
        Just(CompareResult::Less),
        Just(CompareResult::NotEqual),
        Just(CompareResult::Unknown),
    ];
    (key_range(), target, result).prop_map(|(range, target, result)| Compare {
        range,
        target,
        result,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let flat = prop_oneof![
        query().prop_map(Operation::Range),
        put().prop_map(Operation::Put),
        delete_range().prop_map(Operation::DeleteRange),
        Just(Operation::Missing),
    ];
    flat.prop_recursive(6, 24, 3, |inner| txn_of(inner).prop_map(Operation::Txn))
}

fn txn_of(operation: impl Strategy<Value = Operation> + Clone) -> impl Strategy<Value = Txn> {
    let branch = || vec(operation.clone(), 0..3);
    (vec(compare(), 0..3), branch(), branch()).prop_map(|(compare, success, failure)| Txn {
        compare,
        success,
        failure,
    })
}

pub(super) fn alarm() -> impl Strategy<Value = Alarm> {
    prop_oneof![Just(Alarm::NoSpace), Just(Alarm::Corrupt)]
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    let grant = (lease_id(), lease_id(), number(), number());
    prop_oneof![
        put().prop_map(Command::Put),
        delete_range().prop_map(Command::DeleteRange),
        txn_of(operation().boxed()).prop_map(Command::Txn),
        revision().prop_map(Command::Compact),
        grant.prop_map(|(id, chosen, ttl, now_ms)| Command::LeaseGrant(LeaseGrant {
            id,
            chosen,
            ttl,
            now_ms
        })),
        (lease_id(), number()).prop_map(|(id, deadline_ms)| Command::LeaseRenew { id, deadline_ms }),
        lease_id().prop_map(Command::LeaseRevoke),
        vec(position(), 0..4).prop_map(Command::Scrub),
        alarm().prop_map(|alarm| Command::Alarm(AlarmAction::Activate(alarm))),
        alarm().prop_map(|alarm| Command::Alarm(AlarmAction::Deactivate(alarm))),
    ]
}

fn pair() -> impl Strategy<Value = KeyValue> {
    (bytes(), bytes(), version()).prop_map(|(key, value, version)| KeyValue {
        key,
        value: Value::Resident(value),
        version,
    })
}

fn put_reply() -> impl Strategy<Value = PutReply> {
    option::of(pair()).prop_map(|prev_kv| PutReply { prev_kv })
}

fn delete_reply() -> impl Strategy<Value = DeleteRangeReply> {
    (number(), vec(pair(), 0..3)).prop_map(|(deleted, prev_kvs)| DeleteRangeReply { deleted, prev_kvs })
}

fn range_reply() -> impl Strategy<Value = RangeReply> {
    (revision(), vec(pair(), 0..3), any::<bool>(), number()).prop_map(|(revision, kvs, more, count)| {
        RangeReply {
            revision,
            kvs,
            more,
            count,
        }
    })
}

fn operation_reply() -> impl Strategy<Value = OperationReply> {
    let flat = prop_oneof![
        range_reply().prop_map(OperationReply::Range),
        (revision(), put_reply()).prop_map(|(revision, reply)| OperationReply::Put(revision, reply)),
        (revision(), delete_reply())
            .prop_map(|(revision, reply)| OperationReply::DeleteRange(revision, reply)),
    ];
    flat.prop_recursive(6, 24, 3, |inner| {
        txn_reply_of(inner).prop_map(OperationReply::Txn)
    })
}

fn txn_reply_of(operation: impl Strategy<Value = OperationReply> + Clone) -> impl Strategy<Value = TxnReply> {
    (any::<bool>(), vec(operation, 0..3)).prop_map(|(succeeded, responses)| TxnReply { succeeded, responses })
}

pub(super) fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        put_reply().prop_map(Reply::Put),
        delete_reply().prop_map(Reply::DeleteRange),
        txn_reply_of(operation_reply().boxed()).prop_map(Reply::Txn),
        (lease_id(), number()).prop_map(|(id, ttl)| Reply::LeaseGrant(LeaseGrantReply { id, ttl })),
        any::<bool>().prop_map(Reply::Alarm),
        Just(Reply::Done),
    ]
}

fn lease() -> impl Strategy<Value = Lease> {
    (lease_id(), number(), number()).prop_map(|(id, ttl, deadline_ms)| Lease { id, ttl, deadline_ms })
}

pub(super) fn effect() -> impl Strategy<Value = Effect> {
    let event = (bytes(), bytes(), version());
    prop_oneof![
        event.prop_map(|(key, value, version)| Effect::Key(Event { key, value, version })),
        lease().prop_map(Effect::LeaseGranted),
        lease().prop_map(Effect::LeaseRenewed),
        lease_id().prop_map(Effect::LeaseRevoked),
        revision().prop_map(Effect::Compacted),
        vec(position(), 0..4).prop_map(Effect::Scrubbed),
        alarm().prop_map(Effect::AlarmRaised),
        alarm().prop_map(Effect::AlarmCleared),
    ]
}

pub(super) fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        command().prop_map(Ask::Submit),
        lease_id().prop_map(Ask::KeepAlive),
        (lease_id(), any::<bool>()).prop_map(|(id, keys)| Ask::TimeToLive { id, keys }),
        Just(Ask::Leases),
        Just(Ask::ReadRevision),
        Just(Ask::CompactPhysically),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let time_left = (revision(), number(), number(), vec(bytes(), 0..3));
    prop_oneof![
        (revision(), reply()).prop_map(|(revision, reply)| Told::Committed(Committed { revision, reply })),
        (revision(), number()).prop_map(|(revision, ttl)| Told::KeptAlive(KeepAliveReply { revision, ttl })),
        time_left.prop_map(
            |(revision, ttl, granted_ttl, keys)| Told::TimeToLive(TimeToLiveReply {
                revision,
                ttl,
                granted_ttl,
                keys
            })
        ),
        vec(lease_id(), 0..4).prop_map(Told::Leases),
        revision().prop_map(Told::ReadRevision),
        Just(Told::Done),
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop::sample::select(vec![
        Refusal::EmptyKey,
        Refusal::KeyNotFound,
        Refusal::ValueProvided,
        Refusal::LeaseProvided,
        Refusal::TooManyOperations,
        Refusal::DuplicateKey,
        Refusal::InvalidSortOption,
        Refusal::Compacted,
        Refusal::FutureRevision,
        Refusal::NoSpace,
        Refusal::Corrupt,
        Refusal::LeaseNotFound,
        Refusal::LeaseExists,
        Refusal::LeaseTtlTooLarge,
        Refusal::RequestTooLarge,
        Refusal::ValueUnavailable,
    ])
}

fn request_error() -> impl Strategy<Value = RequestError> {
    prop_oneof![
        refusal().prop_map(RequestError::Refused),
        ".{0,8}".prop_map(RequestError::NotStored),
        ".{0,8}".prop_map(RequestError::Unreadable),
        ".{0,8}".prop_map(RequestError::NotUnderstood),
        prop::sample::select(vec![
            RequestError::Overloaded,
            RequestError::Stopped,
            RequestError::NoLeader,
            RequestError::LeaderChanged,
            RequestError::TimedOut,
            RequestError::TimedOutLeaderFailure,
            RequestError::TimedOutConnectionLost,
            RequestError::NotLeader,
            RequestError::BadTransferee,
            RequestError::UnhealthyCluster,
            RequestError::NotCapable,
        ]),
    ]
}

pub(super) fn outcome() -> impl Strategy<Value = AskOutcome> {
    prop_oneof![told().prop_map(Ok), request_error().prop_map(Err)]
}

pub(super) fn progress() -> impl Strategy<Value = Progress> {
    (number(), any::<u64>(), position(), revision()).prop_map(|(epoch, sequence, position, revision)| {
        Progress {
            epoch: Epoch(epoch),
            sequence,
            position,
            revision,
        }
    })
}

pub(super) fn followed() -> impl Strategy<Value = Followed> {
    let standing = (revision(), vec(lease(), 0..3), vec(alarm(), 0..3), number());
    let batch = (any::<u64>(), vec(effect(), 0..6), number());
    prop_oneof![
        Just(Followed::Continued),
        Just(Followed::TooFarBehind),
        standing.prop_map(|(compact_revision, leases, alarms, lease_clock_ms)| {
            Followed::Reconciled(Standing {
                compact_revision,
                leases,
                alarms,
                lease_clock_ms,
            })
        }),
        batch.prop_map(|(sequence, effects, lease_clock_ms)| Followed::Batch {
            sequence,
            effects: Arc::new(effects),
            lease_clock_ms,
        }),
    ]
}

pub(super) fn description() -> impl Strategy<Value = MemberDescription> {
    let texts = (".{0,6}", vec(".{0,6}", 0..3), ".{0,6}");
    let numbers = (any::<[u64; 4]>(), any::<u32>(), option::of(any::<u64>()));
    (texts, numbers, progress()).prop_map(|(texts, (numbers, protocol, leader), progress)| {
        let (name, client_urls, server_version) = texts;
        MemberDescription {
            identity: Identity {
                cluster_id: numbers[0],
                member_id: numbers[1],
            },
            name,
            client_urls,
            server_version,
            protocol,
            progress,
            size: Size {
                allocated: numbers[2],
                in_use: numbers[3],
            },
            leader,
        }
    })
}
