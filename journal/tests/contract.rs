//! What every log promises, asked of each of them.

mod common;
#[cfg(feature = "dqlite")]
#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use common::{created, deleted, keys, lease, leased, raised, replayed, replayed_events, updated};
use journal::{AppendError, Journal, MemoryJournal, Reader, SqliteJournal, SqliteOptions};
use model::{Alarm, Effect, LeaseId, Position, Revision};
use tempfile::TempDir;

/// A log under test; what it lives in goes when it does.
struct Subject {
    journal: Box<dyn Journal>,
    reader: Arc<dyn Reader>,
    _home: Box<dyn Any>,
}

impl Subject {
    fn memory() -> Self {
        let journal = MemoryJournal::new();
        let reader = journal.reader();
        Self {
            journal: Box::new(journal),
            reader,
            _home: Box::new(()),
        }
    }

    fn sqlite() -> Self {
        let home = TempDir::new().expect("a directory");
        let (journal, reader) =
            SqliteJournal::open(home.path(), SqliteOptions::default()).expect("a new log");
        Self {
            journal: Box::new(journal),
            reader,
            _home: Box::new(home),
        }
    }

    #[cfg(feature = "dqlite")]
    fn dqlite() -> Self {
        use journal::{DqliteLog, DqliteOptions, SharedLog as _};
        let node = support::Single::start();
        let log = DqliteLog::new(DqliteOptions::new(1, node.address()));
        let claim = log.claim().expect("the node leads");
        Self {
            journal: log.writer(&claim).expect("nobody else claims the log"),
            reader: log.reader(),
            _home: Box::new(node),
        }
    }

    fn append(&mut self, effects: &[Effect]) {
        self.journal.append(effects).expect("the batch is stored");
    }

    fn replayed(&self) -> Vec<Effect> {
        replayed(&*self.reader)
    }

    fn events(&self, from: i64, budget: usize) -> Vec<i64> {
        let history = self
            .reader
            .events(Revision(from), budget)
            .expect("the log can be read");
        history
            .events
            .iter()
            .map(|event| event.version.position.0)
            .collect()
    }
}

/// Makes one test per rule and kind of log.
macro_rules! every_log {
    ($($rule:ident)*) => {
        mod memory { $(#[test] fn $rule() { super::$rule(super::Subject::memory()); })* }
        mod sqlite { $(#[test] fn $rule() { super::$rule(super::Subject::sqlite()); })* }
        #[cfg(feature = "dqlite")]
        mod dqlite { $(#[test] fn $rule() { super::$rule(super::Subject::dqlite()); })* }
    };
}

every_log! {
    a_new_log_is_empty
    rows_come_back_as_they_were_given
    a_batch_is_stored_whole_or_not_at_all
    a_position_is_never_written_twice
    replay_gives_the_compaction_then_leases_then_alarms_then_rows
    a_lease_is_replaced_by_its_renewal_and_gone_when_revoked
    alarms_are_raised_once_and_cleared
    scrubbed_rows_are_gone
    values_come_in_the_order_asked_for
    events_begin_at_the_revision_asked_for
    events_never_cut_a_revision
    events_skip_what_was_scrubbed
    events_come_with_the_compaction_that_they_lack_rows_by
    an_empty_batch_is_stored
    binary_keys_and_large_values_survive
    identity_is_stable_and_not_zero
    size_grows_with_what_is_stored
    a_snapshot_is_a_new_file
    upkeep_of_a_new_log_has_nothing_to_do
}

fn a_new_log_is_empty(log: Subject) {
    assert_eq!(log.replayed(), []);
    assert_eq!(log.events(0, usize::MAX), [0_i64; 0]);
    assert_eq!(log.reader.values(&[Position(1)]).unwrap(), [None]);
}

fn rows_come_back_as_they_were_given(mut log: Subject) {
    let first = created(1, 2, "a", b"one");
    let second = leased(updated(2, 3, &first, b"two"), 7);
    let batch = keys(&[first, second, deleted(3, 4, "a")]);
    log.append(&batch);
    assert_eq!(log.replayed(), batch);
}

fn a_batch_is_stored_whole_or_not_at_all(mut log: Subject) {
    log.append(&keys(&[created(1, 2, "a", b"")]));
    let before = log.replayed();
    let mut batch = keys(&[created(2, 3, "b", b""), created(1, 3, "c", b"")]);
    batch.insert(0, Effect::LeaseGranted(lease(1, 10, 0)));
    batch.insert(0, Effect::Scrubbed(vec![]));
    assert!(matches!(log.journal.append(&batch), Err(AppendError::Failed(_))));
    assert_eq!(log.replayed(), before);
    log.append(&keys(&[created(2, 3, "b", b"")]));
}

fn a_position_is_never_written_twice(mut log: Subject) {
    let batch = keys(&[created(1, 2, "a", b"old"), created(1, 2, "b", b"new")]);
    assert!(matches!(log.journal.append(&batch), Err(AppendError::Failed(_))));
    assert_eq!(log.replayed(), []);
}

fn replay_gives_the_compaction_then_leases_then_alarms_then_rows(mut log: Subject) {
    let row = Effect::Key(created(1, 2, "a", b""));
    let (alarmed, granted) = (
        Effect::AlarmRaised(raised(Alarm::NoSpace, u64::MAX)),
        Effect::LeaseGranted(lease(3, 10, 99)),
    );
    let compacted = Effect::Compacted(Revision(2));
    log.append(&[row.clone(), alarmed.clone(), granted.clone(), compacted.clone()]);
    assert_eq!(log.replayed(), [compacted, granted, alarmed, row]);
}

fn a_lease_is_replaced_by_its_renewal_and_gone_when_revoked(mut log: Subject) {
    log.append(&[
        Effect::LeaseGranted(lease(3, 10, 99)),
        Effect::LeaseGranted(lease(-4, 20, 99)),
    ]);
    log.append(&[
        Effect::LeaseRenewed(lease(3, 10, 500)),
        Effect::LeaseRevoked(LeaseId(-4)),
    ]);
    assert_eq!(log.replayed(), [Effect::LeaseGranted(lease(3, 10, 500))]);
}

fn alarms_are_raised_once_and_cleared(mut log: Subject) {
    let (space, other, corrupt) = (
        raised(Alarm::NoSpace, 0),
        raised(Alarm::NoSpace, 7),
        raised(Alarm::Corrupt, 0),
    );
    log.append(&[space, corrupt, space, other].map(Effect::AlarmRaised));
    assert_eq!(log.replayed(), [space, other, corrupt].map(Effect::AlarmRaised));
    log.append(&[Effect::AlarmCleared(space), Effect::AlarmCleared(space)]);
    assert_eq!(log.replayed(), [other, corrupt].map(Effect::AlarmRaised));
}

fn scrubbed_rows_are_gone(mut log: Subject) {
    log.append(&keys(&[
        created(1, 2, "a", b"1"),
        created(2, 3, "b", b"2"),
        created(3, 4, "c", b"3"),
    ]));
    log.append(&[Effect::Scrubbed(vec![Position(1), Position(3), Position(77)])]);
    assert_eq!(log.replayed(), keys(&[created(2, 3, "b", b"2")]));
    assert_eq!(
        log.reader.values(&[Position(1), Position(2)]).unwrap(),
        [None, Some(Bytes::from_static(b"2"))]
    );
}

fn values_come_in_the_order_asked_for(mut log: Subject) {
    log.append(&keys(&[
        created(1, 2, "a", b"1"),
        created(2, 3, "b", b""),
        created(3, 4, "c", b"3"),
    ]));
    let values = log.reader.values(&[3, 9, 1, 2, 3].map(Position)).unwrap();
    let expected = [Some("3"), None, Some("1"), Some(""), Some("3")];
    assert_eq!(values, expected.map(|value| value.map(Bytes::from)));
}

fn events_begin_at_the_revision_asked_for(mut log: Subject) {
    log.append(&keys(&[
        created(10, 2, "a", b""),
        created(20, 5, "b", b""),
        created(30, 5, "c", b""),
    ]));
    log.append(&keys(&[created(40, 9, "d", b"")]));
    let from = |revision| log.events(revision, usize::MAX);
    for revision in [i64::MIN, -1, 0, 1, 2] {
        assert_eq!(from(revision), [10, 20, 30, 40]);
    }
    assert_eq!(from(3), [20, 30, 40]);
    assert_eq!(from(5), [20, 30, 40]);
    assert_eq!(from(6), [40]);
    assert_eq!(from(9), [40]);
    assert_eq!(from(10), [0_i64; 0]);
    assert_eq!(from(i64::MAX), [0_i64; 0]);
}

fn events_never_cut_a_revision(mut log: Subject) {
    let row = |position, revision| created(position, revision, &position.to_string(), &[0; 1000]);
    log.append(&keys(&[
        row(1, 2),
        row(2, 2),
        row(3, 2),
        row(4, 3),
        row(5, 3),
        row(6, 4),
    ]));
    assert_eq!(log.events(2, 0), [1, 2, 3]);
    assert_eq!(log.events(2, 1500), [1, 2, 3]);
    assert_eq!(log.events(2, 4000), [1, 2, 3, 4, 5]);
    assert_eq!(log.events(3, 1), [4, 5]);
    assert_eq!(log.events(2, 100_000), [1, 2, 3, 4, 5, 6]);
}

fn events_skip_what_was_scrubbed(mut log: Subject) {
    let rows: Vec<_> = (1..=100)
        .map(|at| created(at, at + 1, &at.to_string(), b""))
        .collect();
    log.append(&keys(&rows));
    log.append(&[Effect::Scrubbed(
        (1..=90).filter(|at| at % 10 != 0).map(Position).collect(),
    )]);
    assert_eq!(log.events(62, usize::MAX)[..4], [70, 80, 90, 91]);
    assert_eq!(log.events(1, 0), [10]);
    assert_eq!(log.events(101, usize::MAX), [100]);
}

fn events_come_with_the_compaction_that_they_lack_rows_by(mut log: Subject) {
    let compacted = |log: &Subject, from| {
        let history = log.reader.events(Revision(from), usize::MAX);
        history.expect("the log can be read").compact_revision
    };
    assert_eq!(compacted(&log, 0), Revision::NEVER_COMPACTED);
    log.append(&keys(&[created(1, 2, "a", b""), created(2, 3, "b", b"")]));
    log.append(&[Effect::Compacted(Revision(3))]);
    for from in [0, 3, 4] {
        assert_eq!(compacted(&log, from), Revision(3), "from {from} on");
    }
}

fn an_empty_batch_is_stored(mut log: Subject) {
    log.append(&[]);
    assert_eq!(log.replayed(), []);
}

fn binary_keys_and_large_values_survive(mut log: Subject) {
    let large: Vec<u8> = (0..3 << 20).map(|at| (at % 251) as u8).collect();
    let mut row = created(1, 2, "", &large);
    row.key = Bytes::from_static(b"\0\xff\xfe\0'\"");
    log.append(&keys(std::slice::from_ref(&row)));
    assert_eq!(replayed_events(&*log.reader), [row]);
}

fn identity_is_stable_and_not_zero(log: Subject) {
    let identity = log.reader.identity();
    assert_ne!(identity.cluster_id, 0);
    assert_ne!(identity.member_id, 0);
    assert_eq!(identity, log.reader.identity());
}

fn size_grows_with_what_is_stored(mut log: Subject) {
    let before = log.reader.size().unwrap();
    log.append(&keys(&[created(1, 2, "a", &[7; 100_000])]));
    let after = log.reader.size().unwrap();
    assert!(after.in_use >= before.in_use + 90_000, "{before:?} {after:?}");
    assert!(after.allocated >= after.in_use, "{after:?}");
}

fn a_snapshot_is_a_new_file(mut log: Subject) {
    log.append(&keys(&[created(1, 2, "a", b"")]));
    let home = TempDir::new().unwrap();
    let to = home.path().join("copy");
    log.reader.snapshot(&to).unwrap();
    let length = std::fs::metadata(&to).unwrap().len();
    assert!(length > 0);
    assert!(
        log.reader.snapshot(&to).is_err(),
        "an existing file is not written over"
    );
    assert_eq!(std::fs::metadata(&to).unwrap().len(), length);
}

fn upkeep_of_a_new_log_has_nothing_to_do(mut log: Subject) {
    assert_eq!(log.journal.upkeep(), Ok(false));
}

#[test]
fn memory_fails_on_request_and_only_once() {
    let mut journal = MemoryJournal::new();
    let batch = keys(&[created(1, 2, "a", b"")]);
    journal.fail_next(AppendError::Full);
    assert_eq!(journal.append(&batch), Err(AppendError::Full));
    assert_eq!(replayed(&*journal.reader()), []);
    assert_eq!(journal.append(&batch), Ok(()));
    journal.fail_next(AppendError::Unknown("test".to_owned()));
    assert!(journal.append(&[]).is_err());
    assert!(journal.append(&[]).is_err(), "nothing follows an unknown outcome");
}
