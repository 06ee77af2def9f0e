//! What is said of the files: bytes written and reads that are open.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{created, keys};
use journal::{Activity, Journal, Reader, SqliteJournal, SqliteOptions};
use tempfile::TempDir;

/// Pages of 8 KiB, each with the header that SQLite puts before it.
const FRAME: u64 = 8192 + 24;

fn open(data_dir: &Path, options: SqliteOptions) -> (SqliteJournal, Arc<dyn Reader>) {
    SqliteJournal::open(data_dir, options).expect("the log opens")
}

#[test]
fn what_commits_append_is_counted_to_the_byte() {
    let home = TempDir::new().unwrap();
    // Without room made in advance, the file is as long as what was written.
    let options = SqliteOptions {
        wal_limit: 0,
        ..SqliteOptions::default()
    };
    let (mut journal, reader) = open(home.path(), options);
    assert_eq!(reader.activity(), Activity::default());
    let wal = home.path().join("taffrail.db-wal");
    for at in 1..=20 {
        journal
            .append(&keys(&[created(at, at + 1, "a", &[0; 20_000])]))
            .unwrap();
        // The file begins with a header of its own.
        let length = std::fs::metadata(&wal).unwrap().len() - 32;
        assert_eq!(reader.activity().written, length);
        assert_eq!(length % FRAME, 0);
    }
}

#[test]
fn the_count_goes_on_when_the_write_ahead_log_starts_over() {
    let home = TempDir::new().unwrap();
    let options = SqliteOptions {
        checkpoint: 64 << 10,
        wal_limit: 256 << 10,
        ..SqliteOptions::default()
    };
    let (mut journal, reader) = open(home.path(), options);
    let mut before = 0;
    for at in 1..=800 {
        journal
            .append(&keys(&[created(at, at + 1, "a", &[0; 4000])]))
            .unwrap();
        journal.upkeep().unwrap();
        let written = reader.activity().written;
        assert!(written >= before + FRAME, "every commit writes a page or more");
        before = written;
    }
    let wal = std::fs::metadata(home.path().join("taffrail.db-wal")).unwrap();
    assert!(
        wal.len() < 2 << 20 && before > 8 << 20,
        "{} of {before}",
        wal.len()
    );
}

#[test]
fn a_read_is_open_while_it_goes_on() {
    let home = TempDir::new().unwrap();
    let (mut journal, reader) = open(home.path(), SqliteOptions::default());
    journal.append(&keys(&[created(1, 2, "a", b"")])).unwrap();
    let mut seen = 0;
    reader
        .replay(&mut |_| seen = reader.activity().open_reads)
        .unwrap();
    assert_eq!((seen, reader.activity().open_reads), (1, 0));
}
