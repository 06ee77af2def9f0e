use super::*;
use crate::chaos::history::{Compare, DeleteRange, Operation, Put, Range, Relation, Target, Txn, prefix_end};

fn put(key: &str, value: &str, lease: i64) -> Request {
    Request::Put(Put {
        key: key.into(),
        value: value.into(),
        lease,
        prev_kv: true,
    })
}

fn delete(key: &str) -> Request {
    Request::DeleteRange(DeleteRange {
        key: key.into(),
        prev_kv: true,
        ..DeleteRange::default()
    })
}

/// A transaction that puts if the key was last changed at a revision, and reads it if not.
fn update(key: &str, revision: i64, value: &str) -> Request {
    let Request::Put(put) = put(key, value, 0) else {
        unreachable!()
    };
    Request::Txn(Txn {
        compare: vec![Compare {
            key: key.into(),
            result: Relation::Equal,
            target: Target::ModRevision(revision),
        }],
        success: vec![Operation::Put(put)],
        failure: vec![Operation::Range(Range {
            key: key.into(),
            ..Range::default()
        })],
    })
}

fn body(state: &mut State, request: &Request, revision: i64) -> Body {
    match state.apply(request).0 {
        Reply::Answered(answer) if answer.revision == revision => answer.body,
        other => panic!("{other:?} instead of an answer at {revision}"),
    }
}

fn refusal(state: &mut State, request: &Request) -> Refusal {
    match state.apply(request).0 {
        Reply::Refused(refusal) => refusal,
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn only_changes_of_keys_take_revisions() {
    let mut state = State::default();
    assert_eq!(body(&mut state, &put("a", "1", 0), 2), Body::Put(None));
    let nothing = Body::DeleteRange {
        deleted: 0,
        previous: Vec::new(),
    };
    assert_eq!(body(&mut state, &delete("b"), 2), nothing);
    body(&mut state, &Request::LeaseGrant { id: 7, ttl: 9 }, 2);
    body(&mut state, &Request::LeaseRevoke { id: 7 }, 2);
    body(&mut state, &Request::Compact { revision: 2 }, 2);
    let Body::Txn { succeeded: false, .. } = body(&mut state, &update("a", 1, "2"), 2) else {
        panic!("the key was changed at 2, not 1");
    };
    let Body::Txn { succeeded: true, .. } = body(&mut state, &update("a", 2, "2"), 3) else {
        panic!("the key was changed at 2");
    };
    let pair = state.pair("a").expect("a key");
    assert_eq!((pair.create_revision, pair.mod_revision, pair.version), (2, 3, 2));
}

#[test]
fn a_lease_takes_its_keys_along_at_one_revision() {
    let mut state = State::default();
    assert_eq!(refusal(&mut state, &put("a", "1", 7)), Refusal::LeaseNotFound);
    body(&mut state, &Request::LeaseGrant { id: 7, ttl: 9 }, 1);
    assert_eq!(
        refusal(&mut state, &Request::LeaseGrant { id: 7, ttl: 9 }),
        Refusal::LeaseExists
    );
    body(&mut state, &put("b", "1", 7), 2);
    body(&mut state, &put("a", "1", 7), 3);
    body(&mut state, &put("c", "1", 7), 4);
    body(&mut state, &put("c", "2", 0), 5);
    let (_, change) = state.apply(&Request::LeaseRevoke { id: 7 });
    let events = state.events(&change);
    let keys: Vec<_> = events.iter().map(|event| &*event.pair.key).collect();
    assert_eq!((state.revision(), keys), (6, vec!["a", "b"]));
    assert!(events.iter().all(|event| event.delete && event.revision() == 6));
    assert_eq!(
        refusal(&mut state, &Request::LeaseRevoke { id: 7 }),
        Refusal::LeaseNotFound
    );
}

#[test]
fn compactions_go_forward_only() {
    let mut state = State::default();
    body(&mut state, &Request::Compact { revision: 0 }, 1);
    for (revision, wanted) in [(0, Refusal::Compacted), (2, Refusal::FutureRevision)] {
        assert_eq!(refusal(&mut state, &Request::Compact { revision }), wanted);
    }
    body(&mut state, &put("a", "1", 0), 2);
    body(&mut state, &Request::Compact { revision: 2 }, 2);
    let read = |revision| {
        Request::Range(Range {
            key: "a".into(),
            revision,
            ..Range::default()
        })
    };
    assert_eq!(refusal(&mut state, &read(1)), Refusal::Compacted);
    assert_eq!(refusal(&mut state, &read(3)), Refusal::FutureRevision);
    assert_eq!(state.apply(&read(2)).0, Reply::Historic(2));
}

#[test]
fn a_range_counts_past_its_limit() {
    let mut state = State::default();
    ["k/a", "k/b", "k/c", "l"]
        .iter()
        .for_each(|key| drop(state.apply(&put(key, "1", 0))));
    let range = Range {
        key: "k/".into(),
        range_end: prefix_end("k/"),
        limit: 2,
        keys_only: true,
        ..Range::default()
    };
    let Body::Range(found) = body(&mut state, &Request::Range(range.clone()), 5) else {
        panic!("a range");
    };
    assert_eq!((found.pairs.len(), found.count, found.more), (2, 3, true));
    assert!(found.pairs.iter().all(|pair| pair.value.is_empty()));
    let counted = Range {
        count_only: true,
        ..range
    };
    let Body::Range(found) = body(&mut state, &Request::Range(counted), 5) else {
        panic!("a range");
    };
    assert_eq!((found.pairs.len(), found.count, found.more), (0, 3, false));
}

#[test]
fn every_change_can_be_taken_back() {
    let requests = [
        put("a", "1", 0),
        Request::LeaseGrant { id: 7, ttl: 9 },
        put("a", "2", 7),
        put("b", "1", 7),
        Request::Compact { revision: 3 },
        update("b", 4, "2"),
        Request::LeaseRevoke { id: 7 },
        Request::LeaseRevoke { id: 7 },
        delete("b"),
    ];
    let (mut state, mut states) = (State::default(), Vec::new());
    for request in &requests {
        let before = state.clone();
        states.push((before, state.apply(request).1));
    }
    assert_eq!(state.revision(), 7);
    for (before, change) in states.into_iter().rev() {
        state.undo(change);
        assert_eq!(state, before);
    }
}

#[test]
fn a_revision_that_was_left_behind_never_comes_back() {
    let mut state = State::default();
    assert!(state.may_yet_change(&update("a", 2, "x")), "2 is yet to come");
    state.apply(&put("a", "1", 0));
    assert!(state.may_yet_change(&update("a", 2, "x")), "it stands at 2");
    state.apply(&put("a", "2", 0));
    assert!(!state.may_yet_change(&update("a", 2, "x")), "it has left 2");
    assert!(
        state.may_yet_change(&update("a", 0, "x")),
        "it may be deleted, and then created"
    );
}

#[test]
fn values_of_absent_keys_compare_as_nothing() {
    let state = State::default();
    let holds = |result, target| {
        state.holds(&Compare {
            key: "a".into(),
            result,
            target,
        })
    };
    assert!(!holds(Relation::NotEqual, Target::Value("1".into())));
    assert!(holds(Relation::NotEqual, Target::Version(1)));
    assert!(holds(Relation::Less, Target::ModRevision(1)));
    assert!(holds(Relation::Equal, Target::Lease(0)));
}
