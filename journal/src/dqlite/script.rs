//! Any other append: a transaction in one request, as a text with its parameters.
//!
//! The fence is a row that the transaction writes first: under another epoch it would have to become
//! NULL, which it cannot be, and that ends the transaction before anything else is done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dqlite::wire::Value;
use model::{AlarmMember, Effect, Lease, LeaseId, Position, Revision};

use super::insert::Expected;
use super::row::of_event;
use crate::sqlite::row::alarm_columns;
use crate::sqlite::writer::COMPACT;

/// As many rows or positions as one statement names. SQLite takes 32,766 parameters in one.
const AT_ONCE: usize = 2048;

/// Statements to run as one transaction.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) sql: String,
    pub(super) parameters: Vec<Value>,
}

impl Script {
    /// The transaction that stores these effects, if the log is as expected.
    pub(super) fn new(effects: &[Effect], expected: Expected, lease_clock_ms: i64) -> Self {
        let mut script = Self::default();
        script.begin(expected, lease_clock_ms);
        script.change_log(effects);
        script.change_leases(effects);
        script.change_alarms(effects);
        script.sql += "COMMIT";
        script
    }

    fn begin(&mut self, expected: Expected, lease_clock_ms: i64) {
        self.sql += "BEGIN IMMEDIATE;";
        self.add(
            "UPDATE fence SET lease_clock_ms = max(lease_clock_ms, ?), epoch = CASE WHEN epoch = ?
                AND coalesce((SELECT max(position) FROM log), 0) <= ? THEN epoch END;",
            [lease_clock_ms, expected.epoch, expected.newest.0],
        );
    }

    fn add(&mut self, sql: &str, numbers: impl IntoIterator<Item = i64>) {
        self.sql += sql;
        self.parameters.extend(numbers.into_iter().map(Value::Integer));
    }

    /// What changes the log stays in order, since one may undo another; what is alike is done at once.
    fn change_log(&mut self, effects: &[Effect]) {
        let changes_log = |effect: &&Effect| {
            matches!(
                effect,
                Effect::Key(_) | Effect::Compacted(_) | Effect::Scrubbed(_)
            )
        };
        let changes: Vec<_> = effects.iter().filter(changes_log).collect();
        for alike in changes.chunk_by(|one, next| is_event(one) && is_event(next)) {
            match alike {
                [Effect::Compacted(Revision(revision))] => self.add(&format!("{COMPACT};"), [*revision]),
                [Effect::Scrubbed(positions)] => self.scrub(positions),
                events => events.chunks(AT_ONCE).for_each(|events| self.insert(events)),
            }
        }
    }

    fn insert(&mut self, events: &[&Effect]) {
        self.sql += "INSERT INTO log VALUES ";
        self.list("(?, ?, ?, ?, ?, ?, ?)", events.len());
        let values = events.iter().filter_map(|effect| match effect {
            Effect::Key(event) => Some(of_event(event)),
            _ => None,
        });
        self.parameters.extend(values.flatten());
        self.sql += ";";
    }

    fn scrub(&mut self, positions: &[Position]) {
        for some in positions.chunks(AT_ONCE) {
            self.delete("log WHERE position", some.iter().map(|position| position.0));
        }
    }

    /// Of a lease and of an alarm only what it is in the end matters.
    fn change_leases(&mut self, effects: &[Effect]) {
        let mut last: BTreeMap<LeaseId, Option<Lease>> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::LeaseGranted(lease) | Effect::LeaseRenewed(lease) => {
                    last.insert(lease.id, Some(*lease));
                }
                Effect::LeaseRevoked(id) => drop(last.insert(*id, None)),
                _ => {}
            }
        }
        let kept: Vec<_> = last.values().flatten().collect();
        kept.chunks(AT_ONCE).for_each(|leases| self.put_leases(leases));
        let gone: Vec<_> = last
            .iter()
            .filter(|(_, lease)| lease.is_none())
            .map(|(id, _)| id.0)
            .collect();
        for some in gone.chunks(AT_ONCE) {
            self.delete("lease WHERE id", some.iter().copied());
        }
    }

    fn put_leases(&mut self, leases: &[&Lease]) {
        self.sql += "INSERT INTO lease VALUES ";
        self.list("(?, ?, ?)", leases.len());
        let numbers = leases
            .iter()
            .flat_map(|lease| [lease.id.0, lease.ttl, lease.deadline_ms]);
        self.add(
            " ON CONFLICT (id) DO UPDATE SET ttl = excluded.ttl, deadline_ms = excluded.deadline_ms;",
            numbers,
        );
    }

    fn change_alarms(&mut self, effects: &[Effect]) {
        let mut last: BTreeMap<AlarmMember, bool> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::AlarmRaised(alarm) => drop(last.insert(*alarm, true)),
                Effect::AlarmCleared(alarm) => drop(last.insert(*alarm, false)),
                _ => {}
            }
        }
        for (alarm, raised) in last {
            let change = match raised {
                true => "INSERT INTO alarm VALUES (?, ?) ON CONFLICT DO NOTHING;",
                false => "DELETE FROM alarm WHERE kind = ? AND member_id = ?;",
            };
            self.add(change, alarm_columns(alarm));
        }
    }

    fn delete(&mut self, place: &str, numbers: impl IntoIterator<Item = i64>) {
        let before = self.parameters.len();
        self.parameters.extend(numbers.into_iter().map(Value::Integer));
        let _infallible = write!(self.sql, "DELETE FROM {place} IN (");
        self.list("?", self.parameters.len() - before);
        self.sql += ");";
    }

    fn list(&mut self, item: &str, count: usize) {
        for number in 0..count {
            self.sql += if number == 0 { "" } else { ", " };
            self.sql += item;
        }
    }
}

fn is_event(effect: &&Effect) -> bool {
    matches!(effect, Effect::Key(_))
}
