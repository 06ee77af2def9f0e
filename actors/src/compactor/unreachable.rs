//! Rows that compaction made unreachable and that may still be in the log.

use std::collections::{BTreeSet, HashSet};

use model::Position;

/// What passes over this member's index found, less what the log says was scrubbed.
///
/// Another member may scrub a row before the pass here finds it, so each side waits for the other.
#[derive(Debug, Default)]
pub(super) struct Unreachable {
    found: BTreeSet<Position>,
    /// Scrubbed rows that no pass here has found yet.
    early: HashSet<Position>,
}

impl Unreachable {
    /// A pass found these rows. Returns those that are in the log yet.
    pub(super) fn found(&mut self, rows: impl IntoIterator<Item = Position>) -> Vec<Position> {
        let there: Vec<Position> = rows.into_iter().filter(|row| !self.early.remove(row)).collect();
        self.found.extend(&there);
        there
    }

    /// These rows are gone from the log.
    pub(super) fn scrubbed(&mut self, rows: &[Position]) {
        for row in rows {
            if !self.found.remove(row) {
                self.early.insert(*row);
            }
        }
    }

    /// Every row that can have been scrubbed so far has been looked for.
    pub(super) fn pass_complete(&mut self) {
        self.early.clear();
    }

    /// How many rows are left to scrub.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// What is left to scrub, oldest first: a key's versions before its tombstone.
    pub(super) fn left(&self) -> Vec<Position> {
        self.found.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(range: std::ops::Range<i64>) -> Vec<Position> {
        range.map(Position).collect()
    }

    #[test]
    fn what_is_found_and_scrubbed_in_either_order_is_done() {
        let mut unreachable = Unreachable::default();
        assert_eq!(unreachable.found(rows(1..4)), rows(1..4));
        unreachable.scrubbed(&rows(2..6));
        assert_eq!(unreachable.left(), rows(1..2));
        assert_eq!(unreachable.found(rows(4..7)), rows(6..7));
        assert_eq!(unreachable.left(), [Position(1), Position(6)]);
    }

    #[test]
    fn what_no_pass_finds_is_forgotten_with_the_pass() {
        let mut unreachable = Unreachable::default();
        unreachable.scrubbed(&rows(1..100));
        unreachable.pass_complete();
        assert_eq!(unreachable.found(rows(5..6)), rows(5..6));
    }
}
