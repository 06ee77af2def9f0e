//! The shared log read: from the leader, and without one.
#![cfg(feature = "dqlite")]

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::{Cluster, eventually};
use common::{created, keys, lease, replayed};
use journal::{DqliteLog, DqliteOptions, Image, ReadError, Reader, SharedLog as _, Size};
use model::{Effect, Event, Position, Revision};

fn row(at: i64) -> Event {
    created(at, at + 1, &format!("k{at}"), &at.to_le_bytes())
}

fn rows(range: std::ops::RangeInclusive<i64>) -> Vec<Effect> {
    keys(&range.map(row).collect::<Vec<_>>())
}

fn positions(reader: &dyn Reader, from: i64) -> Result<Vec<i64>, ReadError> {
    let events = reader.events(Revision(from), usize::MAX)?.events;
    Ok(events.iter().map(|event| event.version.position.0).collect())
}

/// Ten rows in a cluster that the first member leads.
fn filled() -> Cluster {
    let mut cluster = Cluster::start();
    let (_, log, claim) = cluster.claim(&[0]);
    let mut journal = log.writer(&claim).unwrap();
    journal.append(&rows(1..=10)).unwrap();
    journal.append(&[Effect::LeaseGranted(lease(3, 10, 0))]).unwrap();
    cluster
}

#[test]
fn a_follower_reads_from_the_leader() {
    let cluster = filled();
    let reader = cluster.log(1).reader();
    assert_eq!(positions(&*reader, 0).unwrap(), (1..=10).collect::<Vec<_>>());
    let value = Bytes::copy_from_slice(&7_i64.to_le_bytes());
    assert_eq!(
        reader.values(&[Position(7), Position(99)]).unwrap(),
        [Some(value), None]
    );
    assert!(reader.size().unwrap().in_use > 0);
}

#[test]
fn without_a_leader_the_local_replica_is_read() {
    let cluster = filled();
    let options = cluster.options(1);
    let reader = DqliteLog::new(options.clone()).reader();
    cluster.forget_leader();
    // The replica gets there in its own time; until then it must not pass for the log.
    options.horizon.advance(Position(10));
    let found = eventually(|| positions(&*reader, 6));
    assert_eq!(found, (5..=10).collect::<Vec<_>>());
    let value = Bytes::copy_from_slice(&7_i64.to_le_bytes());
    assert_eq!(reader.values(&[Position(7)]).unwrap(), [Some(value)]);
    assert!(reader.size().unwrap().in_use > 0);
    assert_ne!(reader.identity().cluster_id, 0);
}

#[test]
fn a_replica_that_is_behind_is_not_read() {
    let cluster = filled();
    let options = cluster.options(1);
    let reader = DqliteLog::new(options.clone()).reader();
    options.horizon.advance(Position(11));
    let refuses = || {
        assert!(matches!(positions(&*reader, 0), Err(ReadError::Failed(_))));
        assert!(matches!(
            reader.values(&[Position(11)]),
            Err(ReadError::Failed(_))
        ));
    };
    refuses();
    cluster.forget_leader();
    refuses();
    let value = [Some(Bytes::copy_from_slice(&7_i64.to_le_bytes()))];
    let found = eventually(|| reader.values(&[Position(7)]));
    assert_eq!(found, value, "rows that it has do not change");
    assert!(reader.size().unwrap().in_use > 0);
    cluster.find_leader(0);
    let found = reader.values(&[Position(7)]).unwrap();
    assert_eq!(found, value, "what is there is there");
}

/// A member's own rows are read as far as is asked for, however far the process has come, and what the replica does
/// not have is not waited for longer than a client waits.
#[test]
fn own_rows_are_read_up_to_a_revision_and_not_waited_for_long() {
    let cluster = filled();
    let options = cluster.options(1);
    let reader = DqliteLog::new(options.clone()).reader();
    options.horizon.advance(Position(1_000));
    let own = |up_to| reader.own_events(Revision(0), Revision(up_to), usize::MAX);
    let found = eventually(|| own(11));
    assert_eq!(found.events.len(), 10);
    let begun = Instant::now();
    let said = own(12).unwrap_err().to_string();
    assert!(said.contains("replica ends at revision 11, not 12"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

/// What a backup from a follower must hold is what its process has shown, not what its replica happens to have.
#[test]
fn a_backup_has_everything_that_was_shown() {
    let cluster = filled();
    let folder = tempfile::tempdir().unwrap();
    let options = cluster.options(1);
    options.horizon.advance(Position(10));
    let reader = DqliteLog::new(options.clone()).reader();
    let file = folder.path().join("backup.db");
    reader.snapshot(&file).unwrap();
    assert_eq!(journal::verify(&file).unwrap().newest_revision, Revision(11));
    options.horizon.advance(Position(1_000));
    let said = reader.snapshot(&folder.path().join("more.db")).unwrap_err();
    assert!(said.to_string().contains("before 1000"), "{said}");
    assert!(!folder.path().join("more.db").exists());
}

/// A replica without a database yet, on a member that has just begun, takes no space.
#[test]
fn a_member_that_has_just_begun_has_nothing() {
    let cluster = Cluster::start();
    cluster.forget_leader();
    assert_eq!(cluster.log(1).reader().size().unwrap(), Size::default());
}

#[test]
fn an_image_is_made_again_when_it_lacks_rows() {
    let mut cluster = filled();
    let options = cluster.options(1);
    let reader = DqliteLog::new(options.clone()).reader();
    cluster.forget_leader();
    options.horizon.advance(Position(10));
    assert_eq!(eventually(|| positions(&*reader, 0)).len(), 10);
    let (_, log, claim) = cluster.claim(&[0]);
    log.writer(&claim).unwrap().append(&rows(11..=20)).unwrap();
    cluster.forget_leader();
    options.horizon.advance(Position(20));
    assert_eq!(eventually(|| positions(&*reader, 0)).len(), 20);
}

#[test]
fn readers_find_their_way_to_the_next_leader() {
    let mut cluster = filled();
    let reader = cluster.log(2).reader();
    assert_eq!(positions(&*reader, 0).unwrap().len(), 10);
    cluster.transfer(0, 1);
    let (_, log, claim) = cluster.claim(&[1]);
    log.writer(&claim).unwrap().append(&rows(11..=12)).unwrap();
    assert_eq!(positions(&*reader, 0).unwrap().len(), 12);
}

#[test]
fn a_member_without_a_replica_starts_from_anothers() {
    let cluster = filled();
    let image = cluster.log(0).image().unwrap();
    let stranger = DqliteLog::new(DqliteOptions::new(9, support::free_address()));
    assert!(matches!(
        stranger.reader().replay(&mut |_| {}),
        Err(ReadError::Failed(_))
    ));
    let mut effects = Vec::new();
    let parts = image.chunks(10_000).map(Bytes::copy_from_slice).collect();
    stranger
        .replay_image(parts, &mut |effect| effects.push(effect))
        .unwrap();
    assert_eq!(effects, replayed(&*cluster.log(0).reader()));
    let identity = stranger.reader().identity();
    assert_eq!(identity.member_id, 9);
    let claimed = cluster.log(0);
    claimed.claim().unwrap();
    assert_eq!(identity.cluster_id, claimed.reader().identity().cluster_id);
}

#[test]
fn bytes_that_are_no_replica_are_refused() {
    let cluster = filled();
    let image = cluster.log(0).image().unwrap();
    let other = {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("other");
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch("CREATE TABLE t (n)").unwrap();
        database.close().unwrap();
        std::fs::read(path).unwrap()
    };
    let mut damaged = image.to_vec();
    damaged[4096..].fill(0x5a);
    for bytes in [
        vec![],
        vec![7; 4096],
        image[..4096 + 5].to_vec(),
        image[..4096].to_vec(),
        other,
        damaged,
    ] {
        let length = bytes.len();
        let refused = Image::from_parts(vec![bytes.into()]).and_then(|image| image.replay(&mut |_| {}));
        assert!(
            matches!(refused, Err(ReadError::Corrupt(_))),
            "{length}: {refused:?}"
        );
    }
    assert_eq!(Image::from_parts(vec![image]).unwrap().newest(), Position(10));
}

#[test]
fn large_rows_and_long_histories_come_in_pages() {
    let mut cluster = Cluster::start();
    let (_, log, claim) = cluster.claim(&[0]);
    let mut journal = log.writer(&claim).unwrap();
    let large = |at: i64| created(at, 2 + (at - 1) / 3, "k", &vec![at as u8; 40_000 + at as usize]);
    let all: Vec<_> = (1..=60).map(large).collect();
    journal.append(&keys(&all)).unwrap();
    let small: Vec<_> = (61..=1500).map(|at| created(at, at, "k", b"")).collect();
    journal.append(&keys(&small)).unwrap();
    let reader = log.reader();
    assert_eq!(
        reader.events(Revision(3), 1).unwrap().events,
        all[3..6],
        "one revision"
    );
    assert_eq!(reader.events(Revision(3), 130_000).unwrap().events, all[3..9]);
    let (mut from, mut seen) = (Revision(0), Vec::new());
    loop {
        let page = reader.events(from, 100_000).unwrap().events;
        let Some(last) = page.last() else { break };
        from = last.version.mod_revision.next();
        seen.extend(page);
    }
    assert!(seen == [all, small].concat());
    let many: Vec<_> = (0..1300).map(|at| Position(at * 7 % 1600)).collect();
    let found = reader.values(&many).unwrap();
    let there = |position: &Position| (1..=1500).contains(&position.0);
    assert!(
        many.iter()
            .zip(&found)
            .all(|(position, value)| value.is_some() == there(position))
    );
}
