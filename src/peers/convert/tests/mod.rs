mod arbitrary;
mod depth;
mod hostile;
mod other_releases;

use bytes::Bytes;
use model::{
    Command, Effect, Event, KeyValue, OperationReply, Position, Put, PutReply, Reply, Revision, TxnReply,
    Value, Version,
};
use proptest::prelude::*;
use prost::Message;
use proto::peer as pb;

use super::command::{command_from_wire, command_to_wire};
use super::effect::{effect_from_wire, effect_to_wire};
use super::reply::{reply_from_wire, reply_to_wire};
use super::*;

/// The message after a journey.
fn travelled<M: Message + Default>(message: &M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).expect("what was encoded decodes")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn commands_arrive_as_they_were(command in arbitrary::command()) {
        let wire = command_to_wire(command.clone()).expect("it can travel");
        prop_assert_eq!(command_from_wire(travelled(&wire)), Ok(command));
    }

    #[test]
    fn replies_arrive_as_they_were(reply in arbitrary::reply()) {
        let wire = reply_to_wire(reply.clone()).expect("it can travel");
        prop_assert_eq!(reply_from_wire(travelled(&wire)), Ok(reply));
    }

    #[test]
    fn effects_arrive_as_they_were(effect in arbitrary::effect()) {
        prop_assert_eq!(effect_from_wire(travelled(&effect_to_wire(&effect))), Ok(effect));
    }

    #[test]
    fn asks_arrive_as_they_were(id: u64, ask in arbitrary::ask()) {
        let call = pb::Call { id, ask: Some(ask_to_wire(ask.clone()).expect("it can travel")) };
        let arrived = travelled(&pb::ForwardRequest { hello: None, calls: vec![call] });
        prop_assert_eq!(arrived.calls[0].id, id);
        prop_assert_eq!(ask_from_wire(arrived.calls[0].ask.clone()), Ok(ask));
    }

    #[test]
    fn outcomes_arrive_as_they_were(id: u64, outcome in arbitrary::outcome()) {
        let told = pb::Outcome { id, outcome: Some(outcome_to_wire(outcome.clone())) };
        let arrived = travelled(&pb::ForwardResponse { outcomes: vec![told] });
        prop_assert_eq!(arrived.outcomes[0].id, id);
        prop_assert_eq!(outcome_from_wire(arrived.outcomes[0].outcome.clone()), outcome);
    }

    #[test]
    fn what_is_followed_arrives_as_it_was(followed in arbitrary::followed()) {
        prop_assert_eq!(followed_from_wire(travelled(&followed_to_wire(&followed))), Ok(followed));
    }

    #[test]
    fn progress_arrives_as_it_was(progress in arbitrary::progress()) {
        prop_assert_eq!(progress_from_wire(Some(travelled(&progress_to_wire(progress)))), Ok(progress));
    }

    #[test]
    fn descriptions_arrive_as_they_were(member in arbitrary::description()) {
        let wire = description_to_wire(member.clone());
        prop_assert_eq!(description_from_wire(travelled(&wire)), Ok(member));
    }
}

fn pair(value: Value) -> KeyValue {
    KeyValue {
        key: Bytes::from_static(b"k"),
        value,
        version: Version::default(),
    }
}

#[test]
fn a_value_that_was_not_read_cannot_travel() {
    let put = |value| PutReply {
        prev_kv: Some(pair(value)),
    };
    let stored = Reply::Put(put(Value::Stored(Position(4))));
    assert_eq!(reply_to_wire(stored), Err(WireError::Unresolved));
    let inner = TxnReply {
        succeeded: true,
        responses: vec![OperationReply::Put(Revision(3), put(Value::Stored(Position(4))))],
    };
    let nested = Reply::Txn(TxnReply {
        succeeded: true,
        responses: vec![OperationReply::Txn(inner)],
    });
    assert_eq!(reply_to_wire(nested), Err(WireError::Unresolved));
}

/// Whether these bytes lie in that buffer.
fn lies_in(bytes: &Bytes, buffer: &Bytes) -> bool {
    buffer.as_ptr_range().contains(&bytes.as_ptr())
}

#[test]
fn bytes_of_commands_are_not_copied_and_bytes_of_effects_are() {
    let value = Bytes::from(vec![7; 100]);
    let put = Put {
        key: Bytes::from_static(b"k"),
        value: value.clone(),
        ..Put::default()
    };
    let wire = command_to_wire(Command::Put(put)).expect("it can travel");
    let buffer = Bytes::from(wire.encode_to_vec());
    let arrived = command_from_wire(pb::Command::decode(buffer.clone()).expect("a command"));
    let Ok(Command::Put(put)) = arrived else {
        panic!("{arrived:?}")
    };
    assert!(lies_in(&put.value, &buffer));

    let event = Event {
        key: Bytes::from_static(b"k"),
        value,
        version: Version::default(),
    };
    let buffer = Bytes::from(effect_to_wire(&Effect::Key(event)).encode_to_vec());
    let arrived = effect_from_wire(pb::Effect::decode(buffer.clone()).expect("an effect"));
    let Ok(Effect::Key(event)) = arrived else {
        panic!("{arrived:?}")
    };
    assert!(!lies_in(&event.key, &buffer) && !lies_in(&event.value, &buffer));
}
