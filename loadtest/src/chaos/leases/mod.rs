//! When leases end. Not early: until its time is over a lease is there, unless a client revoked it. Not never: once
//! nobody keeps it alive it goes. And at one moment, with all its keys.
//!
//! All times are those of the recording's own clock. A keep-alive took effect after it was sent, so the lease lives at
//! least as long as was answered from then on; that it was answered shows that the lease had not ended before.
//!
//! For the search for an order, an end by itself is a revocation that nobody made: a call without an answer that may
//! be used from the earliest moment on at which the lease may end ([`with_ends`]). So a lease that is gone earlier
//! leaves no order. [`early`], [`late`] and [`whole`] look at the same things one by one, and say what is wrong.

mod early;
mod late;
mod life;
mod whole;

use std::time::Duration;

use super::history::{Call, History, Moment, Outcome, Request};
use super::linearizability::Sightings;
use super::replay::Replay;
use super::report::Violation;
use life::Lives;

/// Leases that live longer than this are not there to end within a run.
const SHORT: i64 = 60;
/// How much longer than its time a lease may be there when its members are well: etcd lets leases begin again when the
/// leader changes, looks for ends every half second, and ends a thousand in a second.
pub const GRACE: Duration = Duration::from_secs(30);

/// Seconds as a [`Moment`].
fn seconds(ttl: i64) -> Moment {
    u64::try_from(ttl).unwrap_or(0).saturating_mul(1_000_000_000)
}

/// Leases that may have been granted and must end before a run does, with their seconds to live.
pub(super) fn short(history: &History) -> Vec<(i64, i64)> {
    let lives = Lives::of(history);
    let all = lives.iter().map(|(lease, life)| (lease, life.ttl));
    all.filter(|(_, ttl)| *ttl <= SHORT).collect()
}

/// How many leases were granted for certain, were revoked by nobody, and were gone in the end.
pub(super) fn ended(history: &History) -> usize {
    if history.fates.is_empty() {
        return 0;
    }
    let lives = Lives::of(history);
    let by_itself = |lease| {
        let life = lives.get(lease);
        life.is_some_and(|life| life.granted.is_some() && !life.may_be_revoked(Moment::MAX))
    };
    let gone = history.fates.iter().filter(|fate| fate.is_gone());
    gone.filter(|fate| by_itself(fate.lease)).count()
}

/// The same calls with those that end leases: one for each time that a lease may have been granted, unless a client
/// was answered that it ended it.
pub(super) fn with_ends(history: &History) -> History {
    let last = history.calls.iter().map(|call| call.returned).max();
    let lives = Lives::of(history);
    let ends = lives.iter().filter(|(_, life)| !life.was_revoked());
    let ends = ends.flat_map(|(lease, life)| life.ends().map(move |end| (lease, end)));
    let ends = ends.filter(|(_, end)| Some(*end) <= last);
    let ends = (0..).zip(ends).map(|(number, (lease, end))| Call {
        // No two are of one client, which has one call at a time.
        client: u32::MAX - number,
        member: 0,
        invoked: end,
        returned: end,
        request: Request::LeaseRevoke { id: lease },
        outcome: Outcome::Unknown("the lease may end by itself".to_owned()),
    });
    History {
        start: history.start.clone(),
        calls: history.calls.iter().cloned().chain(ends).collect(),
        ..History::default()
    }
}

/// Checks when leases ended, and what ended with them, by what each revision did, as far as that is known.
pub(super) fn check(history: &History, sightings: &Sightings, replay: Option<&Replay>) -> Vec<Violation> {
    let lives = Lives::of(history);
    let mut violations = early::refusals(history, &lives);
    violations.extend(late::check(history, &lives));
    if let Some(replay) = replay {
        let ends = whole::ends(history, replay);
        violations.extend(ends.iter().filter_map(whole::End::violation));
        violations.extend(early::ends(history, sightings, &lives, &ends));
        violations.extend(late::keys(history, replay));
    }
    violations
}
