//! Files and folders: what programs see of them, and what is durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::SystemTime;

use fuser::{Errno, RenameFlags};

use super::Power;
use super::file::{Change, FileBody};
use super::names::{Renaming, Step, synced_with};

/// The inode of the root.
pub(super) const ROOT: u64 = 1;

/// Entries of a folder.
pub(super) type Entries = BTreeMap<OsString, u64>;

/// Entries of a folder, as programs see them and as the disk has them.
#[derive(Clone, Debug, Default)]
pub(super) struct FolderBody {
    pub(super) seen: Entries,
    pub(super) durable: Entries,
}

/// What an inode is.
#[derive(Clone, Debug)]
pub(super) enum Body {
    File(FileBody),
    Folder(FolderBody),
    Link(PathBuf),
}

/// Who may do what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) mode: u16,
    pub(super) user: u32,
    pub(super) group: u32,
}

/// A file, a folder or a symbolic link. Owner and time are durable at once: nobody's data depend on them.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) body: Body,
    pub(super) owner: Owner,
    pub(super) changed: SystemTime,
    /// How often it is open.
    pub(super) open: u32,
}

impl Inode {
    fn new(body: Body, owner: Owner) -> Self {
        let changed = SystemTime::now();
        Self {
            body,
            owner,
            changed,
            open: 0,
        }
    }
}

/// Everything on a disk.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) power: Power,
    pub(super) inodes: HashMap<u64, Inode>,
    /// Changes of names that were not synced, in order.
    pub(super) pending: Vec<Renaming>,
    /// The last change.
    pub(super) sequence: u64,
    /// The newest inode.
    newest: u64,
}

impl Tree {
    /// An empty disk.
    pub(super) fn new(power: Power) -> Self {
        let owner = Owner {
            mode: 0o755,
            user: 0,
            group: 0,
        };
        let root = Inode::new(Body::Folder(FolderBody::default()), owner);
        Self {
            power,
            inodes: HashMap::from([(ROOT, root)]),
            pending: Vec::new(),
            sequence: 0,
            newest: ROOT,
        }
    }

    pub(super) fn inode(&self, inode: u64) -> Result<&Inode, Errno> {
        self.inodes.get(&inode).ok_or(Errno::ENOENT)
    }

    pub(super) fn inode_mut(&mut self, inode: u64) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&inode).ok_or(Errno::ENOENT)
    }

    pub(super) fn file(&self, inode: u64) -> Result<&FileBody, Errno> {
        match &self.inode(inode)?.body {
            Body::File(file) => Ok(file),
            Body::Folder(_) => Err(Errno::EISDIR),
            Body::Link(_) => Err(Errno::EINVAL),
        }
    }

    pub(super) fn folder(&self, inode: u64) -> Result<&FolderBody, Errno> {
        match &self.inode(inode)?.body {
            Body::Folder(folder) => Ok(folder),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn look_up(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.folder(folder)?.seen.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// How many names an inode has.
    pub(super) fn names_of(&self, inode: u64) -> u32 {
        let folders = self.inodes.values().filter_map(|inode| match &inode.body {
            Body::Folder(folder) => Some(folder),
            _ => None,
        });
        let names = folders
            .flat_map(|folder| folder.seen.values())
            .filter(|named| **named == inode);
        u32::try_from(names.count()).unwrap_or(u32::MAX)
    }

    /// Changes a file.
    pub(super) fn change(&mut self, inode: u64, change: Change) -> Result<(), Errno> {
        self.file(inode)?;
        self.sequence += 1;
        let sequence = self.sequence;
        let inode = self.inode_mut(inode)?;
        inode.changed = SystemTime::now();
        if let Body::File(file) = &mut inode.body {
            file.change(sequence, change);
        }
        Ok(())
    }

    /// Makes something new with a name.
    pub(super) fn create(
        &mut self,
        folder: u64,
        name: &OsStr,
        body: Body,
        owner: Owner,
    ) -> Result<u64, Errno> {
        self.must_be_free(folder, name)?;
        self.newest += 1;
        self.inodes.insert(self.newest, Inode::new(body, owner));
        self.rename_all(vec![(folder, name, Some(self.newest))])?;
        Ok(self.newest)
    }

    /// Gives something another name.
    pub(super) fn link(&mut self, inode: u64, folder: u64, name: &OsStr) -> Result<(), Errno> {
        self.must_be_free(folder, name)?;
        self.rename_all(vec![(folder, name, Some(inode))])
    }

    /// Takes a name away: a folder's if `is_folder`, which must be empty, and else another's.
    pub(super) fn remove(&mut self, folder: u64, name: &OsStr, is_folder: bool) -> Result<(), Errno> {
        let inode = self.look_up(folder, name)?;
        match (self.folder(inode), is_folder) {
            (Ok(_), false) => return Err(Errno::EISDIR),
            (Err(_), true) => return Err(Errno::ENOTDIR),
            (Ok(folder), true) if !folder.seen.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.rename_all(vec![(folder, name, None)])
    }

    /// Moves a name, in place of what has the new one, or exchanges the two.
    pub(super) fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let inode = self.look_up(from.0, from.1)?;
        let there = self.look_up(to.0, to.1);
        let exchanged = flags
            .contains(RenameFlags::RENAME_EXCHANGE)
            .then_some(there)
            .transpose()?;
        if flags.contains(RenameFlags::RENAME_NOREPLACE) {
            self.must_be_free(to.0, to.1)?;
        }
        if exchanged.is_none()
            && there.is_ok_and(|there| self.folder(there).is_ok_and(|folder| !folder.seen.is_empty()))
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.rename_all(vec![(from.0, from.1, exchanged), (to.0, to.1, Some(inode))])
    }

    fn must_be_free(&self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        match self.folder(folder)?.seen.contains_key(name) {
            true => Err(Errno::EEXIST),
            false => Ok(()),
        }
    }

    /// Changes names together, for programs at once and on the disk later.
    fn rename_all(&mut self, changes: Vec<(u64, &OsStr, Option<u64>)>) -> Result<(), Errno> {
        let mut steps = Vec::new();
        for (folder, name, inode) in changes {
            let seen = &mut self.folder_mut(folder)?.seen;
            let before = give(seen, name, inode);
            steps.push(Step {
                folder,
                name: name.to_owned(),
                inode,
                before,
            });
        }
        self.sequence += 1;
        self.pending.push(Renaming {
            sequence: self.sequence,
            steps,
        });
        Ok(())
    }

    fn folder_mut(&mut self, inode: u64) -> Result<&mut FolderBody, Errno> {
        match &mut self.inode_mut(inode)?.body {
            Body::Folder(folder) => Ok(folder),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Makes durable what was done to a file or a folder up to a place in the order of changes.
    pub(super) fn sync(&mut self, inode: u64, mark: u64) -> Result<(), Errno> {
        match &mut self.inode_mut(inode)?.body {
            Body::File(file) => {
                file.sync(mark);
                self.commit_names_with(inode, mark);
            }
            Body::Folder(_) => self.sync_folder(inode, mark),
            Body::Link(_) => {}
        }
        Ok(())
    }

    fn sync_folder(&mut self, folder: u64, mark: u64) {
        if self.power == Power::Journal {
            self.settle(|pending| pending.sequence <= mark);
        } else {
            let synced = synced_with(&self.pending, folder, mark);
            self.settle(|pending| synced.contains(&pending.sequence));
        }
        self.forget();
    }

    /// Whether all that was done to a file is durable. Of a folder it is not asked.
    pub(super) fn is_synced(&self, inode: u64) -> bool {
        let named =
            self.power == Power::Journal && self.pending.iter().any(|pending| pending.tells_of(inode));
        self.file(inode).is_ok_and(|file| file.pending.is_empty()) && !named
    }

    /// With a journal, a file that is synced takes along its name, and all names that changed before.
    fn commit_names_with(&mut self, inode: u64, mark: u64) {
        let told = self.pending.iter().any(|pending| pending.tells_of(inode));
        if self.power == Power::Journal && told {
            self.settle(|pending| pending.sequence <= mark);
        }
    }

    /// Makes some changes of names durable, in order. The others stay pending.
    pub(super) fn settle(&mut self, mut is_durable: impl FnMut(&Renaming) -> bool) {
        let pending = std::mem::take(&mut self.pending);
        for renaming in pending {
            if !is_durable(&renaming) {
                self.pending.push(renaming);
                continue;
            }
            for step in &renaming.steps {
                if let Ok(folder) = self.folder_mut(step.folder) {
                    give(&mut folder.durable, &step.name, step.inode);
                }
            }
        }
    }

    /// Gives up what nobody can reach any more, now or after a loss.
    pub(super) fn forget(&mut self) {
        let mut reached = HashSet::from([ROOT]);
        for (number, inode) in &self.inodes {
            if inode.open > 0 {
                reached.insert(*number);
            }
            if let Body::Folder(folder) = &inode.body {
                reached.extend(folder.seen.values().chain(folder.durable.values()));
            }
        }
        let told = self.pending.iter().flat_map(|pending| &pending.steps);
        reached.extend(told.flat_map(|step| step.inode.into_iter().chain(step.before)));
        self.inodes.retain(|number, _| reached.contains(number));
    }
}

/// Gives a name to an inode or to nobody, and tells whose it was.
fn give(entries: &mut Entries, name: &OsStr, inode: Option<u64>) -> Option<u64> {
    match inode {
        Some(inode) => entries.insert(name.to_owned(), inode),
        None => entries.remove(name),
    }
}
