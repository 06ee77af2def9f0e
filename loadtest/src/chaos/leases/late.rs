//! A lease that nobody keeps alive and that stays, or whose keys stay.

use super::life::Lives;
use super::{GRACE, seconds};
use crate::chaos::history::{Fate, History, Outcome, Range};
use crate::chaos::replay::Replay;
use crate::chaos::report::{Guarantee, Violation};

fn violation(fate: &Fate, text: &str) -> Violation {
    Violation {
        guarantee: Guarantee::LeaseEnds,
        at: fate.at,
        text: format!("lease {} {text}: {fate:?}", fate.lease),
    }
}

/// Every lease that was asked about long enough is gone.
pub(super) fn check(history: &History, lives: &Lives) -> Vec<Violation> {
    let grace = u64::try_from(GRACE.as_nanos()).expect("less than five centuries");
    let overdue = |fate: &&Fate| {
        let life = lives.get(fate.lease);
        life.is_some_and(|life| {
            let kept = life.ends().max().unwrap_or(0);
            fate.at >= kept.max(fate.asked + seconds(life.ttl)) + grace
        })
    };
    let there = history.fates.iter().filter(|fate| !fate.is_gone());
    let overdue = there.filter(overdue);
    overdue
        .map(|fate| violation(fate, "is still there, and nobody keeps it alive"))
        .collect()
}

/// Once leases are gone, so are their keys, for whoever reads then.
pub(super) fn keys(history: &History, replay: &Replay) -> Vec<Violation> {
    let gone: Vec<_> = history.fates.iter().filter(|fate| fate.is_gone()).collect();
    let Some(revision) = gone
        .iter()
        .map(|fate| fate.at)
        .max()
        .and_then(|at| read_after(history, at))
    else {
        return Vec::new();
    };
    let everything = Range {
        range_end: "\0".into(),
        ..Range::default()
    };
    let mut violations = Vec::new();
    replay.visit(vec![(revision, ())], |state, ()| {
        let pairs = state.found(&everything).pairs;
        violations.extend(gone.iter().filter_map(|fate| {
            let pair = pairs.iter().find(|pair| pair.lease == fate.lease)?;
            Some(violation(
                fate,
                &format!("is gone, but not its key {:?}", pair.key),
            ))
        }));
    });
    violations
}

/// The first revision that was answered to a call made after a moment.
fn read_after(history: &History, moment: u64) -> Option<i64> {
    let late = history.calls.iter();
    let late = late.filter(|call| call.invoked > moment && call.request.is_linearizable());
    let revisions = late.filter_map(|call| match &call.outcome {
        Outcome::Answered(answer) => Some(answer.revision),
        _ => None,
    });
    revisions.min()
}
