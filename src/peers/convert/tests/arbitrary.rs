//! Anything that our types can say. Strategies of more than a number are boxed: proptest moves them over the stack.

use std::sync::Arc;

use actors::{
    Ask, AskOutcome, Committed, Epoch, Followed, KeepAliveReply, MemberDescription, Progress, RequestError,
    Standing, TimeToLiveReply, Told,
};
use bytes::Bytes;
use journal::{Identity, Schemas, Size};
use model::{
    Alarm, AlarmAction, AlarmMember, Command, Compare, CompareResult, CompareTarget, DeleteRange,
    DeleteRangeReply, Effect, Event, KeyRange, KeyValue, Lease, LeaseGrant, LeaseGrantReply, LeaseId,
    Operation, OperationReply, Position, Put, PutReply, RangeQuery, RangeReply, Refusal, Reply, Revision,
    SortOrder, SortTarget, Tally, Txn, TxnReply, Value, Version,
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

fn version() -> BoxedStrategy<Version> {
    (position(), revision(), revision(), number(), lease_id())
        .prop_map(
            |(position, mod_revision, create_revision, version, lease)| Version {
                position,
                mod_revision,
                create_revision,
                version,
                lease,
            },
        )
        .boxed()
}

fn key_range() -> BoxedStrategy<KeyRange> {
    prop_oneof![
        bytes().prop_map(KeyRange::Single),
        bytes().prop_map(KeyRange::From),
        (bytes(), bytes()).prop_map(|(key, end)| KeyRange::Between(key, end)),
    ]
    .boxed()
}

fn put() -> BoxedStrategy<Put> {
    (bytes(), bytes(), lease_id(), any::<[bool; 3]>())
        .prop_map(|(key, value, lease, flags)| Put {
            key,
            value,
            lease,
            prev_kv: flags[0],
            ignore_value: flags[1],
            ignore_lease: flags[2],
        })
        .boxed()
}

fn delete_range() -> BoxedStrategy<DeleteRange> {
    (key_range(), any::<bool>())
        .prop_map(|(range, prev_kv)| DeleteRange { range, prev_kv })
        .boxed()
}

fn query() -> BoxedStrategy<RangeQuery> {
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
    (key_range(), order, target, numbers, any::<[bool; 2]>())
        .prop_map(|(range, sort_order, sort_target, numbers, flags)| RangeQuery {
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
        })
        .boxed()
}

fn compare() -> BoxedStrategy<Compare> {
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
    (key_range(), target, result)
        .prop_map(|(range, target, result)| Compare {
            range,
            target,
            result,
        })
        .boxed()
}

fn operation() -> BoxedStrategy<Operation> {
    let flat = prop_oneof![
        query().prop_map(Operation::Range),
        put().prop_map(Operation::Put),
        delete_range().prop_map(Operation::DeleteRange),
        Just(Operation::Missing),
    ];
    flat.prop_recursive(6, 24, 3, |inner| txn_of(inner).prop_map(Operation::Txn))
        .boxed()
}

fn txn_of(operation: BoxedStrategy<Operation>) -> BoxedStrategy<Txn> {
    let branch = || vec(operation.clone(), 0..3);
    (vec(compare(), 0..3), branch(), branch())
        .prop_map(|(compare, success, failure)| Txn {
            compare,
            success,
            failure,
        })
        .boxed()
}

pub(super) fn alarm() -> impl Strategy<Value = AlarmMember> {
    let kind = prop_oneof![Just(Alarm::NoSpace), Just(Alarm::Corrupt)];
    (kind, any::<u64>()).prop_map(|(alarm, member_id)| AlarmMember { alarm, member_id })
}

pub(super) fn command() -> BoxedStrategy<Command> {
    let grant = (lease_id(), lease_id(), number(), number());
    prop_oneof![
        put().prop_map(Command::Put),
        delete_range().prop_map(Command::DeleteRange),
        txn_of(operation()).prop_map(Command::Txn),
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
    .boxed()
}

fn pair() -> BoxedStrategy<KeyValue> {
    (bytes(), bytes(), version())
        .prop_map(|(key, value, version)| KeyValue {
            key,
            value: Value::Resident(value),
            version,
        })
        .boxed()
}

fn put_reply() -> BoxedStrategy<PutReply> {
    option::of(pair())
        .prop_map(|prev_kv| PutReply { prev_kv })
        .boxed()
}

fn delete_reply() -> BoxedStrategy<DeleteRangeReply> {
    (number(), vec(pair(), 0..3))
        .prop_map(|(deleted, prev_kvs)| DeleteRangeReply { deleted, prev_kvs })
        .boxed()
}

fn range_reply() -> BoxedStrategy<RangeReply> {
    (revision(), vec(pair(), 0..3), any::<bool>(), number())
        .prop_map(|(revision, kvs, more, count)| RangeReply {
            revision,
            kvs,
            more,
            count,
        })
        .boxed()
}

fn operation_reply() -> BoxedStrategy<OperationReply> {
    let flat = prop_oneof![
        range_reply().prop_map(OperationReply::Range),
        (revision(), put_reply()).prop_map(|(revision, reply)| OperationReply::Put(revision, reply)),
        (revision(), delete_reply())
            .prop_map(|(revision, reply)| OperationReply::DeleteRange(revision, reply)),
    ];
    flat.prop_recursive(6, 24, 3, |inner| {
        txn_reply_of(inner).prop_map(OperationReply::Txn)
    })
    .boxed()
}

fn txn_reply_of(operation: BoxedStrategy<OperationReply>) -> BoxedStrategy<TxnReply> {
    (any::<bool>(), vec(operation, 0..3))
        .prop_map(|(succeeded, responses)| TxnReply { succeeded, responses })
        .boxed()
}

pub(super) fn reply() -> BoxedStrategy<Reply> {
    prop_oneof![
        put_reply().prop_map(Reply::Put),
        delete_reply().prop_map(Reply::DeleteRange),
        txn_reply_of(operation_reply()).prop_map(Reply::Txn),
        (lease_id(), number()).prop_map(|(id, ttl)| Reply::LeaseGrant(LeaseGrantReply { id, ttl })),
        any::<bool>().prop_map(Reply::Alarm),
        Just(Reply::Done),
    ]
    .boxed()
}

fn lease() -> BoxedStrategy<Lease> {
    (lease_id(), number(), number())
        .prop_map(|(id, ttl, deadline_ms)| Lease { id, ttl, deadline_ms })
        .boxed()
}

pub(super) fn effect() -> BoxedStrategy<Effect> {
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
    .boxed()
}

pub(super) fn ask() -> BoxedStrategy<Ask> {
    prop_oneof![
        command().prop_map(Ask::Submit),
        lease_id().prop_map(Ask::KeepAlive),
        (lease_id(), any::<bool>()).prop_map(|(id, keys)| Ask::TimeToLive { id, keys }),
        Just(Ask::Leases),
        Just(Ask::ReadRevision),
        Just(Ask::CompactPhysically),
    ]
    .boxed()
}

fn told() -> BoxedStrategy<Told> {
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
    .boxed()
}

fn refusal() -> BoxedStrategy<Refusal> {
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
    .boxed()
}

fn request_error() -> BoxedStrategy<RequestError> {
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
            RequestError::NotProposed,
        ]),
    ]
    .boxed()
}

pub(super) fn outcome() -> BoxedStrategy<AskOutcome> {
    prop_oneof![told().prop_map(Ok), request_error().prop_map(Err)].boxed()
}

pub(super) fn progress() -> BoxedStrategy<Progress> {
    (number(), any::<u64>(), position(), revision())
        .prop_map(|(epoch, sequence, position, revision)| Progress {
            epoch: Epoch(epoch),
            sequence,
            position,
            revision,
        })
        .boxed()
}

pub(super) fn followed() -> BoxedStrategy<Followed> {
    let standing = (
        progress(),
        revision(),
        vec(lease(), 0..3),
        vec(alarm(), 0..3),
        number(),
    );
    let tally = any::<[u64; 4]>().prop_map(|[ranges, puts, deletes, transactions]| Tally {
        ranges,
        puts,
        deletes,
        transactions,
    });
    let batch = (any::<u64>(), vec(effect(), 0..6), number(), tally);
    prop_oneof![
        Just(Followed::Continued),
        Just(Followed::TooFarBehind),
        standing.prop_map(|(at, compact_revision, leases, alarms, lease_clock_ms)| {
            Followed::Reconciled(Standing {
                at,
                compact_revision,
                leases,
                alarms,
                lease_clock_ms,
            })
        }),
        batch.prop_map(|(sequence, effects, lease_clock_ms, tally)| Followed::Batch {
            sequence,
            effects: Arc::new(effects),
            lease_clock_ms,
            tally,
        }),
    ]
    .boxed()
}

pub(super) fn description() -> BoxedStrategy<MemberDescription> {
    let texts = (".{0,6}", vec(".{0,6}", 0..3), ".{0,6}");
    let numbers = (any::<[u64; 4]>(), any::<[u32; 3]>(), option::of(any::<u64>()));
    (texts, numbers, progress())
        .prop_map(
            |(texts, (numbers, [protocol, known, in_use], leader), progress)| {
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
                    schemas: Schemas { known, in_use },
                    progress,
                    size: Size {
                        allocated: numbers[2],
                        in_use: numbers[3],
                    },
                    leader,
                }
            },
        )
        .boxed()
}
