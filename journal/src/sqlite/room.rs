//! Room for the write-ahead log: zeros, written before there is anything to commit.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::connection::wal_path;

/// How much is written at a time, a page of memory: the kernel keeps what was written at once as one piece of its cache,
/// and counts all of a piece as written when a part of it is.
const PIECE: usize = 4096;

/// Makes the write-ahead log of a database so long, durably. A commit that makes the file longer waits until the file
/// system has noted that down as well: on ext4 with its journal that takes nearly twice as long as the commit itself.
/// SQLite reads on from a frame only to one that continues it, which zeros do not.
///
/// Nothing may be written to the database meanwhile. Without it the log works as well, so what cannot be had is left.
pub(super) fn make(database: &Path, length: u64) {
    let path = wal_path(database);
    if let Err(error) = lengthen(&path, length) {
        tracing::warn!(%error, path = %path.display(), "no room was made for the write-ahead log");
    }
}

fn lengthen(path: &Path, length: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let before = file.seek(SeekFrom::End(0))?;
    fill(&file, length.saturating_sub(before)).inspect_err(|_| {
        // Half of it on a full disk would be in the way of those who could use it.
        drop(file.set_len(before));
    })
}

fn fill(mut file: &File, mut left: u64) -> io::Result<()> {
    let zeros = vec![0; PIECE];
    while left > 0 {
        let piece = left.min(PIECE as u64);
        file.write_all(&zeros[..piece as usize])?;
        left -= piece;
    }
    file.sync_data()
}
