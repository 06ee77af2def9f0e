//! Is there one order of all calls, each at one moment between its invocation and its return, in which a single
//! server would have given exactly these answers?
//!
//! A search of the kind of Wing & Gong with Lowe's memo, and exact: it never rejects a history that has such an order
//! (nor accepts one that has none). It is fast because etcd's answers carry revisions:
//!
//! - A revision belongs to one write. If a call was answered with a new revision, only that call can have made it,
//!   so there is no choice.
//! - A call that changes nothing and fits the state is taken as soon as it may be: taking it earlier never hurts.
//!   All that was answered at a revision must be taken before the next one begins.
//! - There is a choice only where a revision was made by a call without an answer. What watches and reads saw at
//!   that revision narrows it down, mostly to one call. Calls without an answer that ask for the same are alike, so
//!   only one of them is tried; those that can change nothing any more are forgotten.
//! - Calls without an answer that take no revision (leases, compactions) are taken only when another call needs
//!   them: putting one off to that moment never hurts.
//!
//! Configurations that were tried are remembered by a 128-bit hash of the state, of the calls taken and of the
//! unanswered calls that are left.

mod choices;
mod explain;
mod prepare;
mod search;
mod visited;

use std::collections::BTreeMap;

use super::history::{Event, History, Moment};
use super::replay::Replay;

pub use explain::Explanation;
use prepare::Prepared;
use search::{End, Search};

/// Configurations that may be tried before the search gives up. Histories with answers need about none.
const MOST_CONFIGURATIONS: usize = 1_000_000;
/// Things that may be taken, those that are taken back included, before the search gives up.
const MOST_STEPS: usize = 50_000_000;

/// What is known of revisions besides the answers to calls.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// What watches saw of a revision.
    pub events: BTreeMap<i64, Seen>,
    /// When a revision was first known to be there.
    pub seen: BTreeMap<i64, Moment>,
    /// Whether serializable reads and reads of old revisions tell what was there.
    pub reads: bool,
}

/// What watches saw of a revision.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The events, in order if they are complete.
    pub events: Vec<Event>,
    /// A watch of all keys saw them, so there were no others.
    pub complete: bool,
}

/// The result of a check.
#[derive(Debug)]
pub enum Verdict {
    /// There is such an order; this is what it makes of every revision.
    Linearizable(Box<Replay>),
    /// There is none.
    NotLinearizable(Box<Explanation>),
    /// Nobody knows: too many orders are possible.
    Undecided,
}

/// Checks all linearizable calls of a history.
#[must_use]
pub fn check(history: &History, sightings: &Sightings) -> Verdict {
    let end = Prepared::new(history, sightings).map(|prepared| Search::new(&prepared).run());
    match end {
        Ok(End::Found(replay)) => Verdict::Linearizable(Box::new(replay)),
        Ok(End::Exhausted) => Verdict::Undecided,
        Ok(End::None(_)) | Err(_) => Verdict::NotLinearizable(Box::new(explain::explain(history, sightings))),
    }
}
