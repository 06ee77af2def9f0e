//! The rules that the rows of a log obey, key by key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use model::{LeaseId, Revision, Version};

/// Follows the rows of a log in order of their positions and says what cannot be.
///
/// Compaction removes rows that a newer row of the same key supersedes at the compact revision. So the
/// row before one that is newer than the compact revision must be there; one at or below it may be gone.
pub(super) struct Lineage {
    compacted: Revision,
    newest: Revision,
    last: HashMap<Bytes, Version>,
}

impl Lineage {
    pub(super) fn new(compacted: Revision) -> Self {
        Self {
            compacted,
            newest: Revision::INITIAL,
            last: HashMap::new(),
        }
    }

    /// The newest revision seen so far.
    pub(super) fn newest(&self) -> Revision {
        self.newest
    }

    /// Keys that exist, as of the rows seen so far.
    pub(super) fn live(&self) -> impl Iterator<Item = &Version> {
        self.last.values().filter(|version| !version.is_tombstone())
    }

    /// Takes the next row. Returns what is wrong with it.
    pub(super) fn follow(&mut self, key: Bytes, row: Version, value_length: i64) -> Option<String> {
        let order = self.order(row);
        self.newest = self.newest.max(row.mod_revision);
        let before = match self.last.entry(key) {
            Entry::Occupied(mut entry) => Some(entry.insert(row)),
            Entry::Vacant(entry) => {
                entry.insert(row);
                None
            }
        };
        order
            .or_else(|| shape(row, value_length))
            .or_else(|| self.succession(before, row))
    }

    fn order(&self, row: Version) -> Option<String> {
        let Version {
            mod_revision: Revision(revision),
            ..
        } = row;
        if row.mod_revision <= Revision::INITIAL {
            return Some(format!("revision {revision} is below the first, 2"));
        }
        let Revision(newest) = self.newest;
        (row.mod_revision < self.newest).then(|| format!("revision {revision} comes after revision {newest}"))
    }

    /// Whether `row` can follow `before`, the row of the same key that is kept before it.
    fn succession(&self, before: Option<Version>, row: Version) -> Option<String> {
        let complete = row.mod_revision > self.compacted;
        match before {
            Some(before) if before.mod_revision == row.mod_revision => {
                Some("its key changes twice in one revision".to_owned())
            }
            Some(before) if before.is_tombstone() => after_nothing(row, complete),
            Some(before) => after_life(before, row, self.compacted),
            None => after_nothing(row, complete),
        }
    }
}

/// The rules for a row by itself.
fn shape(row: Version, value_length: i64) -> Option<String> {
    let Version {
        mod_revision,
        create_revision,
        version,
        lease,
        ..
    } = row;
    if row.is_tombstone() {
        let bare = create_revision == Revision(0) && lease == LeaseId::NONE && value_length == 0;
        return (!bare).then(|| "a delete carries a value, a lease or a create revision".to_owned());
    }
    if version < 0 {
        return Some(format!("version {version} is negative"));
    }
    if (version == 1) != (create_revision == mod_revision) || create_revision > mod_revision {
        let (created, changed) = (create_revision.0, mod_revision.0);
        return Some(format!(
            "version {version} at revision {changed} of a key created at {created}"
        ));
    }
    None
}

/// The key did not exist, as far as the kept rows tell.
fn after_nothing(row: Version, complete: bool) -> Option<String> {
    match row.version {
        1 => None,
        _ if !complete => None,
        0 => Some("a key is deleted that does not exist".to_owned()),
        version => Some(format!("version {version} of a key that does not exist")),
    }
}

/// The key existed in version `before`.
fn after_life(before: Version, row: Version, compacted: Revision) -> Option<String> {
    let same_life = row.create_revision == before.create_revision;
    // A delete between the two can be gone only if it was below the compact revision, and so was `before`.
    let gap_possible = before.mod_revision < compacted;
    let versions_missing = row.mod_revision <= compacted;
    let (old, new) = (before.version, row.version);
    match () {
        () if row.is_tombstone() => None,
        () if !same_life && gap_possible => None,
        () if !same_life => Some(format!(
            "version {new} is of another life than version {old} before it"
        )),
        () if new == old + 1 || (new > old && versions_missing) => None,
        () => Some(format!("version {new} follows version {old}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(revision: i64, created: i64, version: i64) -> Version {
        Version {
            mod_revision: Revision(revision),
            create_revision: Revision(created),
            version,
            ..Version::default()
        }
    }

    fn delete(revision: i64) -> Version {
        put(revision, 0, 0)
    }

    fn problems(compacted: i64, rows: &[Version]) -> usize {
        let mut lineage = Lineage::new(Revision(compacted));
        rows.iter()
            .filter_map(|row| lineage.follow(Bytes::from_static(b"k"), *row, 0))
            .count()
    }

    #[test]
    fn a_whole_life_is_sound() {
        assert_eq!(
            problems(-1, &[put(2, 2, 1), put(3, 2, 2), delete(4), put(5, 5, 1)]),
            0
        );
    }

    #[test]
    fn what_compaction_leaves_is_sound() {
        assert_eq!(problems(9, &[put(9, 3, 4), put(10, 3, 5)]), 0);
        assert_eq!(problems(9, &[delete(9), put(10, 10, 1)]), 0);
        assert_eq!(problems(9, &[put(2, 2, 1), put(9, 7, 2)]), 0);
    }

    #[test]
    fn a_missing_row_above_the_compaction_is_noticed() {
        assert_eq!(problems(3, &[put(2, 2, 1), put(4, 2, 3)]), 1);
        assert_eq!(problems(3, &[put(4, 2, 3)]), 1);
        assert_eq!(problems(3, &[delete(4)]), 1);
        assert_eq!(problems(-1, &[put(2, 2, 1), put(4, 4, 1)]), 1);
        assert_eq!(problems(-1, &[put(2, 2, 1), delete(3), delete(4)]), 1);
        assert_eq!(problems(-1, &[put(2, 2, 1), delete(3), put(4, 2, 2)]), 1);
    }

    #[test]
    fn what_cannot_be_is_noticed() {
        assert_eq!(problems(-1, &[put(1, 1, 1)]), 1);
        assert_eq!(problems(-1, &[put(3, 3, 1), put(2, 2, 1)]), 1);
        assert_eq!(problems(-1, &[put(2, 2, 1), put(2, 2, 1)]), 1);
        assert_eq!(problems(-1, &[put(2, 2, -1)]), 1);
        assert_eq!(problems(-1, &[put(2, 3, 1)]), 1);
        assert_eq!(problems(9, &[put(5, 5, 2)]), 1);
    }
}
