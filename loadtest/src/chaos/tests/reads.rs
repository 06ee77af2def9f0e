//! Planted in what single members say: serializable reads and hashes.

use super::*;

#[test]
fn unequal_hashes_are_caught() {
    let differ = |history: &mut History| {
        for member in 0..3 {
            history.hashes.push(Hash {
                member,
                revision: 9,
                compact_revision: 3,
                hash: 77 + member / 2,
            });
        }
        Some(())
    };
    caught(differ, &[Guarantee::HashKv]);
}

/// A member that had shown a revision shows an older one.
#[test]
fn a_member_that_goes_back_is_caught() {
    let go_back = |history: &mut History| {
        let alone = places(history, |call, answer| {
            !call.request.is_linearizable() && answer.revision < 20
        });
        let old = history.calls[*alone.first()?].clone();
        let late = places(history, |call, answer| {
            !call.request.is_linearizable() && call.member == old.member && answer.revision > 40
        });
        let late = &mut history.calls[*late.last()?];
        (late.request, late.outcome) = (old.request, old.outcome);
        Some(())
    };
    caught(go_back, &[Guarantee::SerializableReads]);
}

/// Answered serializable reads.
fn alone(history: &History) -> Vec<usize> {
    places(
        history,
        |call, _| matches!(&call.request, Request::Range(range) if range.serializable),
    )
}

fn range(call: &mut Call) -> &mut Range {
    match &mut call.request {
        Request::Range(range) => range,
        other => panic!("{other:?} is no read"),
    }
}

#[test]
fn a_serializable_read_of_what_never_was_is_caught() {
    let lie = |history: &mut History| {
        let with_values = places(history, |call, answer| {
            let values =
                matches!(&call.request, Request::Range(range) if range.serializable && !range.keys_only);
            values && matches!(&answer.body, Body::Range(found) if !found.pairs.is_empty())
        });
        let read = middle(&with_values)?;
        let Body::Range(found) = &mut answer(&mut history.calls[read]).body else {
            return None;
        };
        found.pairs[0].value = "never written".into();
        Some(())
    };
    caught(lie, &[Guarantee::SerializableReads]);
}

#[test]
fn a_serializable_read_at_a_revision_that_nobody_made_is_caught() {
    let lie = |history: &mut History| {
        // The last one: what a member shows later would otherwise seem to go back.
        let read = *alone(history).last()?;
        answer(&mut history.calls[read]).revision = 100_000;
        Some(())
    };
    caught(lie, &[Guarantee::SerializableReads]);
}

/// What it finds at that revision is right, but the answer says that the revision is not there yet.
#[test]
fn a_serializable_read_from_the_future_is_caught() {
    let lie = |history: &mut History| {
        let read = middle(&alone(history))?;
        let call = &mut history.calls[read];
        let revision = answer(call).revision;
        *range(call) = Range {
            key: "absent".into(),
            revision: revision + 1,
            serializable: true,
            ..Range::default()
        };
        answer(call).body = Body::Range(RangeBody::default());
        Some(())
    };
    caught(lie, &[Guarantee::SerializableReads]);
}

#[test]
fn a_serializable_read_that_is_refused_as_compacted_is_caught() {
    let refuse = |history: &mut History| {
        let read = middle(&alone(history))?;
        let call = &mut history.calls[read];
        range(call).revision = 100_000;
        call.outcome = Outcome::Refused(Refusal::Compacted);
        Some(())
    };
    caught(refuse, &[Guarantee::SerializableReads]);
}
