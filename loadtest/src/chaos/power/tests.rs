use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rustix::fs::{FallocateFlags, OFlags, RenameFlags, fallocate, renameat_with};
use tempfile::TempDir;

use super::{Disk, Loss, Power};
use crate::chaos::nodes::Room;

/// A disk with a room of its own.
struct Bench {
    disk: Disk,
    _folder: TempDir,
}

impl Bench {
    fn new(power: Power, seed: u64) -> Self {
        let room = Arc::new(Room::open(None).expect("namespaces, as root"));
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::mount(&room, folder.path(), power, seed).expect("a disk, with /dev/fuse");
        Self {
            disk,
            _folder: folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.seen_from_outside().join(name)
    }

    fn lose_power(&mut self) -> Loss {
        self.disk.cut();
        let loss = self.disk.unplug().unwrap();
        self.disk.plug().unwrap();
        loss
    }

    fn sync_folder(&self, name: &str) {
        File::open(self.path(name)).unwrap().sync_all().unwrap();
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Does the same with many seeds, and tells what came of each.
fn with_seeds<T>(power: Power, work: impl Fn(&mut Bench) -> T) -> Vec<T> {
    (0..24).map(|seed| work(&mut Bench::new(power, seed))).collect()
}

fn synced(path: &Path, bytes: &[u8]) -> File {
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    file
}

#[test]
fn it_is_a_file_system() {
    let bench = Bench::new(Power::Posix, 1);
    fs::create_dir_all(bench.path("a/b")).unwrap();
    fs::write(bench.path("a/b/file"), b"0123456789").unwrap();
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .open(bench.path("a/b/file"))
        .unwrap();
    file.write_all(b"more").unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    let mut end = String::new();
    file.read_to_string(&mut end).unwrap();
    assert_eq!(end, "89more");
    file.set_len(3).unwrap();
    file.write_all(b"x").unwrap();
    assert_eq!(fs::read(bench.path("a/b/file")).unwrap(), b"012x");
    fs::set_permissions(bench.path("a/b/file"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        fs::metadata(bench.path("a/b/file")).unwrap().mode() & 0o777,
        0o600
    );
    assert!(fs::metadata(bench.path("none")).is_err());
}

#[test]
fn names_are_changed() {
    let bench = Bench::new(Power::Posix, 1);
    fs::create_dir(bench.path("folder")).unwrap();
    fs::write(bench.path("one"), b"1").unwrap();
    fs::write(bench.path("two"), b"2").unwrap();
    fs::rename(bench.path("one"), bench.path("folder/one")).unwrap();
    fs::rename(bench.path("two"), bench.path("folder/one")).unwrap();
    assert_eq!(fs::read(bench.path("folder/one")).unwrap(), b"2");
    assert!(fs::remove_dir(bench.path("folder")).is_err());
    fs::hard_link(bench.path("folder/one"), bench.path("same")).unwrap();
    symlink("folder/one", bench.path("link")).unwrap();
    assert_eq!(fs::metadata(bench.path("link")).unwrap().nlink(), 2);
    assert!(
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(bench.path("same"))
            .is_err()
    );
    let here = File::open(bench.path("")).unwrap();
    let no_replace = renameat_with(&here, "same", &here, "folder/one", RenameFlags::NOREPLACE);
    assert!(no_replace.is_err());
    renameat_with(&here, "same", &here, "link", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(bench.names(""), ["folder", "link", "same"]);
    fs::remove_file(bench.path("folder/one")).unwrap();
    fs::remove_dir(bench.path("folder")).unwrap();
    assert_eq!(fs::read(bench.path("link")).unwrap(), b"2");
}

#[test]
fn an_open_file_outlives_its_name() {
    let bench = Bench::new(Power::Posix, 1);
    let file = synced(&bench.path("file"), b"still there");
    fs::remove_file(bench.path("file")).unwrap();
    bench.sync_folder("");
    file.write_all_at(b"S", 0).unwrap();
    let mut bytes = [0; 11];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"Still there");
    assert!(bench.names("").is_empty());
}

#[test]
fn a_big_folder_is_listed_while_it_is_emptied() {
    let bench = Bench::new(Power::Posix, 1);
    for number in 0..700 {
        File::create(bench.path(&format!("a-name-that-is-not-short-{number:04}"))).unwrap();
    }
    let mut removed = 0;
    for entry in fs::read_dir(bench.path("")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        removed += 1;
    }
    assert_eq!((removed, bench.names("").len()), (700, 0));
}

#[test]
fn files_are_allocated_and_punched() {
    let bench = Bench::new(Power::Posix, 1);
    let file = synced(&bench.path("file"), &[7; 10_000]);
    fallocate(&file, FallocateFlags::empty(), 0, 64 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 64 << 20);
    assert!(file.metadata().unwrap().blocks() < 100, "it was not filled");
    fallocate(
        &file,
        FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        100,
        200,
    )
    .unwrap();
    fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 80 << 20).unwrap();
    let bytes = fs::read(bench.path("file")).unwrap();
    assert_eq!(
        (bytes.len(), &bytes[99..102], bytes[300]),
        (64 << 20, &[7, 0, 0][..], 7)
    );
    assert!(fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 0, 4096).is_err());
}

#[test]
fn files_are_locked() {
    let bench = Bench::new(Power::Posix, 1);
    let first = File::create(bench.path("lock")).unwrap();
    let second = File::open(bench.path("lock")).unwrap();
    first.lock().unwrap();
    assert!(matches!(second.try_lock(), Err(TryLockError::WouldBlock)));
    first.unlock().unwrap();
    second.try_lock().unwrap();
}

/// SQLite shares its index in mapped memory and its locks between connections, and reads the file through a map.
#[test]
fn sqlite_maps_locks_and_syncs() {
    let mut bench = Bench::new(Power::Posix, 3);
    let open = |bench: &Bench| {
        let connection = Connection::open(bench.path("log.db")).unwrap();
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 1000000";
        connection.execute_batch(settings).unwrap();
        connection
    };
    let (writer, reader) = (open(&bench), open(&bench));
    writer
        .execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, bytes BLOB)")
        .unwrap();
    let count = |connection: &Connection| -> i64 {
        let counted = connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
        counted.unwrap()
    };
    for round in 1..=6 {
        for _ in 0..5 {
            writer
                .execute("INSERT INTO t (bytes) VALUES (zeroblob(5000))", [])
                .unwrap();
        }
        assert_eq!(count(&reader), 5 * round);
        reader.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
    }
    drop((writer, reader));
    for _ in 0..4 {
        bench.lose_power();
        let after = open(&bench);
        assert_eq!(count(&after), 30);
        let check: String = after
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
        after
            .execute_batch("BEGIN; UPDATE t SET bytes = zeroblob(6000); COMMIT")
            .unwrap();
    }
}

#[test]
fn what_is_synced_survives() {
    for power in [Power::Posix, Power::Journal] {
        for seed in 0..6 {
            let mut bench = Bench::new(power, seed);
            synced(&bench.path("file"), &[5; 3000]);
            let dsync = OFlags::DSYNC.bits().cast_signed();
            let direct = OpenOptions::new()
                .write(true)
                .create(true)
                .custom_flags(dsync)
                .open(bench.path("dsync"));
            direct.unwrap().write_all(&[6; 3000]).unwrap();
            bench.sync_folder("");
            bench.lose_power();
            assert_eq!(bench.names(""), ["dsync", "file"]);
            assert_eq!(fs::read(bench.path("file")).unwrap(), [5; 3000]);
            assert_eq!(fs::read(bench.path("dsync")).unwrap(), [6; 3000]);
        }
    }
}

#[test]
fn what_is_not_synced_is_kept_dropped_or_torn() {
    let left = with_seeds(Power::Posix, |bench| {
        let mut file = synced(&bench.path("file"), &[1; 4096]);
        bench.sync_folder("");
        file.write_all(&[2; 4096]).unwrap();
        bench.lose_power();
        fs::read(bench.path("file")).unwrap()
    });
    let (old, new) = ([1; 4096], [[1; 4096], [2; 4096]].concat());
    for bytes in &left {
        assert_eq!(bytes[..4096], old, "what was synced is damaged");
        for sector in bytes[4096..].chunks(512) {
            assert!(sector == [0; 512] || sector == [2; 512], "a sector is torn");
        }
    }
    assert!(left.iter().any(|bytes| *bytes == old), "never dropped");
    assert!(left.contains(&new), "never kept");
    assert!(
        left.iter().any(|bytes| *bytes != old && *bytes != new),
        "never torn"
    );
}

#[test]
fn a_name_needs_its_folder_to_be_synced() {
    let there = |power| {
        with_seeds(power, |bench| {
            synced(&bench.path("file"), b"synced");
            bench.lose_power();
            bench.path("file").exists()
        })
    };
    let posix = there(Power::Posix);
    assert!(posix.contains(&true) && posix.contains(&false), "{posix:?}");
    // A journal writes the name with the file.
    assert!(!there(Power::Journal).contains(&false));
}

#[test]
fn a_rename_is_whole_or_undone() {
    let left = with_seeds(Power::Posix, |bench| {
        synced(&bench.path("file"), b"old");
        synced(&bench.path("new"), b"new");
        bench.sync_folder("");
        fs::rename(bench.path("new"), bench.path("file")).unwrap();
        bench.lose_power();
        (bench.names(""), fs::read(bench.path("file")).unwrap())
    });
    let undone = (vec!["file".to_owned(), "new".to_owned()], b"old".to_vec());
    let whole = (vec!["file".to_owned()], b"new".to_vec());
    assert!(
        left.iter().all(|left| *left == undone || *left == whole),
        "{left:?}"
    );
    assert!(left.contains(&undone) && left.contains(&whole));
}

#[test]
fn an_unlink_may_be_undone() {
    let left = with_seeds(Power::Journal, |bench| {
        synced(&bench.path("file"), b"bytes");
        fs::remove_file(bench.path("file")).unwrap();
        bench.lose_power();
        fs::read(bench.path("file")).ok()
    });
    assert!(
        left.iter()
            .all(|left| left.is_none() || left.as_deref() == Some(b"bytes"))
    );
    assert!(left.contains(&None) && left.iter().any(Option::is_some));
}

#[test]
fn a_journal_keeps_names_in_order() {
    let left = with_seeds(Power::Journal, |bench| {
        for name in ["a", "b", "c", "d"] {
            fs::create_dir(bench.path(name)).unwrap();
        }
        bench.lose_power();
        bench.names("").concat()
    });
    assert!(
        left.iter().all(|left| "abcd".starts_with(left.as_str())),
        "{left:?}"
    );
    assert!(
        left.iter().any(|left| !left.is_empty() && left != "abcd"),
        "{left:?}"
    );
}

#[test]
fn a_disk_that_lies_goes_back_in_time() {
    let mut bench = Bench::new(Power::Lie, 1);
    synced(&bench.path("file"), b"long ago");
    bench.sync_folder("");
    std::thread::sleep(super::disk::LIE);
    let file = OpenOptions::new().write(true).open(bench.path("file")).unwrap();
    file.write_all_at(b"just now", 0).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert!(bench.lose_power().is_felt());
    assert_eq!(fs::read(bench.path("file")).unwrap(), b"long ago");
}

#[test]
fn nothing_is_written_once_the_power_is_gone() {
    let mut bench = Bench::new(Power::Posix, 1);
    let file = synced(&bench.path("file"), b"before");
    bench.sync_folder("");
    bench.disk.cut();
    let late = std::thread::spawn(move || file.write_all_at(b"after!", 0).and_then(|()| file.sync_all()));
    bench.disk.unplug().unwrap();
    assert!(late.join().unwrap().is_err());
    bench.disk.plug().unwrap();
    assert_eq!(fs::read(bench.path("file")).unwrap(), b"before");
}

#[test]
fn a_disk_is_saved_as_it_is_seen() {
    let bench = Bench::new(Power::Posix, 1);
    fs::create_dir(bench.path("folder")).unwrap();
    fs::write(bench.path("folder/file"), [3; 5000]).unwrap();
    symlink("folder", bench.path("link")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    bench.disk.save(folder.path()).unwrap();
    assert_eq!(fs::read(folder.path().join("link/file")).unwrap(), [3; 5000]);
}
