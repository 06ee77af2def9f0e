//! A data directory made from a snapshot.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, copy};
use std::path::Path;

use model::Revision;
use rusqlite::{Connection, Result};
use sha2::{Digest as _, Sha256};

use super::draft::Draft;
use super::fault::open_error;
use super::lock::{self, DirectoryLock};
use super::verify::{inspect, open};
use super::{connection, schema};
use crate::{OpenError, RestoreError, Verification};

/// Length of the SHA-256 that clients of etcd append to the snapshot they save.
const TRAILER: u64 = 32;

/// Every file of SQLite is a multiple of its smallest page, so a trailer shows in the length.
const SMALLEST_PAGE: u64 = 512;

/// What a restore changes besides the identity, which is always new.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestoreOptions {
    /// How far the newest revision moves on, so that clients which saw revisions after the snapshot
    /// never see one go back. etcd's `--bump-revision`; needs `mark_compacted`.
    pub bump_revision: u64,
    /// Marks everything before the new newest revision as compacted, so that clients with caches and
    /// watches from before must read everything again. etcd's `--mark-compacted`; needs `bump_revision`.
    pub mark_compacted: bool,
    /// Restores the state as of this revision instead of the newest: at least the snapshot's compact
    /// revision, at most its newest.
    pub to_revision: Option<Revision>,
}

/// Makes a new data directory from a snapshot. It must not exist, or be empty.
///
/// The snapshot is verified first, and the log appears in the directory whole or not at all. As in
/// etcd (`etcdutl snapshot restore`), a bump adds to the newest revision and marks the sum as compacted:
/// keys keep the revisions they have, reads begin at the sum, and every watch or page that began before
/// is told that its revision is compacted. A lease that was revoked after `to_revision` but holds keys
/// there is put back with its time up: its keys end by the ordinary way as soon as the log is served.
///
/// Returns what the new log holds.
pub fn restore(
    snapshot: &Path,
    data_dir: &Path,
    options: RestoreOptions,
) -> Result<Verification, RestoreError> {
    check_options(options)?;
    refuse_in_use(snapshot)?;
    refuse_non_empty(data_dir)?;
    let _lock = DirectoryLock::acquire(data_dir)?;
    let draft = Draft::new(data_dir)?;
    copy_file(snapshot, &draft.path)?;
    schema::check_header(&draft.path)?;
    bring_up_to_date(&draft.path)?;
    let before = verify_sound(&draft.path, snapshot)?;
    let marks = Marks::choose(&before, options)?;
    change(&draft.path, marks).map_err(|error| open_error(&draft.path, error))?;
    let after = verify_sound(&draft.path, snapshot)?;
    draft.put_in_place()?;
    Ok(after)
}

fn check_options(options: RestoreOptions) -> Result<(), RestoreError> {
    if (options.bump_revision > 0) == options.mark_compacted {
        return Ok(());
    }
    let text = "bumping the revision and marking it as compacted go together";
    Err(RestoreError::Options(text.to_owned()))
}

/// A database with a write-ahead log beside it is not all in its file.
fn refuse_in_use(snapshot: &Path) -> Result<(), OpenError> {
    let wal = connection::wal_path(snapshot);
    if std::fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
        return Err(OpenError::foreign(
            &wal,
            "a snapshot has no write-ahead log: this database is in use",
        ));
    }
    Ok(())
}

fn refuse_non_empty(data_dir: &Path) -> Result<(), RestoreError> {
    if !data_dir.exists() {
        return Ok(());
    }
    let io = |error| OpenError::io(data_dir, error);
    for entry in std::fs::read_dir(data_dir).map_err(io)? {
        if !lock::is_lock_file(&entry.map_err(io)?.file_name()) {
            return Err(RestoreError::NotEmpty {
                path: data_dir.to_owned(),
            });
        }
    }
    Ok(())
}

/// Copies the snapshot without its trailer, which must be right if there is one.
fn copy_file(snapshot: &Path, to: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::io(snapshot, error);
    let mut source = File::open(snapshot).map_err(io)?;
    let length = source.metadata().map_err(io)?.len();
    let trailer = if length % SMALLEST_PAGE == TRAILER {
        TRAILER
    } else {
        0
    };
    let mut target = File::options()
        .write(true)
        .open(to)
        .map_err(|error| OpenError::io(to, error))?;
    copy(&mut (&source).take(length - trailer), &mut target).map_err(io)?;
    if trailer > 0 && !trailer_is_right(&mut source, length).map_err(io)? {
        return Err(OpenError::corrupt(
            snapshot,
            "its SHA-256 at the end does not match its content",
        ));
    }
    Ok(())
}

fn trailer_is_right(source: &mut File, length: u64) -> std::io::Result<bool> {
    let mut hash = Sha256::new();
    source.seek(SeekFrom::Start(0))?;
    copy(&mut source.take(length - TRAILER), &mut hash)?;
    let mut trailer = Vec::new();
    source.read_to_end(&mut trailer)?;
    Ok(hash.finalize()[..] == trailer[..])
}

fn bring_up_to_date(draft: &Path) -> Result<(), OpenError> {
    let connection = Connection::open(draft).map_err(|error| open_error(draft, error))?;
    schema::migrate(&connection, draft)
}

fn verify_sound(file: &Path, snapshot: &Path) -> Result<Verification, RestoreError> {
    let found = inspect(&open(file)?, file)?;
    match found.problems.first() {
        None => Ok(found),
        Some(problem) => Err(RestoreError::Unsound {
            path: snapshot.to_owned(),
            problem: problem.to_string(),
        }),
    }
}

/// What is written into the copy.
#[derive(Clone, Copy)]
struct Marks {
    /// Rows of newer revisions go.
    keep_to: Option<Revision>,
    /// The compact and newest revision that is recorded.
    compacted: Option<Revision>,
}

impl Marks {
    fn choose(found: &Verification, options: RestoreOptions) -> Result<Self, RestoreError> {
        let newest = found.newest_revision;
        let oldest = found.compact_revision.max(Revision::INITIAL);
        let target = options.to_revision.unwrap_or(newest);
        if target < oldest || target > newest {
            let text = format!(
                "revision {} is not in the snapshot: it holds {} to {}",
                target.0, oldest.0, newest.0
            );
            return Err(RestoreError::Options(text));
        }
        let sum = i64::try_from(options.bump_revision)
            .ok()
            .and_then(|bump| target.0.checked_add(bump));
        let sum = sum.ok_or_else(|| RestoreError::Options("the bumped revision is too large".to_owned()))?;
        Ok(Self {
            keep_to: options.to_revision,
            compacted: options.mark_compacted.then_some(Revision(sum)),
        })
    }
}

fn change(path: &Path, marks: Marks) -> Result<()> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    let transaction = connection.unchecked_transaction()?;
    take_alarms_over(&transaction)?;
    if let Some(Revision(revision)) = marks.keep_to {
        transaction.execute("DELETE FROM log WHERE revision > ?1", [revision])?;
        put_leases_back(&transaction)?;
    }
    if let Some(Revision(revision)) = marks.compacted {
        let mark = "UPDATE meta SET compact_revision = ?1, newest_revision = ?1";
        transaction.execute(mark, [revision])?;
        drop_superseded(&transaction)?;
    }
    transaction.commit()?;
    connection::give_back(&connection, u32::MAX)?;
    connection.close().map_err(|(_, error)| error)
}

/// The log gets its own identity, and what its member had to say of itself stays its own.
fn take_alarms_over(log: &Connection) -> Result<()> {
    let member = || log.query_row("SELECT member_id FROM meta", (), |row| row.get::<_, i64>(0));
    let before = member()?;
    schema::draw_identity(log)?;
    let take_over = "UPDATE alarm SET member_id = ?2 WHERE member_id = ?1";
    log.execute(take_over, [before, member()?]).map(drop)
}

/// The leases that keys are attached to and that have ended since.
fn put_leases_back(log: &Connection) -> Result<()> {
    log.execute_batch(
        "INSERT INTO lease SELECT DISTINCT lease, 1, 0 FROM log
         WHERE lease <> 0 AND lease NOT IN (SELECT id FROM lease)
           AND position IN (SELECT max(position) FROM log GROUP BY key)",
    )
}

/// Everything is compacted, so only the newest version of each key that exists can still be read.
fn drop_superseded(log: &Connection) -> Result<()> {
    log.execute_batch(
        "DELETE FROM log WHERE position NOT IN (SELECT max(position) FROM log GROUP BY key);
         DELETE FROM log WHERE version = 0",
    )
}
