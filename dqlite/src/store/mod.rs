//! The files that go-dqlite keeps beside a node's raft log, in its formats, so that its tools go on working.
//!
//! | file | holds |
//! |---|---|
//! | `info.yaml` | who the node is: `ID`, `Address`, `Role` (written once, the role is not kept up) |
//! | `cluster.yaml` | the members last seen, a list of the same; they are asked first who leads |
//! | `join` | empty; there until the node has been added to the cluster |
//! | `bootstrap` | empty, ours; there until the node has begun its own cluster |
//! | `store-lock` | empty, ours; locked while a program uses the directory |
//!
//! `info.yaml` and `cluster.yaml` exist both or neither. Everything here blocks on the disk.

mod disk;
mod yaml;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::wire::{Member, Role, Server};

const INFO: &str = "info.yaml";
const CLUSTER: &str = "cluster.yaml";
const JOIN: &str = "join";
const BOOTSTRAP: &str = "bootstrap";
const LOCK: &str = "store-lock";
/// The lock that Dqlite itself takes while a node runs (`LOCK_FILENAME` in its server.c).
const DQLITE_LOCK: &str = "dqlite-lock";

/// Why a data directory cannot be used. Nothing was changed in it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another node, of this or another program, uses the directory.
    #[error("data directory {} is in use by another node", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// One of the files that exist both or neither is missing.
    #[error("data directory {} holds {present} but no {missing}", path.display())]
    Incomplete {
        /// The data directory.
        path: PathBuf,
        /// What is there.
        present: &'static str,
        /// What should be there too.
        missing: &'static str,
    },
    /// A file was not written by a node, or is damaged.
    #[error("{} is malformed: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refused.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was refused.
        source: io::Error,
    },
}

impl StoreError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// What a new node is about to do, and has not done as long as this is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Begin a cluster of its own.
    Bootstrap,
    /// Be added to the cluster of the members in the store.
    Join,
}

impl Pending {
    fn file(self) -> &'static str {
        match self {
            Self::Bootstrap => BOOTSTRAP,
            Self::Join => JOIN,
        }
    }
}

/// A node's data directory, locked for as long as this value lives.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// When a node uses it, be it one of go-dqlite, or the operating system refuses.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        disk::make(&path).map_err(|source| StoreError::io(&path, source))?;
        let held = lock(&path, LOCK)?;
        if path.join(DQLITE_LOCK).exists() {
            drop(lock(&path, DQLITE_LOCK)?);
        }
        Ok(Self { path, _lock: held })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who the node is, if the directory was used before. A node that died while it was first written down
    /// ([`initialize`](Self::initialize)) has no identity yet.
    ///
    /// # Errors
    /// When a file is malformed, or one is there without the others that belong to it: a raft log
    /// without its node's identity, or an identity without the members.
    pub fn identity(&self) -> Result<Option<Server>, StoreError> {
        let begun = self.is_pending(Pending::Bootstrap) || self.is_pending(Pending::Join);
        match (self.has(INFO), self.has(CLUSTER)) {
            (true, true) => {}
            (true, false) => return Err(self.incomplete(INFO, CLUSTER)),
            (false, _) if self.has_log()? => return Err(self.incomplete("a raft log", INFO)),
            (false, true) if !begun => return Err(self.incomplete(CLUSTER, INFO)),
            (false, _) => return Ok(None),
        }
        let info = yaml::read_member(&self.read(INFO)?).map_err(|what| self.malformed(INFO, what))?;
        if info.id == 0 {
            return Err(self.malformed(INFO, "the node's ID is zero".to_owned()));
        }
        Ok(Some(Server {
            id: info.id,
            address: info.address,
        }))
    }

    /// Remembers who a new node is, whom it knows, and what it is about to do: that first and the identity last,
    /// so a node that dies in between is as new as before.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn initialize(
        &self,
        identity: &Server,
        members: &[Member],
        pending: Pending,
    ) -> Result<(), StoreError> {
        self.forget(CLUSTER)?;
        for flag in [Pending::Bootstrap, Pending::Join] {
            self.forget(flag.file())?;
        }
        self.write(pending.file(), "")?;
        self.set_members(members)?;
        let info = Member {
            id: identity.id,
            address: identity.address.clone(),
            role: Role::Voter,
        };
        self.write(INFO, &yaml::write_member(&info))
    }

    /// The members last seen. Those that were only told to a node that joins have the identity zero.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub fn members(&self) -> Result<Vec<Member>, StoreError> {
        yaml::read_members(&self.read(CLUSTER)?).map_err(|what| self.malformed(CLUSTER, what))
    }

    /// Remembers the members.
    ///
    /// # Errors
    /// When the file cannot be written; it is then as it was.
    pub fn set_members(&self, members: &[Member]) -> Result<(), StoreError> {
        self.write(CLUSTER, &yaml::write_members(members))
    }

    /// Whether the node has yet to do what a new node does.
    #[must_use]
    pub fn is_pending(&self, pending: Pending) -> bool {
        self.has(pending.file())
    }

    /// Remembers that it is done.
    ///
    /// # Errors
    /// When the flag cannot be removed.
    pub fn settle(&self, pending: Pending) -> Result<(), StoreError> {
        self.forget(pending.file())
    }

    /// Whether there is anything that raft wrote.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn has_log(&self) -> Result<bool, StoreError> {
        let io = |source| StoreError::io(&self.path, source);
        for entry in fs::read_dir(&self.path).map_err(io)? {
            if entry.map_err(io)?.file_name().to_str().is_some_and(is_of_raft) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has(&self, file: &str) -> bool {
        self.path.join(file).exists()
    }

    fn read(&self, file: &str) -> Result<String, StoreError> {
        let path = self.path.join(file);
        fs::read_to_string(&path).map_err(|source| StoreError::io(&path, source))
    }

    fn write(&self, file: &str, content: &str) -> Result<(), StoreError> {
        disk::write(&self.path, file, content).map_err(|source| StoreError::io(&self.path.join(file), source))
    }

    fn forget(&self, file: &str) -> Result<(), StoreError> {
        disk::remove(&self.path, file).map_err(|source| StoreError::io(&self.path.join(file), source))
    }

    fn incomplete(&self, present: &'static str, missing: &'static str) -> StoreError {
        StoreError::Incomplete {
            path: self.path.clone(),
            present,
            missing,
        }
    }

    fn malformed(&self, file: &str, what: String) -> StoreError {
        StoreError::Malformed {
            path: self.path.join(file),
            what,
        }
    }
}

/// The names of raft's files: metadata, open and closed segments of the log, snapshots.
fn is_of_raft(name: &str) -> bool {
    let closed = name
        .split_once('-')
        .is_some_and(|(first, last)| is_index(first) && is_index(last));
    closed
        || ["metadata1", "metadata2"].contains(&name)
        || name.starts_with("open-")
        || name.starts_with("snapshot-")
}

/// A closed segment is named by its first and last index, 16 digits each.
fn is_index(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn lock(directory: &Path, name: &str) -> Result<File, StoreError> {
    let path = directory.join(name);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(|source| StoreError::io(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: directory.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(StoreError::io(&path, source)),
    }
}

#[cfg(test)]
mod tests;
