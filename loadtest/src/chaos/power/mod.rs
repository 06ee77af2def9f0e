//! A disk that loses power: a file system in memory that keeps what was synced apart from what was only written, and
//! drops, keeps or tears the latter when its power goes.
//!
//! - A file's bytes and length are durable after `fsync`, `fdatasync`, `msync`, or a write with `O_SYNC` or `O_DSYNC`.
//! - A name is durable after `fsync` of its folder: created, renamed and unlinked ones alike.
//! - What else was done may be there afterwards or not, in any combination that a page cache allows: a sector is as
//!   some change left it, and a rename is whole or undone.
//! - A sync takes a while, so that power is lost while things are not synced.
//!
//! [`Power`] says which rules apply. `sync(2)` is not told to file systems of this kind and does nothing here.

mod content;
mod disk;
mod file;
mod loss;
mod names;
mod serve;
#[cfg(test)]
mod tests;
mod tree;

use clap::ValueEnum;

pub use disk::Disk;
pub use loss::Loss;

/// What a disk and its file system promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Power {
    /// As ext4, XFS and btrfs do it: lengths and names reach the disk in order, and those of a new file with the file.
    /// etcd needs this much.
    #[default]
    Journal,
    /// What POSIX promises and no more: changes of names reach the disk in any order, and only by syncing the folder.
    Posix,
    /// The disk says that things are synced half a second before they are. No server can keep its promises on it: a
    /// harness that finds nothing wrong here finds nothing.
    Lie,
}
