//! A lease that was gone before its time.

use std::collections::BTreeMap;

use super::life::{Lives, missed};
use super::whole::End;
use crate::chaos::history::{History, Moment, Outcome};
use crate::chaos::linearizability::Sightings;
use crate::chaos::report::{Guarantee, Violation};

/// Somebody was told that a lease was not there.
struct Missed {
    lease: i64,
    /// When the question was sent.
    asked: Moment,
    /// When the answer came.
    at: Moment,
    text: String,
}

/// What clients were told: by refusals, by keep-alives and when they asked in the end.
pub(super) fn refusals(history: &History, lives: &Lives) -> Vec<Violation> {
    let refusals = history.calls.iter().filter_map(|call| {
        Some(Missed {
            lease: missed(call)?,
            asked: call.invoked,
            at: call.returned,
            text: call.to_string(),
        })
    });
    let renewals = history.renewals.iter().filter(|renewal| renewal.ttl == Some(0));
    let renewals = renewals.map(|renewal| Missed {
        lease: renewal.lease,
        asked: renewal.invoked,
        at: renewal.returned,
        text: format!("{renewal:?}"),
    });
    let fates = history.fates.iter().filter(|fate| fate.is_gone());
    let fates = fates.map(|fate| Missed {
        lease: fate.lease,
        asked: fate.asked,
        at: fate.at,
        text: format!("{fate:?}"),
    });
    let all = refusals.chain(renewals).chain(fates);
    all.filter_map(|missed| missed.violation(lives)).collect()
}

impl Missed {
    /// It must have been there before, and must be there still.
    fn violation(self, lives: &Lives) -> Option<Violation> {
        let granted = lives.get(self.lease)?.granted?;
        (self.asked >= granted)
            .then(|| violation(lives, self.lease, self.at, &self.text))
            .flatten()
    }
}

/// The violation, if a lease that was seen to be gone at a moment must have been there.
fn violation(lives: &Lives, lease: i64, at: Moment, text: &str) -> Option<Violation> {
    let life = lives.get(lease)?;
    let end = life.earliest_end()?;
    (at < end && !life.may_be_revoked(at)).then(|| Violation {
        guarantee: Guarantee::LeaseKept,
        at,
        text: format!(
            "lease {lease} was gone {} ms before its time, and nobody had revoked it: {text}",
            (end - at) / 1_000_000
        ),
    })
}

/// What revisions show: the keys of a lease are gone.
pub(super) fn ends(history: &History, sightings: &Sightings, lives: &Lives, ends: &[End]) -> Vec<Violation> {
    let seen = first_seen(history, sightings);
    let ends = ends.iter().filter_map(|end| {
        let (_, at) = seen.range(end.revision..).next()?;
        let text = format!("revision {} deleted {:?}", end.revision, end.deleted);
        violation(lives, end.lease, *at, &text)
    });
    ends.collect()
}

/// When each revision was known to be there: when it, or a later one, was first seen.
fn first_seen(history: &History, sightings: &Sightings) -> BTreeMap<i64, Moment> {
    let mut seen = sightings.seen.clone();
    for call in history.calls.iter().filter(|call| call.request.is_linearizable()) {
        if let Outcome::Answered(answer) = &call.outcome {
            let moment = seen.entry(answer.revision).or_insert(call.returned);
            *moment = call.returned.min(*moment);
        }
    }
    let mut earliest = Moment::MAX;
    for moment in seen.values_mut().rev() {
        earliest = earliest.min(*moment);
        *moment = earliest;
    }
    seen
}
