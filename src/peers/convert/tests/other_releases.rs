//! What a member of a later release may say: fields, variants and numbers that this one does not know.

use actors::{Ask, RequestError};
use model::AlarmMember;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::super::effect::{alarm_from_wire, alarm_to_wire};
use super::*;

/// A number that no field of ours has.
const FIELD_OF_TOMORROW: u32 = 1000;

/// The message with a field more.
fn with_more<M: Message + Default>(message: &M) -> M {
    let mut encoded = message.encode_to_vec();
    encode_key(FIELD_OF_TOMORROW, WireType::LengthDelimited, &mut encoded);
    encode_varint(3, &mut encoded);
    encoded.put_slice(b"new");
    M::decode(Bytes::from(encoded)).expect("fields that are not known are passed over")
}

/// A message that says nothing but something of tomorrow.
fn of_tomorrow<M: Message + Default>() -> M {
    with_more(&M::default())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn fields_that_are_not_known_are_ignored(
        ask in arbitrary::ask(),
        followed in arbitrary::followed(),
        alarm in arbitrary::alarm(),
    ) {
        let call = pb::Call { id: 1, ask: Some(ask_to_wire(ask.clone()).expect("it can travel")) };
        prop_assert_eq!(ask_from_wire(with_more(&call).ask), Ok(ask));
        prop_assert_eq!(followed_from_wire(with_more(&followed_to_wire(&followed))), Ok(followed));
        prop_assert_eq!(alarm_from_wire(with_more(&alarm_to_wire(alarm))), Ok(alarm));
    }
}

#[test]
fn variants_that_are_not_known_are_refused_by_name() {
    let refused = |what| Err(WireError::Unknown { what, number: 0 });
    let call: pb::Call = of_tomorrow();
    assert_eq!(
        ask_from_wire(call.ask),
        refused("what is asked").map(|()| Ask::Leases)
    );
    assert_eq!(command_from_wire(of_tomorrow()).map(drop), refused("a command"));
    assert_eq!(effect_from_wire(of_tomorrow()).map(drop), refused("an effect"));
    assert_eq!(reply_from_wire(of_tomorrow()).map(drop), refused("a reply"));
    assert_eq!(
        followed_from_wire(of_tomorrow()).map(drop),
        refused("what is followed")
    );
    assert_eq!(
        alarm_from_wire(of_tomorrow()).map(drop),
        refused("a kind of alarm")
    );
}

#[test]
fn variants_inside_a_transaction_are_refused_by_name() {
    let command = |txn| pb::Command {
        command: Some(pb::command::Command::Txn(txn)),
    };
    let operation = pb::Txn {
        failure: vec![of_tomorrow()],
        ..pb::Txn::default()
    };
    let what = |txn| match command_from_wire(command(txn)) {
        Err(WireError::Unknown { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what(operation), "an operation");
    let compare = pb::Txn {
        compare: vec![of_tomorrow()],
        ..pb::Txn::default()
    };
    assert_eq!(what(compare), "a target of comparison");
}

#[test]
fn numbers_that_are_not_known_are_refused_by_name_and_number() {
    let alarm = pb::Alarm {
        kind: 77,
        member_id: 1,
    };
    let refused = alarm_from_wire(alarm);
    assert_eq!(
        refused,
        Err::<AlarmMember, _>(WireError::Unknown {
            what: "a kind of alarm",
            number: 77
        })
    );
    let delete = pb::DeleteRange {
        kind: 4,
        ..pb::DeleteRange::default()
    };
    let command = pb::Command {
        command: Some(pb::command::Command::DeleteRange(delete)),
    };
    let error = command_from_wire(command).expect_err("there is no fourth kind of range");
    assert_eq!(
        error.to_string(),
        "a kind of range is missing or not known to this release (number 4)"
    );
}

#[test]
fn an_answer_that_is_not_known_is_an_outcome_that_nobody_can_say() {
    let outcome: pb::Outcome = of_tomorrow();
    assert!(matches!(
        outcome_from_wire(outcome.outcome),
        Err(RequestError::NotUnderstood(_))
    ));
    let failure = |kind, refusal| {
        let text = "etcdserver: something new".to_owned();
        outcome_from_wire(Some(pb::outcome::Outcome::Failure(pb::Failure {
            kind,
            refusal,
            text,
            detail: String::new(),
        })))
    };
    let told = Err(RequestError::NotUnderstood("etcdserver: something new".into()));
    assert_eq!(failure(99, 0), told);
    assert_eq!(failure(0, 0), told);
    assert_eq!(failure(pb::FailureKind::Refused.into(), 99), told);
    assert_eq!(failure(pb::FailureKind::Refused.into(), 0), told);
}

#[test]
fn an_answer_that_cannot_travel_says_so() {
    let put = PutReply {
        prev_kv: Some(pair(Value::Stored(Position(4)))),
    };
    let committed = actors::Committed {
        revision: Revision(2),
        reply: Reply::Put(put),
    };
    let wire = outcome_to_wire(Ok(actors::Told::Committed(committed)));
    assert_eq!(
        outcome_from_wire(Some(wire)),
        Err(RequestError::Unreadable(WireError::Unresolved.to_string()))
    );
}
