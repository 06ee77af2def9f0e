//! Whatever arrives is understood or refused, and never a panic: a panic ends the process.

use super::*;

/// Bytes with some of them changed, and cut off somewhere.
fn damaged(mut bytes: Vec<u8>, changes: &[(usize, u8)], keep: usize) -> Bytes {
    for (at, to) in changes {
        let length = bytes.len();
        if let Some(byte) = bytes.get_mut(at % length.max(1)) {
            *byte = *to;
        }
    }
    bytes.truncate(bytes.len().saturating_sub(keep % 4));
    Bytes::from(bytes)
}

fn damage() -> impl Strategy<Value = (Vec<(usize, u8)>, usize)> {
    (prop::collection::vec(any::<(usize, u8)>(), 0..4), any::<usize>())
}

/// Whatever of these bytes is understood must be understood again when it travels on.
fn requests(bytes: Bytes) {
    for call in pb::ForwardRequest::decode(bytes).map_or_else(|_| Vec::new(), |request| request.calls) {
        let Ok(ask) = ask_from_wire(call.ask) else {
            continue;
        };
        let again = ask_to_wire(ask.clone()).expect("what arrived can travel on");
        assert_eq!(ask_from_wire(Some(again)), Ok(ask));
    }
}

fn responses(bytes: Bytes) {
    for told in pb::ForwardResponse::decode(bytes).map_or_else(|_| Vec::new(), |response| response.outcomes) {
        let outcome = outcome_from_wire(told.outcome);
        assert_eq!(outcome_from_wire(Some(outcome_to_wire(outcome.clone()))), outcome);
    }
}

fn follow_responses(bytes: Bytes) {
    for told in pb::FollowResponse::decode(bytes).map_or_else(|_| Vec::new(), |response| response.followed) {
        let Ok(followed) = followed_from_wire(told) else {
            continue;
        };
        assert_eq!(followed_from_wire(followed_to_wire(&followed)), Ok(followed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn damaged_asks_never_panic(ask in arbitrary::ask(), (changes, keep) in damage()) {
        let call = pb::Call { id: 1, ask: Some(ask_to_wire(ask).expect("it can travel")) };
        let request = pb::ForwardRequest { hello: None, calls: vec![call] };
        requests(damaged(request.encode_to_vec(), &changes, keep));
    }

    #[test]
    fn damaged_outcomes_never_panic(outcome in arbitrary::outcome(), (changes, keep) in damage()) {
        let told = pb::Outcome { id: 1, outcome: Some(outcome_to_wire(outcome)) };
        let response = pb::ForwardResponse { outcomes: vec![told] };
        responses(damaged(response.encode_to_vec(), &changes, keep));
    }

    #[test]
    fn damaged_batches_never_panic(followed in arbitrary::followed(), (changes, keep) in damage()) {
        let response = pb::FollowResponse { followed: vec![followed_to_wire(&followed)] };
        follow_responses(damaged(response.encode_to_vec(), &changes, keep));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        requests(bytes.clone());
        responses(bytes.clone());
        follow_responses(bytes.clone());
        let _understood = pb::DescribeResponse::decode(bytes).map(description_from_wire);
    }
}
