//! How much room the disk of the data directory has left, said when that changes.
//!
//! A member of several that has no room is carried by the others, and nothing else would tell: until a second one is in
//! the same state, and nobody can write any more.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Below this it is said that there is little room, bytes.
const LITTLE: u64 = 256 << 20;
/// Below this there is none: Dqlite writes its log in files of 8 MiB.
const NONE: u64 = 16 << 20;

/// What is said of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Ample,
    Little,
    None,
}

impl Room {
    /// What there is with so many bytes. After there was less, it takes twice as many to be as good as before: what is
    /// said must not change with every file that comes and goes.
    fn of(free: u64, before: Self) -> Self {
        let factor = |room| {
            if before == room || before == Self::None {
                2
            } else {
                1
            }
        };
        match free {
            free if free < NONE * factor(Self::None) => Self::None,
            free if free < LITTLE * factor(Self::Little) => Self::Little,
            _ => Self::Ample,
        }
    }
}

/// Watches the disk, for as long as it is polled.
pub(crate) async fn watch(data_dir: PathBuf) -> Infallible {
    let mut before = Room::Ample;
    loop {
        if let Some(free) = free(&data_dir) {
            let room = Room::of(free, before);
            if room != before {
                say(room, free, &data_dir);
            }
            before = room;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Bytes that this process may still write; none while the disk does not tell.
fn free(data_dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(data_dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn say(room: Room, free: u64, data_dir: &Path) {
    let data_dir = data_dir.display();
    match room {
        Room::Ample => tracing::info!(free, %data_dir, "the disk of the data directory has room again"),
        Room::Little => tracing::warn!(free, %data_dir, "the disk of the data directory is nearly full"),
        Room::None => tracing::error!(free, %data_dir, "the disk of the data directory is full"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_changes_at_a_bound_and_back_well_above_it() {
        let seen = [
            LITTLE,
            LITTLE - 1,
            LITTLE,
            2 * LITTLE - 1,
            2 * LITTLE,
            NONE - 1,
            NONE,
            2 * NONE,
        ];
        let mut before = Room::Ample;
        let said = seen.map(|free| {
            before = Room::of(free, before);
            before
        });
        let (ample, little, none) = (Room::Ample, Room::Little, Room::None);
        assert_eq!(said, [ample, little, little, little, ample, none, none, little]);
    }

    #[test]
    fn the_disk_of_a_folder_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(free(folder.path()).is_some());
        assert!(free(&folder.path().join("nothing")).is_none());
    }
}
