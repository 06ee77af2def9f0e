//! What the checks found.

use std::fmt;

use super::history::{History, Moment, Outcome, Renewal};
use super::leases;
use super::linearizability::Verdict;

/// What etcd promises, by the names that its robustness tests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// What the checks rely on: clients call one thing at a time, and ask for nothing that deserves a refusal.
    Assumptions,
    /// Serializable reads, and reads of old revisions, show what was there at their revision; a member does not go
    /// back.
    SerializableReads,
    /// A watch reports only what it was asked for.
    Filter,
    /// Revisions never go back on a watch.
    Ordered,
    /// No event comes twice.
    Unique,
    /// The events of one revision come together.
    Atomic,
    /// No event is left out between the first and the last.
    Reliable,
    /// The first event is the first that there is from the start revision on.
    Resumable,
    /// A notice of progress vouches only for what has come before it, and never goes back.
    Bookmarkable,
    /// The pair before an event is the one that was there.
    PrevKv,
    /// An event says that it created its key exactly if it did.
    IsCreate,
    /// An event's pair is what was written.
    Truthful,
    /// A watch ends only because its history was compacted, and nothing comes after the end.
    Lasting,
    /// A watch comes to the newest revision when nothing is written any more.
    Settled,
    /// A lease is there until its time is over, unless it is revoked.
    LeaseKept,
    /// A lease that nobody keeps alive ends, and its keys with it.
    LeaseEnds,
    /// All keys of a lease go at one revision.
    LeaseWhole,
    /// All members have the same hash.
    HashKv,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was promised.
    pub guarantee: Guarantee,
    /// When it was seen.
    pub at: Moment,
    /// What was seen instead.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.at / 1_000_000;
        write!(out, "{:?} at {milliseconds} ms: {}", self.guarantee, self.text)
    }
}

/// How much a history holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Calls.
    pub calls: usize,
    /// Of these, answered.
    pub answered: usize,
    /// Of these, refused.
    pub refused: usize,
    /// Of these, without an answer.
    pub unknown: usize,
    /// Calls answered that they changed keys.
    pub writes: usize,
    /// Newest revision that any call was answered with.
    pub revisions: i64,
    /// Watches.
    pub watches: usize,
    /// Events that came on them.
    pub events: usize,
    /// Notices of progress that came on them.
    pub notices: usize,
    /// Keep-alives that were answered.
    pub renewals: usize,
    /// Leases that ended by themselves, as far as anybody can tell.
    pub ended: usize,
}

impl Amount {
    /// Counts.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut amount = Self {
            calls: history.calls.len(),
            ..Self::default()
        };
        for call in &history.calls {
            match &call.outcome {
                Outcome::Answered(answer) => {
                    amount.answered += 1;
                    amount.writes += usize::from(answer.body.tells_change());
                    amount.revisions = amount.revisions.max(answer.revision);
                }
                Outcome::Refused(_) => amount.refused += 1,
                Outcome::Unknown(_) => amount.unknown += 1,
            }
        }
        let kept = |renewal: &&Renewal| matches!(renewal.ttl, Some(1..));
        amount.renewals = history.renewals.iter().filter(kept).count();
        amount.ended = leases::ended(history);
        for stream in &history.streams {
            amount.watches += stream.watches.len();
            for response in &stream.responses {
                amount.events += response.events.len();
                amount.notices += usize::from(response.is_progress());
            }
        }
        amount
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} calls ({} answered, {} refused, {} without an answer), {} writes, revision {}, {} watches, {} events, \
             {} notices of progress, {} keep-alives, {} leases that ended by themselves",
            self.calls,
            self.answered,
            self.refused,
            self.unknown,
            self.writes,
            self.revisions,
            self.watches,
            self.events,
            self.notices,
            self.renewals,
            self.ended
        )
    }
}

/// What the checks of one history found.
#[derive(Debug)]
pub struct Report {
    /// What was checked.
    pub amount: Amount,
    /// Whether calls have an order.
    pub verdict: Verdict,
    /// What else must not be, the earliest first.
    pub violations: Vec<Violation>,
}

/// Violations that are shown.
const MOST_SHOWN: usize = 20;

impl Report {
    /// Whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.verdict, Verdict::Linearizable(_)) && self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.amount)?;
        match &self.verdict {
            Verdict::Linearizable(replay) => {
                writeln!(out, "linearizable, up to revision {}", replay.last())?;
            }
            Verdict::NotLinearizable(explanation) => write!(out, "NOT LINEARIZABLE: {explanation}")?,
            Verdict::Undecided => writeln!(out, "UNDECIDED: too many orders are possible")?,
        }
        for violation in self.violations.iter().take(MOST_SHOWN) {
            writeln!(out, "VIOLATED: {violation}")?;
        }
        match self.violations.len() {
            0 => writeln!(
                out,
                "watches, serializable reads, leases and hashes are as promised"
            ),
            1..=MOST_SHOWN => Ok(()),
            more => writeln!(out, "and {} more violations", more - MOST_SHOWN),
        }
    }
}
