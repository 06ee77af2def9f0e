//! Who may append to the shared log: only the newest claim, only while its node leads, only whole batches.
#![cfg(feature = "dqlite")]

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use cluster::Cluster;
use common::{created, keys, lease, raised, replayed, replayed_events};
use journal::{AppendError, DqliteLog, DqliteOptions, Journal, SharedLog as _, SqliteJournal, SqliteOptions};
use journal::{RestoreOptions, restore, verify};
use model::{Alarm, Effect, LeaseId, Position, Revision};
use support::Single;
use tempfile::TempDir;

fn log_on(node: &Single) -> DqliteLog {
    DqliteLog::new(DqliteOptions::new(1, node.address()))
}

fn writer(log: &DqliteLog) -> Box<dyn Journal> {
    log.writer(&log.claim().expect("it leads"))
        .expect("the claim holds")
}

fn one(position: i64) -> Vec<Effect> {
    keys(&[created(position, position + 1, "k", b"v")])
}

/// Batches of every form that an append can have.
fn forms(position: i64) -> [Vec<Effect>; 3] {
    let mut mixed = one(position);
    mixed.push(Effect::LeaseGranted(lease(position, 10, 0)));
    [
        one(position),
        mixed,
        vec![Effect::LeaseGranted(lease(position, 10, 0))],
    ]
}

#[test]
fn an_earlier_claim_stores_nothing_in_any_form() {
    let node = Single::start();
    let log = log_on(&node);
    for form in 0..3 {
        let mut earlier = writer(&log);
        let mut later = writer(&log);
        let before = replayed(&*log.reader());
        let refused = earlier.append(&forms(100)[form]);
        assert!(matches!(refused, Err(AppendError::NotLeader(_))), "{refused:?}");
        assert_eq!(replayed(&*log.reader()), before, "form {form}");
        later
            .append(&forms(form as i64 + 1)[form])
            .expect("the newest claim may append");
        let again = earlier.append(&[]);
        assert!(
            matches!(again, Err(AppendError::NotLeader(_))),
            "it has ended: {again:?}"
        );
    }
}

#[test]
fn a_writer_that_finds_rows_it_does_not_know_stores_nothing() {
    let node = Single::start();
    let log = log_on(&node);
    let claim = log.claim().unwrap();
    for form in 0..3 {
        // Two writers under one claim: a fault of the program, which the log notices all the same.
        let (mut first, mut second) = (log.writer(&claim).unwrap(), log.writer(&claim).unwrap());
        let base = 10 * form as i64;
        first.append(&one(base + 1)).unwrap();
        let refused = second.append(&forms(base + 2)[form]);
        assert!(matches!(refused, Err(AppendError::NotLeader(_))), "{refused:?}");
        first.append(&one(base + 3)).unwrap();
    }
    assert_eq!(replayed(&*log.reader()).len(), 6);
}

#[test]
fn a_writer_needs_the_newest_claim() {
    let node = Single::start();
    let log = log_on(&node);
    let old = log.claim().unwrap();
    let new = log.claim().unwrap();
    assert_eq!((old.epoch, new.epoch), (1, 2));
    assert!(matches!(log.writer(&old), Err(AppendError::NotLeader(_))));
    log.writer(&new).expect("the newest claim holds");
}

#[test]
fn a_claim_tells_what_the_log_holds() {
    let node = Single::start();
    let options = DqliteOptions {
        clock: std::sync::Arc::new(|| 777),
        ..DqliteOptions::new(1, node.address())
    };
    let log = DqliteLog::new(options);
    let claim = log.claim().unwrap();
    assert_eq!(claim.compact_revision, Revision::NEVER_COMPACTED);
    assert_eq!(
        (claim.leases.len(), claim.alarms.len(), claim.lease_clock_ms),
        (0, 0, 0)
    );
    let mut journal = log.writer(&claim).unwrap();
    journal.append(&one(1)).unwrap();
    let rest = [
        Effect::LeaseGranted(lease(5, 10, 99)),
        Effect::LeaseGranted(lease(6, 10, 99)),
        Effect::LeaseRevoked(LeaseId(6)),
        Effect::AlarmRaised(raised(Alarm::NoSpace, 1)),
        Effect::Compacted(Revision(2)),
    ];
    journal.append(&rest).unwrap();
    let claim = log.claim().unwrap();
    assert_eq!(claim.leases, [lease(5, 10, 99)]);
    assert_eq!(claim.alarms, [raised(Alarm::NoSpace, 1)]);
    assert_eq!((claim.compact_revision, claim.lease_clock_ms), (Revision(2), 777));
}

#[test]
fn a_log_of_a_newer_program_is_refused_by_name() {
    let node = Single::start();
    let log = log_on(&node);
    log.claim().unwrap();
    let tamper = |sql: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            use dqlite::client::{Client, Options, PlainConnector};
            let mut client = Client::connect(&PlainConnector, node.address(), Options::default())
                .await
                .unwrap();
            client.open("taffrail").await.unwrap();
            client.execute_sql(sql, &[]).await.unwrap();
        });
    };
    tamper("PRAGMA user_version = 9");
    let refused = log.claim().unwrap_err().to_string();
    assert!(refused.contains("schema version 9"), "{refused}");
    let unreadable = log.reader().replay(&mut |_| {}).unwrap_err().to_string();
    assert!(unreadable.contains("schema version 9"), "{unreadable}");
    tamper("PRAGMA user_version = 1");
    assert_eq!(log.claim().unwrap().epoch, 2, "a refused claim changes nothing");
}

#[test]
fn batches_of_any_size_are_stored_whole() {
    let node = Single::start();
    let log = log_on(&node);
    let mut journal = writer(&log);
    let mut next = 1;
    for count in [1, 2, 5, 33, 700, 4096, 4097, 9000] {
        let rows: Vec<_> = (next..next + count)
            .map(|at| created(at, at + 1, "k", &at.to_le_bytes()))
            .collect();
        journal.append(&keys(&rows)).unwrap();
        next += count;
    }
    let scrubbed: Vec<_> = (1..9000).map(Position).collect();
    journal.append(&[Effect::Scrubbed(scrubbed)]).unwrap();
    let events = replayed_events(&*log.reader());
    let positions: Vec<_> = events.iter().map(|event| event.version.position.0).collect();
    assert_eq!(positions, (9000..next).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_is_a_log_of_one_machine() {
    let node = Single::start();
    let log = log_on(&node);
    let mut journal = writer(&log);
    let mut batch = one(1);
    batch.extend([
        Effect::LeaseGranted(lease(5, 10, 99)),
        Effect::AlarmRaised(raised(Alarm::NoSpace, 1)),
    ]);
    journal.append(&batch).unwrap();
    let home = TempDir::new().unwrap();
    let (file, data_dir) = (home.path().join("snapshot"), home.path().join("data"));
    log.reader().snapshot(&file).unwrap();
    let found = verify(&file).unwrap();
    assert_eq!((found.problems, found.rows, found.leases), (vec![], 1, 1));
    restore(&file, &data_dir, RestoreOptions::default()).unwrap();
    let (_journal, reader) = SqliteJournal::open(&data_dir, SqliteOptions::default()).unwrap();
    assert_eq!(replayed(&*reader), replayed(&*log.reader()));
}

#[test]
fn a_leader_that_gives_way_stores_nothing_more() {
    let mut cluster = Cluster::start();
    let (first, log, claim) = cluster.claim(&[0]);
    let mut old = log.writer(&claim).unwrap();
    old.append(&one(1)).unwrap();
    cluster.transfer(first, 1);
    let refused = old.append(&one(2));
    assert!(matches!(refused, Err(AppendError::NotLeader(_))), "{refused:?}");
    let (_, log, claim) = cluster.claim(&[1]);
    assert_eq!(claim.epoch, 2);
    log.writer(&claim).unwrap().append(&one(3)).unwrap();
    let events = log.reader().events(Revision(0), usize::MAX).unwrap().events;
    assert_eq!(
        events
            .iter()
            .map(|event| event.version.position.0)
            .collect::<Vec<_>>(),
        [1, 3]
    );
}

#[test]
fn an_append_without_a_majority_is_lost_and_whole_or_absent() {
    let mut cluster = Cluster::start();
    let (_, log, claim) = cluster.claim(&[0]);
    let mut journal = log.writer(&claim).unwrap();
    journal.append(&one(1)).unwrap();
    cluster.nodes[1].pause();
    cluster.nodes[2].pause();
    let mut batch = keys(
        &(2..40)
            .map(|at| created(at, at + 1, "k", b""))
            .collect::<Vec<_>>(),
    );
    batch.push(Effect::LeaseGranted(lease(2, 10, 0)));
    let lost = journal.append(&batch);
    assert!(matches!(lost, Err(AppendError::Lost(_))), "{lost:?}");
    assert!(matches!(journal.append(&one(40)), Err(AppendError::NotLeader(_))));
    cluster.nodes[1].resume();
    let (_, log, claim) = cluster.claim(&[0, 1]);
    let events = log.reader().events(Revision(0), usize::MAX).unwrap().events;
    match events.len() {
        1 => assert_eq!(claim.leases, []),
        39 => assert_eq!(claim.leases, [lease(2, 10, 0)]),
        some => panic!("{some} rows of a batch"),
    }
    log.writer(&claim)
        .unwrap()
        .append(&one(100))
        .expect("the log goes on");
}

#[test]
fn a_node_that_ends_takes_its_writer_with_it() {
    let mut node = Single::start();
    let log = log_on(&node);
    let mut journal = writer(&log);
    journal.append(&one(1)).unwrap();
    node.pause();
    let refused = journal.append(&one(2));
    assert!(
        matches!(refused, Err(AppendError::NotLeader(_) | AppendError::Lost(_))),
        "{refused:?}"
    );
    node.resume();
    assert!(
        matches!(journal.append(&one(2)), Err(AppendError::NotLeader(_))),
        "for good"
    );
    writer(&log).append(&one(2)).unwrap();
    assert_eq!(replayed_events(&*log.reader()).len(), 2);
}
