//! Reads that are not judged by order alone: serializable ones, and those of old revisions.

use super::history::{Body, Call, History, Moment, Outcome, Range, RangeBody, Refusal, Request};
use super::replay::Replay;
use super::report::{Guarantee, Violation};

fn violation(call: &Call, text: &str) -> Violation {
    Violation {
        guarantee: Guarantee::SerializableReads,
        at: call.returned,
        text: format!("{text}: {call}"),
    }
}

/// Checks them against what was there at their revisions.
pub(super) fn check(history: &History, replay: &Replay) -> Vec<Violation> {
    let mut violations = contents(history, replay);
    violations.extend(history.calls.iter().filter_map(|call| refused(history, call)));
    violations.extend(members_go_on(history));
    violations
}

/// The range and what it found, if the call is an answered read that is judged here.
fn answered(call: &Call) -> Option<(&Range, i64, &RangeBody)> {
    let (Request::Range(range), Outcome::Answered(answer)) = (&call.request, &call.outcome) else {
        return None;
    };
    match &answer.body {
        Body::Range(found) if range.serializable || range.revision > 0 => {
            Some((range, answer.revision, found))
        }
        _ => None,
    }
}

fn contents(history: &History, replay: &Replay) -> Vec<Violation> {
    let (mut violations, mut questions) = (Vec::new(), Vec::new());
    for call in &history.calls {
        let Some((range, revision, found)) = answered(call) else {
            continue;
        };
        if revision > replay.last() {
            violations.push(violation(call, "a revision that nobody made"));
        } else if range.revision > revision {
            violations.push(violation(call, "a revision that is in the future"));
        } else {
            let read_at = if range.revision > 0 {
                range.revision
            } else {
                revision
            };
            questions.push((read_at, (call, range, found)));
        }
    }
    replay.visit(questions, |state, (call, range, found)| {
        if !state.shows(range, found) {
            let wanted = state.found(range);
            violations.push(violation(call, &format!("should have found {wanted:?}")));
        }
    });
    violations
}

/// A serializable read may be refused as compacted only if somebody compacted. (Linearizable ones are judged by
/// their order.)
fn refused(history: &History, call: &Call) -> Option<Violation> {
    let Request::Range(range) = &call.request else {
        return None;
    };
    let unfounded = range.serializable
        && call.outcome == Outcome::Refused(Refusal::Compacted)
        && !compacted(history, call.returned, range.revision + 1);
    unfounded.then(|| violation(call, "nobody had compacted that far"))
}

/// Whether a compaction at a revision or later may have happened before a moment.
pub(super) fn compacted(history: &History, before: Moment, revision: i64) -> bool {
    history.start.compact_revision >= revision
        || history.calls.iter().any(|call| match call.request {
            Request::Compact { revision: compacted } => {
                compacted >= revision && call.invoked < before && !matches!(call.outcome, Outcome::Refused(_))
            }
            _ => false,
        })
}

/// What a member has shown once, it has not forgotten when it is asked again.
fn members_go_on(history: &History) -> Vec<Violation> {
    let members = history.calls.iter().map(|call| call.member).max();
    (0..=members.unwrap_or(0))
        .flat_map(|member| member_goes_on(history, member))
        .collect()
}

fn member_goes_on(history: &History, member: u32) -> Vec<Violation> {
    let mut shown: Vec<(Moment, i64)> = Vec::new();
    let mut reads: Vec<(&Call, i64)> = Vec::new();
    for call in history.calls.iter().filter(|call| call.member == member) {
        if let Outcome::Answered(answer) = &call.outcome {
            shown.push((call.returned, answer.revision));
            if !call.request.is_linearizable() {
                reads.push((call, answer.revision));
            }
        }
    }
    shown.sort_unstable();
    reads.sort_by_key(|(call, _)| call.invoked);
    let (mut shown, mut newest) = (shown.into_iter().peekable(), 0);
    let mut violations = Vec::new();
    for (call, revision) in reads {
        while let Some((_, earlier)) = shown.next_if(|(returned, _)| *returned < call.invoked) {
            newest = newest.max(earlier);
        }
        if revision < newest {
            violations.push(violation(
                call,
                &format!("this member had shown revision {newest} before"),
            ));
        }
    }
    violations
}
