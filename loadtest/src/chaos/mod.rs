//! `loadtest chaos`: traffic from many clients while nodes are killed, paused, cut off and starved, with every
//! call, keep-alive and watch event recorded and checked.
//!
//! A recorded [`history::History`] is checked by [`check`]: [`linearizability`] finds the one order of all calls,
//! which makes a [`replay`] of every revision; [`watch_checks`], serializable reads and the ends of leases are held
//! against that.

mod assumptions;
mod command;
pub mod faults;
#[cfg(test)]
mod generate;
mod hashes;
pub mod history;
mod leases;
pub mod linearizability;
pub mod model;
pub mod nodes;
pub mod power;
mod reads;
pub mod replay;
pub mod report;
pub mod run;
mod sightings;
#[cfg(test)]
mod tests;
pub mod traffic;
pub mod watch_checks;

pub(crate) use command::{ChaosCommand, command};
use history::History;
use linearizability::{Sightings, Verdict};
use replay::Replay;
use report::Report;

/// Checks everything that etcd promises and a history can show.
#[must_use]
pub fn check(history: &History) -> Report {
    let sightings = Sightings::from(history);
    let calls = leases::with_ends(history);
    let mut verdict = linearizability::check(&calls, &sightings);
    let mut violations = assumptions::check(history);
    violations.extend(hashes::check(history));
    let replay = match &mut verdict {
        Verdict::Linearizable(replay) => Some((**replay).clone()),
        Verdict::Undecided => seen_by_watches(history, &sightings),
        Verdict::NotLinearizable(explanation) => {
            // What calls alone make of it is the best measure for what else was seen.
            match linearizability::check(&calls, &Sightings::of_calls(history)) {
                Verdict::Linearizable(replay) => {
                    explanation.why.push_str(
                        " (the calls alone have an order: watches or single members showed something wrong)",
                    );
                    Some(*replay)
                }
                _ => seen_by_watches(history, &sightings),
            }
        }
    };
    // Where calls have no order, what was seen tells more about leases than what the calls alone make of it.
    let seen = match &verdict {
        Verdict::Linearizable(_) => None,
        _ => seen_by_watches(history, &sightings),
    };
    violations.extend(leases::check(
        history,
        &sightings,
        seen.as_ref().or(replay.as_ref()),
    ));
    violations.extend(watch_checks::check(history, replay.as_ref()));
    if let Some(replay) = &replay {
        violations.extend(reads::check(history, replay));
    }
    violations.sort_by_key(|violation| violation.at);
    Report {
        amount: report::Amount::of(history),
        verdict,
        violations,
    }
}

/// What watches saw of every revision, if it leaves no gap: the measure where calls have no order.
fn seen_by_watches(history: &History, sightings: &Sightings) -> Option<Replay> {
    let mut replay = Replay::new(&history.start);
    let (last, _) = sightings.seen.last_key_value()?;
    while replay.last() < *last {
        let seen = sightings.events.get(&(replay.last() + 1))?;
        replay.push(seen.complete.then(|| seen.events.clone())?);
    }
    Some(replay)
}
