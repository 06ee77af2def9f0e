//! Leases in a whole pipeline on a log in memory, under a clock that the tests move.

use std::time::Duration;

use bytes::Bytes;
use journal::{AppendError, MemoryJournal};
use model::{Command, KeyRange, LeaseGrant, Put, RangeQuery};
use tokio::task::LocalSet;
use tokio::time::{advance, sleep};

use super::*;
use crate::pipeline::{Pipeline, Settings};

/// One run of the server on this log: it ends, without a farewell, when `work` is done.
async fn run<T>(log: &MemoryJournal, clock: &LeaseClock, work: impl AsyncFnOnce(Store) -> T) -> T {
    let settings = Settings {
        clock: clock.clone(),
        ..Settings::default()
    };
    let whole = async {
        let store = Pipeline::start_here(log.clone(), log.reader(), settings).expect("a pipeline");
        work(store).await
    };
    LocalSet::new().run_until(whole).await
}

async fn run_once<T>(work: impl AsyncFnOnce(Store) -> T) -> T {
    run(&MemoryJournal::new(), &LeaseClock::beginning_at(1_000_000), work).await
}

async fn grant(store: &Store, id: i64, ttl: i64) {
    let id = LeaseId(id);
    let grant = LeaseGrant {
        id,
        chosen: id,
        ttl,
        now_ms: store.lease_clock_ms(),
    };
    store.submit(Command::LeaseGrant(grant)).await.expect("granted");
}

async fn put(store: &Store, key: &str, lease: i64) {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let put = Put {
        key,
        lease: LeaseId(lease),
        ..Put::default()
    };
    store.submit(Command::Put(put)).await.expect("put");
}

async fn keep_alive(store: &Store, id: i64) -> i64 {
    store.lease_keep_alive(LeaseId(id)).await.expect("an answer").ttl
}

async fn keys(store: &Store) -> i64 {
    let all = KeyRange::new(Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
    store.range(RangeQuery::new(all)).await.expect("a range").count
}

async fn is_there(store: &Store, id: i64) -> bool {
    store.leases().await.expect("leases").contains(&LeaseId(id))
}

/// Milliseconds from now until the lease is gone, as finely as the actor looks.
async fn gone_after(store: &Store, id: i64, patience: Duration) -> u64 {
    let begun = store.lease_clock_ms();
    while is_there(store, id).await {
        sleep(Duration::from_millis(10)).await;
        let waited = (store.lease_clock_ms() - begun).unsigned_abs();
        assert!(
            u128::from(waited) < patience.as_millis(),
            "lease {id} is immortal"
        );
    }
    (store.lease_clock_ms() - begun).unsigned_abs()
}

fn commits(store: &Store) -> u64 {
    store.report().batches.sizes.iter().sum()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_lease_expires_with_its_keys_in_one_revision_and_not_early() {
    run_once(async |store| {
        grant(&store, 7, 10).await;
        put(&store, "a", 7).await;
        put(&store, "b", 7).await;
        put(&store, "c", 0).await;
        let revision = store.revision();
        sleep(Duration::from_millis(9_990)).await;
        assert_eq!(keys(&store).await, 3, "early");
        sleep(Duration::from_millis(110)).await;
        assert_eq!((keys(&store).await, store.revision()), (1, revision.next()));
        let report = store.report().leases;
        assert_eq!(
            (report.granted, report.expired, report.revoked, report.active),
            (1, 1, 1, 0)
        );
        assert_eq!(keep_alive(&store, 7).await, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_granted_late_in_a_millisecond_has_its_whole_time() {
    const BEFORE: Duration = Duration::from_micros(900);
    run_once(async |store| {
        advance(BEFORE).await;
        grant(&store, 7, 10).await;
        put(&store, "a", 7).await;
        advance(10 * SECOND - Duration::from_micros(500)).await;
        for _ in 0..100 {
            assert_eq!(keys(&store).await, 1, "half a millisecond early");
            tokio::task::yield_now().await;
        }
        assert!(gone_after(&store, 7, SECOND).await <= 110);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_leases_that_expire_together_share_commits_of_a_bounded_size() {
    const LEASES: i64 = 10_000;
    run_once(async |store| {
        for id in 1..=LEASES {
            grant(&store, id, 30).await;
            put(&store, &format!("key-{id}"), id).await;
            if id % 100 == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
        assert_eq!(keys(&store).await, LEASES);
        let before = commits(&store);
        sleep(SECOND * 32).await;
        let spent = commits(&store) - before;
        println!("{LEASES} leases that expired within a second: {spent} commits");
        assert_eq!(
            (keys(&store).await, store.report().leases.expired),
            (0, LEASES.unsigned_abs())
        );
        let (fewest, most) = (REVOCATIONS_MIN as u64, REVOCATIONS_MAX as u64);
        let within = LEASES.unsigned_abs() / most..=LEASES.unsigned_abs() / fewest + 20;
        assert!(within.contains(&spent), "{spent} commits");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_kept_alive_lives_and_few_of_its_keep_alives_are_writes() {
    run_once(async |store| {
        grant(&store, 7, 10).await;
        put(&store, "a", 7).await;
        let (before, revision) = (commits(&store), store.revision());
        for _ in 0..20 {
            sleep(SECOND * 3).await;
            let kept = store.lease_keep_alive(LeaseId(7)).await.expect("an answer");
            assert_eq!(kept, KeepAliveReply { revision, ttl: 10 });
        }
        let report = store.report().leases;
        println!(
            "{} keep-alives, {} of them stored",
            report.renewed, report.renewals_stored
        );
        assert_eq!((report.renewed, report.renewals_stored), (20, 5));
        assert_eq!((commits(&store) - before, keys(&store).await), (5, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_renews_in_time_keeps_the_lease_and_nobody_else() {
    run_once(async |store| {
        for id in 1..=500 {
            grant(&store, id, 10).await;
            put(&store, &format!("key-{id}"), id).await;
        }
        sleep(Duration::from_millis(9_999)).await;
        let mut renewals = Vec::new();
        for id in (1..=500).step_by(2) {
            let store = store.clone();
            renewals.push(tokio::task::spawn_local(
                async move { keep_alive(&store, id).await },
            ));
        }
        for renewal in renewals {
            assert_eq!(renewal.await.expect("no panic"), 10);
        }
        sleep(SECOND).await;
        let left = store.leases().await.expect("leases");
        assert_eq!((left.len(), keys(&store).await), (250, 250));
        assert!(
            left.iter().all(|id| id.0 % 2 == 1),
            "one was told of its renewal and revoked"
        );
        assert_eq!(keep_alive(&store, 2).await, 0);
    })
    .await;
}

/// A lease of ten seconds is renewed three seconds after its grant and again after six; then the server
/// is away for `down`. Returns how long after the last renewal the lease is gone, milliseconds.
async fn lifetime_with_restart(down: Duration) -> u64 {
    let (log, clock) = (MemoryJournal::new(), LeaseClock::beginning_at(1_000_000));
    let renewed_ms = run(&log, &clock, async |store| {
        grant(&store, 7, 10).await;
        put(&store, "a", 7).await;
        for _ in 0..2 {
            sleep(SECOND * 3).await;
            assert_eq!(keep_alive(&store, 7).await, 10);
        }
        store.lease_clock_ms()
    })
    .await;
    advance(down).await;
    run(&log, &clock, async |store| {
        assert!(
            is_there(&store, 7).await && keys(&store).await == 1,
            "lost by the restart"
        );
        gone_after(&store, 7, SECOND * 60).await;
        (store.lease_clock_ms() - renewed_ms).unsigned_abs()
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_restart_lengthens_a_lease_by_at_most_the_slack_and_never_shortens_it() {
    for (down_ms, expected) in [
        (0, 14_000),
        (1_000, 14_000),
        (9_000, 14_000),
        (13_000, 18_000),
        (60_000, 65_000),
    ] {
        let lived = lifetime_with_restart(Duration::from_millis(down_ms)).await;
        println!("down for {down_ms} ms: gone {lived} ms after the last renewal");
        assert!(
            (expected..expected + 200).contains(&lived),
            "down for {down_ms} ms: {lived} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn restarts_do_not_start_a_lease_over() {
    let (log, clock) = (MemoryJournal::new(), LeaseClock::beginning_at(1_000_000));
    run(&log, &clock, async |store| grant(&store, 7, 60).await).await;
    for _ in 0..5 {
        advance(SECOND * 10).await;
        run(&log, &clock, async |store| assert!(is_there(&store, 7).await)).await;
    }
    let left = run(&log, &clock, async |store| {
        gone_after(&store, 7, SECOND * 100).await
    })
    .await;
    // The slack of a lease of 60 s is 60 s, once, however often the server restarts.
    assert!(
        (70_000..70_200).contains(&left),
        "{left} ms after the 50 s that went by"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_gone_astray_between_runs_neither_kills_a_lease_at_once_nor_makes_it_immortal() {
    for (next_run_ms, expected) in [(1_000_000_000_000, 5_000), (0, 40_000)] {
        let log = MemoryJournal::new();
        run(&log, &LeaseClock::beginning_at(1_000_000), async |store| {
            grant(&store, 7, 20).await
        })
        .await;
        let astray = LeaseClock::beginning_at(next_run_ms);
        let left = run(&log, &astray, async |store| {
            gone_after(&store, 7, SECOND * 100).await
        })
        .await;
        println!("the next run begins at {next_run_ms}: gone after {left} ms");
        // 40 s: no more than the time to live and the slack, whatever the stored deadline says.
        assert!((expected..expected + 200).contains(&left), "{left} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_fails_is_tried_again_and_the_lease_stays_over() {
    let log = MemoryJournal::new();
    run(&log, &LeaseClock::beginning_at(1_000_000), async |store| {
        grant(&store, 7, 10).await;
        put(&store, "a", 7).await;
        sleep(Duration::from_millis(9_990)).await;
        log.fail_next(AppendError::Failed("the disk is on strike".into()));
        sleep(Duration::from_millis(110)).await;
        assert_eq!((keys(&store).await, keep_alive(&store, 7).await), (1, 0));
        let left = store
            .lease_time_to_live(LeaseId(7), false)
            .await
            .expect("an answer");
        assert_eq!((left.ttl, left.granted_ttl), (0, 10));
        sleep(TICK_MAX).await;
        assert_eq!((keys(&store).await, is_there(&store, 7).await), (0, false));
        let report = store.report().leases;
        assert_eq!((report.failed, report.expired), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_whose_write_fails_is_told_so_and_the_next_one_succeeds() {
    let log = MemoryJournal::new();
    run(&log, &LeaseClock::beginning_at(1_000_000), async |store| {
        grant(&store, 7, 10).await;
        sleep(SECOND * 9).await;
        assert_eq!(keep_alive(&store, 7).await, 10);
        sleep(SECOND * 2).await;
        log.fail_next(AppendError::Full);
        let refused = store.lease_keep_alive(LeaseId(7)).await;
        assert_eq!(refused, Err(RequestError::Refused(Refusal::NoSpace)));
        assert_eq!(keep_alive(&store, 7).await, 10);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn questions_about_leases_are_answered_from_the_newest_state() {
    run_once(async |store| {
        grant(&store, 7, 100).await;
        grant(&store, 8, 50).await;
        put(&store, "b", 7).await;
        put(&store, "a", 7).await;
        sleep(Duration::from_millis(1_500)).await;
        let revision = store.revision();
        let left = store.lease_time_to_live(LeaseId(7), true).await;
        let keys = vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        assert_eq!(
            left,
            Ok(TimeToLiveReply {
                revision,
                ttl: 98,
                granted_ttl: 100,
                keys
            })
        );
        let unknown = store.lease_time_to_live(LeaseId(9), true).await;
        assert_eq!(
            unknown,
            Ok(TimeToLiveReply {
                revision,
                ttl: -1,
                granted_ttl: 0,
                keys: Vec::new()
            })
        );
        assert_eq!(store.leases().await, Ok(vec![LeaseId(8), LeaseId(7)]));
        store
            .submit(Command::LeaseRevoke(LeaseId(8)))
            .await
            .expect("revoked");
        assert_eq!(
            (store.leases().await, keep_alive(&store, 8).await),
            (Ok(vec![LeaseId(7)]), 0)
        );
    })
    .await;
}
