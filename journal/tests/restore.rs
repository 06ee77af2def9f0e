//! Snapshots, what `restore` makes of them, and what `verify` says about both.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{created, deleted, keys, lease, leased, raised, replayed, replayed_events, updated};
use journal::{
    Journal, OpenError, Reader, RestoreError, RestoreOptions, SqliteJournal, SqliteOptions, restore, verify,
};
use model::{Alarm, Effect, LeaseId, Position, Revision};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A log with some history, and a snapshot of it.
struct Scene {
    home: TempDir,
    journal: SqliteJournal,
    reader: Arc<dyn Reader>,
    snapshot: PathBuf,
}

/// Positions and revisions go together here: row n is of revision n + 1.
fn history() -> Vec<Effect> {
    let a = created(1, 2, "a", b"1");
    let a2 = updated(3, 4, &a, b"2");
    let a3 = updated(6, 7, &a2, b"3");
    let mut effects = vec![
        Effect::LeaseGranted(lease(5, 60, 1000)),
        Effect::LeaseGranted(lease(6, 60, 1000)),
    ];
    effects.extend(keys(&[a, leased(created(2, 3, "b", b"1"), 5), a2]));
    effects.extend(keys(&[
        leased(created(4, 5, "c", b"1"), 6),
        deleted(5, 6, "b"),
        a3,
    ]));
    effects.push(Effect::LeaseRevoked(LeaseId(5)));
    effects
}

fn open(data_dir: &Path) -> (SqliteJournal, Arc<dyn Reader>) {
    SqliteJournal::open(data_dir, SqliteOptions::default()).expect("the log opens")
}

fn scene() -> Scene {
    let home = TempDir::new().expect("a directory");
    let (mut journal, reader) = open(&home.path().join("data"));
    journal.append(&history()).expect("stored");
    let snapshot = home.path().join("snapshot.db");
    reader.snapshot(&snapshot).expect("a snapshot");
    Scene {
        home,
        journal,
        reader,
        snapshot,
    }
}

impl Scene {
    fn target(&self) -> PathBuf {
        self.home.path().join("restored")
    }

    fn restore(&self, options: RestoreOptions) -> Result<Vec<Effect>, RestoreError> {
        restore(&self.snapshot, &self.target(), options)?;
        Ok(replayed(&*open(&self.target()).1))
    }
}

fn bump(by: u64) -> RestoreOptions {
    RestoreOptions {
        bump_revision: by,
        mark_compacted: true,
        to_revision: None,
    }
}

fn to(revision: i64) -> RestoreOptions {
    RestoreOptions {
        to_revision: Some(Revision(revision)),
        ..RestoreOptions::default()
    }
}

#[test]
fn a_snapshot_is_one_plain_file_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = scene();
    let mut names: Vec<_> = std::fs::read_dir(scene.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["data", "snapshot.db"]);
    let mode = std::fs::metadata(&scene.snapshot).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let header = std::fs::read(&scene.snapshot).unwrap();
    assert_eq!(
        header[18..20],
        [1, 1],
        "the snapshot does not ask for a write-ahead log"
    );
    assert!(verify(&scene.snapshot).unwrap().is_sound());
}

#[test]
fn a_restored_log_holds_the_same_under_a_new_identity() {
    let scene = scene();
    let found = restore(&scene.snapshot, &scene.target(), RestoreOptions::default()).unwrap();
    assert_eq!(
        (found.rows, found.keys, found.leases, found.newest_revision),
        (6, 2, 1, Revision(7))
    );
    let (_journal, reader) = open(&scene.target());
    assert_eq!(replayed(&*reader), replayed(&*scene.reader));
    let (old, new) = (scene.reader.identity(), reader.identity());
    assert_ne!(old.cluster_id, new.cluster_id);
    assert_ne!(old.member_id, new.member_id);
}

#[test]
fn the_alarms_of_the_member_become_those_of_the_new_one() {
    let mut scene = scene();
    let own = scene.reader.identity().member_id;
    let alarms = [
        raised(Alarm::NoSpace, 0),
        raised(Alarm::NoSpace, own),
        raised(Alarm::Corrupt, own),
    ];
    scene.journal.append(&alarms.map(Effect::AlarmRaised)).unwrap();
    let snapshot = scene.home.path().join("alarmed.db");
    scene.reader.snapshot(&snapshot).unwrap();
    restore(&snapshot, &scene.target(), RestoreOptions::default()).unwrap();
    let (_journal, reader) = open(&scene.target());
    let mut found: Vec<_> = replayed(&*reader)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::AlarmRaised(alarm) => Some(alarm),
            _ => None,
        })
        .collect();
    found.sort();
    let new = reader.identity().member_id;
    assert_eq!(
        found,
        [
            raised(Alarm::NoSpace, 0),
            raised(Alarm::NoSpace, new),
            raised(Alarm::Corrupt, new)
        ]
    );
}

#[test]
fn a_restored_log_goes_on() {
    let scene = scene();
    restore(&scene.snapshot, &scene.target(), bump(100)).unwrap();
    let (mut journal, reader) = open(&scene.target());
    journal.append(&keys(&[created(7, 108, "d", b"")])).unwrap();
    assert_eq!(reader.events(Revision(108), 0).unwrap().events.len(), 1);
    drop((journal, reader));
    let found = verify(&scene.target()).unwrap();
    assert_eq!(found.problems, []);
    assert_eq!(found.newest_revision, Revision(108));
}

#[test]
fn a_bump_marks_the_sum_as_compacted_and_keeps_what_exists() {
    let scene = scene();
    let effects = scene.restore(bump(1_000_000)).unwrap();
    assert_eq!(effects[0], Effect::Compacted(Revision(1_000_007)));
    let (_journal, reader) = open(&scene.target());
    let positions: Vec<_> = replayed_events(&*reader)
        .iter()
        .map(|event| event.version.position)
        .collect();
    assert_eq!(positions, [Position(4), Position(6)]);
    let found = verify(&scene.target()).unwrap();
    assert_eq!(found.problems, []);
    assert_eq!(found.newest_revision, Revision(1_000_007));
}

#[test]
fn every_retained_revision_can_be_restored() {
    for revision in 1..=7 {
        let scene = scene();
        let effects = scene.restore(to(revision)).unwrap();
        let rows = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Key(_)))
            .count();
        assert_eq!(rows as i64, revision - 1);
        assert_eq!(
            verify(&scene.target()).unwrap().newest_revision,
            Revision(revision)
        );
    }
}

#[test]
fn a_lease_that_ended_since_comes_back_with_its_time_up() {
    let effects = scene().restore(to(4)).unwrap();
    assert!(
        effects.contains(&Effect::LeaseGranted(lease(5, 1, 0))),
        "{effects:?}"
    );
    assert!(
        effects.contains(&Effect::LeaseGranted(lease(6, 60, 1000))),
        "{effects:?}"
    );
}

#[test]
fn a_bump_counts_from_the_revision_restored_to() {
    let scene = scene();
    let effects = scene
        .restore(RestoreOptions {
            to_revision: Some(Revision(3)),
            ..bump(10)
        })
        .unwrap();
    assert_eq!(effects[0], Effect::Compacted(Revision(13)));
}

#[test]
fn options_that_contradict_are_refused() {
    let scene = scene();
    let unmarked = RestoreOptions {
        bump_revision: 1,
        ..RestoreOptions::default()
    };
    let unbumped = RestoreOptions {
        mark_compacted: true,
        ..RestoreOptions::default()
    };
    for options in [
        unmarked,
        unbumped,
        to(0),
        to(8),
        bump(u64::MAX),
        bump(i64::MAX as u64),
    ] {
        let error = scene.restore(options).unwrap_err();
        assert!(matches!(error, RestoreError::Options(_)), "{options:?}: {error}");
    }
    scene
        .restore(RestoreOptions::default())
        .expect("the directory stayed empty");
}

#[test]
fn a_compacted_revision_is_refused() {
    let mut scene = scene();
    scene
        .journal
        .append(&[
            Effect::Compacted(Revision(4)),
            Effect::Scrubbed(vec![Position(1)]),
        ])
        .unwrap();
    std::fs::remove_file(&scene.snapshot).unwrap();
    scene.reader.snapshot(&scene.snapshot).unwrap();
    assert!(matches!(scene.restore(to(3)), Err(RestoreError::Options(_))));
    scene
        .restore(to(4))
        .expect("the compact revision itself can be read");
}

#[test]
fn a_directory_in_use_or_filled_is_refused() {
    let scene = scene();
    let data = scene.home.path().join("data");
    assert!(matches!(
        restore(&scene.snapshot, &data, bump(1)),
        Err(RestoreError::NotEmpty { .. })
    ));
    std::fs::create_dir(scene.target()).unwrap();
    std::fs::write(scene.target().join("precious"), "x").unwrap();
    assert!(matches!(
        scene.restore(bump(1)),
        Err(RestoreError::NotEmpty { .. })
    ));
    assert_eq!(std::fs::read_dir(scene.target()).unwrap().count(), 1);
}

#[test]
fn a_database_in_use_is_not_a_snapshot() {
    let scene = scene();
    let live = scene.home.path().join("data/taffrail.db");
    let error = restore(&live, &scene.target(), RestoreOptions::default()).unwrap_err();
    assert!(
        matches!(error, RestoreError::Open(OpenError::Foreign { .. })),
        "{error}"
    );
}

#[test]
fn the_trailer_of_etcd_clients_is_checked_and_cut_off() {
    let scene = scene();
    let mut bytes = std::fs::read(&scene.snapshot).unwrap();
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    std::fs::write(&scene.snapshot, &bytes).unwrap();
    scene.restore(RestoreOptions::default()).unwrap();
    std::fs::remove_dir_all(scene.target()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&scene.snapshot, &bytes).unwrap();
    let error = scene.restore(RestoreOptions::default()).unwrap_err();
    assert!(
        matches!(error, RestoreError::Open(OpenError::Corrupt { .. })),
        "{error}"
    );
    assert!(!scene.target().join("taffrail.db").exists());
}

#[test]
fn a_snapshot_that_breaks_a_rule_is_refused() {
    let scene = scene();
    tamper(&scene.snapshot, "DELETE FROM log WHERE position = 3");
    let error = scene.restore(RestoreOptions::default()).unwrap_err();
    assert!(matches!(error, RestoreError::Unsound { .. }), "{error}");
    assert!(error.to_string().contains("position 6"), "{error}");
}

fn tamper(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn verify_names_each_problem_with_its_row() {
    let cases = [
        (
            "UPDATE log SET revision = 1 WHERE position = 1",
            "position 1: revision 1 is below",
        ),
        (
            "UPDATE log SET revision = 9 WHERE position = 3",
            "position 4: revision 5 comes after revision 9",
        ),
        (
            "UPDATE log SET version = 7 WHERE position = 3",
            "position 3: version 7 follows version 1",
        ),
        (
            "UPDATE log SET value = x'00' WHERE position = 5",
            "position 5: a delete carries",
        ),
        (
            "DELETE FROM log WHERE position = 2",
            "position 5: a key is deleted that does not exist",
        ),
        ("DELETE FROM lease", "position 4: the key is attached to lease 6"),
        ("UPDATE lease SET ttl = 0", "lease 6 with a time to live of 0 s"),
        (
            "UPDATE meta SET compact_revision = 50",
            "compacted at revision 50, but history reached 7",
        ),
    ];
    for (sql, expected) in cases {
        let scene = scene();
        tamper(&scene.snapshot, sql);
        let found = verify(&scene.snapshot).unwrap();
        let told: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|problem| problem.starts_with(expected)),
            "{sql}: {told:?}"
        );
    }
}

#[test]
fn verify_runs_beside_the_writer_and_leaves_nothing_behind() {
    let mut scene = scene();
    let data = scene.home.path().join("data");
    assert_eq!(verify(&data).unwrap().problems, []);
    scene.journal.append(&keys(&[created(7, 8, "d", b"")])).unwrap();
    assert_eq!(verify(&data).unwrap().rows, 7);
    let home = scene.home;
    drop((scene.journal, scene.reader));
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(verify(&data).unwrap().rows, 7);
    println!("{before:?} {:?}", names());
    open(&data);
    drop(home);
}
