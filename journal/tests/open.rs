//! What is opened, what is refused, and that nothing is harmed by a refusal.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{created, keys, replayed, replayed_events};
use journal::{Journal, OpenError, ReadError, SqliteJournal, SqliteOptions, verify};
use rusqlite::Connection;
use tempfile::TempDir;

fn open(data_dir: &Path) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(data_dir, SqliteOptions::default()).map(|(journal, _reader)| journal)
}

/// A data directory with a log of 2,000 rows that is not open.
fn filled() -> TempDir {
    let home = TempDir::new().expect("a directory");
    let rows: Vec<_> = (1..=2000)
        .map(|at| created(at, at + 1, &at.to_string(), &[1; 500]))
        .collect();
    open(home.path())
        .expect("a new log")
        .append(&keys(&rows))
        .expect("stored");
    home
}

fn database(home: &TempDir) -> PathBuf {
    home.path().join("taffrail.db")
}

/// Puts this file in the place of the log and sees it refused, untouched.
fn refusal_of(content: &[u8]) -> OpenError {
    let home = TempDir::new().expect("a directory");
    std::fs::write(database(&home), content).expect("written");
    let error = open(home.path()).expect_err("this is no log");
    assert_eq!(
        std::fs::read(database(&home)).unwrap(),
        content,
        "nothing was written over"
    );
    let mut names: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["LOCK", "taffrail.db"], "nothing was added");
    println!("{error}");
    error
}

#[test]
fn a_missing_directory_is_made_for_its_owner_only() {
    let home = TempDir::new().unwrap();
    let data_dir = home.path().join("var/lib/taffrail");
    drop(open(&data_dir).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(mode(&data_dir.join("taffrail.db")), 0o600);
}

#[test]
fn what_was_stored_and_who_it_belongs_to_survive() {
    let home = filled();
    let (_journal, reader) = SqliteJournal::open(home.path(), SqliteOptions::default()).unwrap();
    assert_eq!(replayed(&*reader).len(), 2000);
    let identity = reader.identity();
    drop((_journal, reader));
    let (_journal, reader) = SqliteJournal::open(home.path(), SqliteOptions::default()).unwrap();
    assert_eq!(reader.identity(), identity);
}

#[test]
fn room_for_what_is_written_is_there_before_and_after_it() {
    let home = filled();
    let mut wal = database(&home).into_os_string();
    wal.push("-wal");
    let room = || std::fs::metadata(&wal).map_or(0, |file| file.len());
    let limit = SqliteOptions::default().wal_limit;
    let (mut journal, reader) = SqliteJournal::open(home.path(), SqliteOptions::default()).unwrap();
    assert_eq!(room(), limit);
    for at in 2001..=2100 {
        let row = created(at, at + 1, &at.to_string(), &[1; 500]);
        journal.append(&keys(&[row])).expect("stored");
    }
    assert_eq!(room(), limit, "no commit makes it longer");
    let size = reader.size().expect("a size");
    assert!(
        (size.in_use..size.in_use + limit / 2).contains(&size.allocated),
        "{size:?}"
    );
    // A log that was not left behind in order is read to its last frame, and zeros follow that.
    let copy = TempDir::new().unwrap();
    for name in ["taffrail.db", "taffrail.db-wal"] {
        std::fs::copy(home.path().join(name), copy.path().join(name)).unwrap();
    }
    let (_recovered, reader) = SqliteJournal::open(copy.path(), SqliteOptions::default()).unwrap();
    assert_eq!(replayed(&*reader).len(), 2100);
    drop(journal);
    assert_eq!(room(), 0, "everything is in the one file");
}

#[test]
fn a_second_journal_is_refused_by_name_until_the_first_is_gone() {
    let home = TempDir::new().unwrap();
    let first = open(home.path()).unwrap();
    let error = open(home.path()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Locked { path } if path == home.path()),
        "{error}"
    );
    assert!(error.to_string().contains(home.path().to_str().unwrap()));
    drop(first);
    open(home.path()).unwrap();
}

#[test]
fn a_second_process_is_refused() {
    const DIRECTORY: &str = "JOURNAL_TEST_SECOND_PROCESS";
    if let Some(data_dir) = std::env::var_os(DIRECTORY) {
        let error = open(Path::new(&data_dir)).expect_err("the first process has it");
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
        return;
    }
    let home = TempDir::new().unwrap();
    let first = open(home.path()).unwrap();
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_second_process_is_refused"])
        .env(DIRECTORY, home.path())
        .status()
        .unwrap();
    assert!(second.success());
    drop(first);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let error = refusal_of(&b"I am a letter. ".repeat(1000));
    assert!(matches!(error, OpenError::Foreign { .. }));
}

#[test]
fn an_etcd_database_is_recognized() {
    let mut page = vec![0; 32 * 1024];
    page[16..20].copy_from_slice(&0xED0C_DAED_u32.to_ne_bytes());
    let error = refusal_of(&page);
    assert!(error.to_string().contains("etcd"), "{error}");
}

#[test]
fn the_database_of_another_program_is_refused() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("other.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE kine (id INTEGER)")
        .unwrap();
    let error = refusal_of(&std::fs::read(path).unwrap());
    assert!(matches!(error, OpenError::Foreign { .. }));
}

#[test]
fn an_empty_file_and_a_stub_are_refused() {
    assert!(matches!(refusal_of(b""), OpenError::Corrupt { .. }));
    assert!(matches!(
        refusal_of(b"SQLite format 3\0"),
        OpenError::Corrupt { .. }
    ));
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let home = filled();
    let mut bytes = std::fs::read(database(&home)).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(database(&home), &bytes).unwrap();
    let error = open(home.path()).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read(database(&home)).unwrap(), bytes);
}

#[test]
fn a_newer_schema_is_refused() {
    let home = filled();
    Connection::open(database(&home))
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = open(home.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::NewerSchema { found: 99, .. }),
        "{error}"
    );
    assert!(matches!(verify(home.path()), Err(OpenError::NewerSchema { .. })));
}

#[test]
fn tables_that_are_not_ours_are_refused() {
    for sql in [
        "CREATE INDEX more ON log (revision)",
        "DROP TABLE lease",
        "UPDATE meta SET cluster_id = 0",
    ] {
        let home = filled();
        Connection::open(database(&home))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let error = open(home.path()).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{sql}: {error}");
    }
}

#[test]
fn a_log_left_behind_by_a_lost_database_is_not_taken_for_ours() {
    let home = TempDir::new().unwrap();
    let wal = home.path().join("taffrail.db-wal");
    std::fs::write(&wal, "somebody's data").unwrap();
    let error = open(home.path()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Foreign { path, .. } if *path == wal),
        "{error}"
    );
    assert_eq!(std::fs::read(&wal).unwrap(), b"somebody's data");
    assert!(!database(&home).exists());
}

#[test]
fn an_unfinished_creation_is_begun_again() {
    let home = TempDir::new().unwrap();
    for name in [
        "taffrail.db.new",
        "taffrail.db.new-journal",
        "taffrail.db.new-wal",
    ] {
        std::fs::write(home.path().join(name), "half").unwrap();
    }
    drop(open(home.path()).unwrap());
    assert!(verify(home.path()).unwrap().is_sound());
    assert!(!home.path().join("taffrail.db.new").exists());
}

#[test]
fn damage_inside_is_an_error_of_the_read_and_found_by_verify() {
    let home = filled();
    let mut bytes = std::fs::read(database(&home)).unwrap();
    let page = bytes.len() / 2 / 8192 * 8192;
    bytes[page..page + 8192].fill(0xa5);
    std::fs::write(database(&home), &bytes).unwrap();
    let (_journal, reader) = SqliteJournal::open(home.path(), SqliteOptions::default()).unwrap();
    let error = reader.replay(&mut |_| ()).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt(_)), "{error}");
    let found = verify(home.path()).unwrap();
    println!("{:?}", found.problems);
    assert!(!found.is_sound());
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_of_the_system() {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("file"), "").unwrap();
    let error = open(&home.path().join("file/data")).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[test]
fn space_is_given_back_a_little_at_a_time() {
    let home = filled();
    let options = SqliteOptions {
        spare: 64 << 10,
        ..SqliteOptions::default()
    };
    let (mut journal, reader) = SqliteJournal::open(home.path(), options).unwrap();
    let positions = replayed_events(&*reader)
        .iter()
        .map(|event| event.version.position)
        .collect();
    journal.append(&[model::Effect::Scrubbed(positions)]).unwrap();
    let mut calls = 1;
    while journal.upkeep().unwrap() {
        calls += 1;
    }
    let after = reader.size().unwrap();
    println!("{after:?} after {calls} calls");
    assert!(calls > 1);
    drop((journal, reader));
    assert!(std::fs::metadata(database(&home)).unwrap().len() <= after.in_use + (64 << 10) + 8192);
    assert!(verify(home.path()).unwrap().is_sound());
}
