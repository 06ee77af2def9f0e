//! What clients did and saw, and whether a store with one order of writes can have answered so.
//!
//! Every write makes a revision, and every answer says at which revision it was made. So the log of revisions that the
//! watchers saw is the order of writes, and a history is linearizable exactly if
//!
//! - every acknowledged write stands in the log at the revision it was told, and every other at most once,
//! - every read found what the log says of its key at its revision,
//! - no operation has a revision older than one that had been answered when it began, and a write only a newer one.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::calls::Found;

/// What the store held: by revision, the key that was written and its value.
pub(crate) type Log = BTreeMap<i64, (String, String)>;

/// What was asked, and what came of it.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// A write of a value that is written once only; its revision if it was acknowledged, else what was said.
    Write {
        key: String,
        value: String,
        outcome: Result<i64, String>,
    },
    /// A linearizable read that was answered.
    Read { key: String, found: Found },
}

/// Something that a client did.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Which member it asked.
    pub(crate) member: usize,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) done: Done,
}

impl Operation {
    /// The revision of an operation that was answered.
    fn revision(&self) -> Option<i64> {
        match &self.done {
            Done::Write { outcome, .. } => outcome.as_ref().ok().copied(),
            Done::Read { found, .. } => Some(found.revision),
        }
    }

    fn writes(&self) -> bool {
        matches!(self.done, Done::Write { .. })
    }
}

/// Everything that cannot have been, in words; empty for a good history.
pub(crate) fn faults(operations: &[Operation], log: &Log) -> Vec<String> {
    let mut faults = misplaced_writes(operations, log);
    faults.extend(wrong_reads(operations, log));
    faults.extend(out_of_order(operations));
    faults
}

fn misplaced_writes(operations: &[Operation], log: &Log) -> Vec<String> {
    let mut places: HashMap<(&str, &str), Vec<i64>> = HashMap::new();
    for (revision, (key, value)) in log {
        places.entry((key, value)).or_default().push(*revision);
    }
    let mut faults = Vec::new();
    for operation in operations {
        let Done::Write { key, value, outcome } = &operation.done else {
            continue;
        };
        let found = places
            .get(&(key.as_str(), value.as_str()))
            .map_or(&[][..], Vec::as_slice);
        match outcome {
            Ok(revision) if found != [*revision] => {
                faults.push(format!(
                    "{key}={value} was acknowledged at {revision} and stands at {found:?}"
                ));
            }
            Err(said) if found.len() > 1 => {
                faults.push(format!("{key}={value} ({said}) stands at {found:?}"));
            }
            _ => {}
        }
    }
    faults
}

fn wrong_reads(operations: &[Operation], log: &Log) -> Vec<String> {
    let mut by_key: HashMap<&str, BTreeMap<i64, &str>> = HashMap::new();
    for (revision, (key, value)) in log {
        by_key.entry(key).or_default().insert(*revision, value);
    }
    let mut faults = Vec::new();
    for operation in operations {
        let Done::Read { key, found } = &operation.done else {
            continue;
        };
        let values = by_key.get(key.as_str());
        let expected = values.and_then(|values| values.range(..=found.revision).next_back());
        let expected = expected.map(|(revision, value)| ((*value).to_owned(), *revision));
        if expected != found.value {
            faults.push(format!(
                "member {} read {key} as {found:?}, it was {expected:?}",
                operation.member
            ));
        }
    }
    faults
}

/// Sweeps over the beginnings and ends of operations in the order of time.
fn out_of_order(operations: &[Operation]) -> Vec<String> {
    let answered = |operation: &&Operation| operation.revision().is_some();
    let mut by_end: Vec<_> = operations.iter().filter(answered).collect();
    let mut by_begin = by_end.clone();
    by_end.sort_by_key(|operation| operation.ended);
    by_begin.sort_by_key(|operation| operation.begun);
    let mut faults = Vec::new();
    let (mut newest, mut ended) = (0, by_end.into_iter().peekable());
    for operation in by_begin {
        while let Some(before) = ended.next_if(|before| before.ended < operation.begun) {
            newest = newest.max(before.revision().unwrap_or_default());
        }
        let revision = operation.revision().unwrap_or_default();
        if revision < newest || (operation.writes() && revision == newest) {
            faults.push(format!(
                "revision {newest} had been answered before {operation:?} began"
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(base: Instant, from: u64, to: u64, done: Done) -> Operation {
        Operation {
            member: 0,
            begun: base + Duration::from_millis(from),
            ended: base + Duration::from_millis(to),
            done,
        }
    }

    fn write(value: &str, outcome: Result<i64, &str>) -> Done {
        Done::Write {
            key: "k".into(),
            value: value.into(),
            outcome: outcome.map_err(Into::into),
        }
    }

    fn read(revision: i64, value: Option<(&str, i64)>) -> Done {
        Done::Read {
            key: "k".into(),
            found: Found {
                revision,
                value: value.map(|(value, revision)| (value.into(), revision)),
            },
        }
    }

    fn log(values: &[(i64, &str)]) -> Log {
        let entry = |(revision, value): &(i64, &str)| (*revision, ("k".to_owned(), (*value).to_owned()));
        values.iter().map(entry).collect()
    }

    #[test]
    fn a_good_history_has_no_faults() {
        let base = Instant::now();
        let operations = [
            at(base, 0, 10, write("a", Ok(2))),
            at(base, 5, 8, read(1, None)),
            at(base, 11, 20, write("b", Err("lost"))),
            at(base, 12, 30, read(2, Some(("a", 2)))),
            at(base, 31, 32, read(3, Some(("b", 3)))),
            at(base, 31, 40, write("c", Err("lost"))),
        ];
        assert_eq!(faults(&operations, &log(&[(2, "a"), (3, "b")])), [""; 0]);
    }

    #[track_caller]
    fn fails(operations: &[Operation], values: &[(i64, &str)], because: &str) {
        let faults = faults(operations, &log(values));
        assert!(faults.len() == 1 && faults[0].contains(because), "{faults:?}");
    }

    #[test]
    fn planted_faults_are_found() {
        let base = Instant::now();
        let one = |from, to, done| at(base, from, to, done);
        fails(
            &[one(0, 1, write("a", Ok(2)))],
            &[],
            "acknowledged at 2 and stands at []",
        );
        fails(
            &[one(0, 1, write("a", Ok(2)))],
            &[(2, "a"), (3, "a")],
            "stands at [2, 3]",
        );
        fails(
            &[one(0, 1, write("a", Err("lost")))],
            &[(2, "a"), (3, "a")],
            "stands at [2, 3]",
        );
        fails(
            &[one(0, 1, read(3, Some(("a", 2))))],
            &[(2, "a"), (3, "b")],
            "it was Some",
        );
        let stale = [one(0, 1, write("b", Ok(3))), one(2, 3, read(2, Some(("a", 2))))];
        fails(&stale, &[(2, "a"), (3, "b")], "revision 3 had been answered");
        let backwards = [one(0, 1, write("b", Ok(3))), one(2, 3, write("a", Ok(2)))];
        fails(&backwards, &[(2, "a"), (3, "b")], "revision 3 had been answered");
        let reads = [
            one(0, 1, read(3, Some(("b", 3)))),
            one(2, 3, read(2, Some(("a", 2)))),
        ];
        fails(&reads, &[(2, "a"), (3, "b")], "revision 3 had been answered");
    }
}
