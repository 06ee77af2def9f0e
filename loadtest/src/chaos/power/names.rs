//! Names that were given, changed and taken away, and which of them the disk has.

use std::collections::BTreeSet;
use std::ffi::OsString;

/// A folder's entry becomes this inode's, or nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) folder: u64,
    pub(super) name: OsString,
    pub(super) inode: Option<u64>,
    /// Whose it was.
    pub(super) before: Option<u64>,
}

/// A change of names that happens whole or not at all: a creation, an unlink, both halves of a rename.
#[derive(Clone, Debug)]
pub(super) struct Renaming {
    pub(super) sequence: u64,
    pub(super) steps: Vec<Step>,
}

impl Renaming {
    fn folders(&self) -> impl Iterator<Item = u64> {
        self.steps.iter().map(|step| step.folder)
    }

    fn inodes(&self) -> impl Iterator<Item = u64> {
        self.steps
            .iter()
            .flat_map(|step| step.inode.into_iter().chain(step.before))
    }

    /// Whether it says something of an inode.
    pub(super) fn tells_of(&self, inode: u64) -> bool {
        self.inodes().any(|told| told == inode)
    }
}

/// Which changes become durable, when a folder is synced: its own, and what the folders it shares a rename with did
/// before that.
pub(super) fn synced_with(pending: &[Renaming], folder: u64, mark: u64) -> BTreeSet<u64> {
    let mut folders = BTreeSet::from([folder]);
    let mut synced = BTreeSet::new();
    for renaming in pending.iter().rev().filter(|renaming| renaming.sequence <= mark) {
        if renaming.folders().any(|folder| folders.contains(&folder)) {
            folders.extend(renaming.folders());
            synced.insert(renaming.sequence);
        }
    }
    synced
}

/// Which changes the disk has if it has the chosen ones: what happened before to the same names and inodes, too.
pub(super) fn kept_with(pending: &[Renaming], mut chosen: impl FnMut(&Renaming) -> bool) -> BTreeSet<u64> {
    let (mut names, mut inodes, mut kept) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for renaming in pending.iter().rev() {
        let is_needed = renaming.tells_of_any(&inodes)
            || renaming
                .steps
                .iter()
                .any(|step| names.contains(&(step.folder, &step.name)));
        if chosen(renaming) || is_needed {
            names.extend(renaming.steps.iter().map(|step| (step.folder, &step.name)));
            inodes.extend(renaming.inodes());
            kept.insert(renaming.sequence);
        }
    }
    kept
}

impl Renaming {
    fn tells_of_any(&self, inodes: &BTreeSet<u64>) -> bool {
        self.inodes().any(|inode| inodes.contains(&inode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(folder: u64, name: &str, inode: Option<u64>, before: Option<u64>) -> Step {
        let name = name.into();
        Step {
            folder,
            name,
            inode,
            before,
        }
    }

    /// A creation, a rename to another folder, and a creation there, before and after.
    fn pending() -> Vec<Renaming> {
        let steps = [
            vec![step(1, "a", Some(10), None)],
            vec![step(2, "x", Some(11), None)],
            vec![step(1, "a", None, Some(10)), step(2, "b", Some(10), None)],
            vec![step(2, "y", Some(12), None)],
        ];
        (1..)
            .zip(steps)
            .map(|(sequence, steps)| Renaming { sequence, steps })
            .collect()
    }

    #[test]
    fn a_synced_folder_takes_along_what_it_shares_a_rename_with() {
        assert_eq!(synced_with(&pending(), 1, 4), BTreeSet::from([1, 2, 3]));
        assert_eq!(synced_with(&pending(), 2, 4), BTreeSet::from([1, 2, 3, 4]));
        assert_eq!(synced_with(&pending(), 1, 2), BTreeSet::from([1]));
        assert_eq!(synced_with(&pending(), 3, 4), BTreeSet::new());
    }

    #[test]
    fn a_rename_is_kept_with_the_creation_before_it() {
        let only = |sequence| kept_with(&pending(), move |renaming| renaming.sequence == sequence);
        assert_eq!(only(3), BTreeSet::from([1, 3]));
        assert_eq!(only(4), BTreeSet::from([4]));
        assert_eq!(only(1), BTreeSet::from([1]));
    }
}
