//! Compaction and space in a whole pipeline on a log in memory, under a clock that the tests move.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use journal::{AppendError, Journal, MemoryJournal};
use model::{
    Alarm, AlarmMember, Command, DeleteRange, Event, KeyRange, Position, Put, RangeQuery, Refusal, State,
};
use parking_lot::Mutex;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::errors::RequestError;
use crate::pipeline::{Pipeline, Settings};

/// A log that remembers which rows were scrubbed in which order.
#[derive(Clone, Default)]
struct Recorder {
    log: MemoryJournal,
    scrubs: Arc<Mutex<Vec<Vec<Position>>>>,
    fail_scrubs: Arc<Mutex<usize>>,
}

impl Journal for Recorder {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        for effect in effects {
            let Effect::Scrubbed(rows) = effect else { continue };
            let mut fail = self.fail_scrubs.lock();
            if *fail > 0 {
                *fail -= 1;
                return Err(AppendError::Failed("the disk is on strike".into()));
            }
            self.scrubs.lock().push(rows.clone());
        }
        self.log.append(effects)
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        self.log.upkeep()
    }
}

impl Recorder {
    fn rows(&self) -> Vec<Event> {
        self.log
            .reader()
            .events(Revision(0), usize::MAX)
            .expect("readable")
            .events
    }

    /// One run of the server on this log: it ends, without a farewell, when `work` is done.
    async fn run<T>(&self, settings: Settings, work: impl AsyncFnOnce(Store) -> T) -> T {
        let whole = async {
            let store = Pipeline::start_here(self.clone(), self.log.reader(), settings).expect("a pipeline");
            work(store).await
        };
        LocalSet::new().run_until(whole).await
    }
}

async fn put(store: &Store, key: &str, value: &[u8]) -> Result<(), RequestError> {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let put = Put {
        key,
        value: Bytes::copy_from_slice(value),
        ..Put::default()
    };
    store.submit(Command::Put(put)).await.map(drop)
}

async fn delete(store: &Store, key: &str) {
    let range = KeyRange::Single(Bytes::copy_from_slice(key.as_bytes()));
    store
        .submit(Command::DeleteRange(DeleteRange {
            range,
            prev_kv: false,
        }))
        .await
        .expect("deleted");
}

async fn compact(store: &Store, revision: Revision) {
    store.submit(Command::Compact(revision)).await.expect("compacted");
}

/// Three hundred keys with ten versions each; every third is deleted in the end.
async fn fill(store: &Store) {
    for round in 0..10 {
        for key in 0..300 {
            put(store, &format!("key-{key:03}"), &[round]).await.expect("put");
        }
    }
    for key in (0..300).step_by(3) {
        delete(store, &format!("key-{key:03}")).await;
    }
}

async fn live(store: &Store) -> i64 {
    let all = KeyRange::new(Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
    store.range(RangeQuery::new(all)).await.expect("a range").count
}

fn versions(store: &Store) -> usize {
    store.report().keyspace.versions
}

#[tokio::test(start_paused = true)]
async fn a_compaction_deletes_exactly_what_nobody_can_read() {
    let log = Recorder::default();
    log.run(Settings::default(), async |store| {
        fill(&store).await;
        put(&store, "later", b"").await.expect("put");
        assert_eq!(log.rows().len(), 3101);
        compact(&store, store.revision()).await;
        store.compact_physically().await.expect("done");
        assert_eq!(
            (log.rows().len(), versions(&store), live(&store).await),
            (201, 201, 201)
        );
        let report = store.report().compactor;
        assert_eq!(
            (report.scrubbed, report.pending, report.passing),
            (2900, 0, false)
        );
        let scrubs = log.scrubs.lock();
        assert!(
            scrubs.iter().all(|rows| rows.len() <= 128),
            "each command is small"
        );
        assert!(scrubs.concat().is_sorted(), "in the order of the log");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_compaction_is_finished_by_the_next_run() {
    let log = Recorder::default();
    log.run(Settings::default(), async |store| {
        fill(&store).await;
        put(&store, "later", b"").await.expect("put");
        compact(&store, store.revision()).await;
    })
    .await;
    assert!(log.rows().len() > 201, "the run ended before the rows were gone");
    log.run(Settings::default(), async |store| {
        store.compact_physically().await.expect("done");
        assert_eq!(
            (log.rows().len(), versions(&store), live(&store).await),
            (201, 201, 201)
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn rows_whose_deletion_failed_are_not_forgotten() {
    let log = Recorder::default();
    log.run(Settings::default(), async |store| {
        fill(&store).await;
        put(&store, "later", b"").await.expect("put");
        *log.fail_scrubs.lock() = 2;
        compact(&store, store.revision()).await;
        store.compact_physically().await.expect("done");
        assert_eq!((log.rows().len(), store.report().compactor.failed), (201, 2));
    })
    .await;
}

/// The keys that a replay shows if the process dies when only these rows were scrubbed.
fn live_after_crash(rows: &[Event], scrubbed: &[Vec<Position>]) -> usize {
    let gone: HashSet<Position> = scrubbed.iter().flatten().copied().collect();
    let mut state = State::default();
    for event in rows
        .iter()
        .filter(|event| !gone.contains(&event.version.position))
    {
        state.apply(&Effect::Key(event.clone()));
    }
    state.index().live_keys()
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_two_scrubs_brings_no_deleted_key_back() {
    let log = Recorder::default();
    let rows = log
        .run(Settings::default(), async |store| {
            for key in ["a", "b", "c", "d"] {
                for _ in 0..1100 {
                    put(&store, key, b"").await.expect("put");
                }
                delete(&store, key).await;
            }
            put(&store, "e", b"").await.expect("put");
            let rows = log.rows();
            // The first failure would let later rows overtake earlier ones, if anything did.
            *log.fail_scrubs.lock() = 1;
            compact(&store, Revision(1_000)).await;
            compact(&store, store.revision()).await;
            store.compact_physically().await.expect("done");
            assert_eq!(log.rows().len(), 1);
            rows
        })
        .await;
    let scrubs = log.scrubs.lock();
    assert!(scrubs.len() > 3, "one command would not show anything");
    for done in 0..=scrubs.len() {
        assert_eq!(
            live_after_crash(&rows, &scrubs[..done]),
            1,
            "after {done} of {} scrubs",
            scrubs.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_compaction_that_comes_during_a_pass_gets_its_own() {
    let log = Recorder::default();
    log.run(Settings::default(), async |store| {
        fill(&store).await;
        put(&store, "later", b"").await.expect("put");
        compact(&store, Revision(1_500)).await;
        compact(&store, Revision(2_000)).await;
        compact(&store, store.revision()).await;
        store.compact_physically().await.expect("done");
        assert_eq!(
            (log.rows().len(), store.report().compactor.passes.count),
            (201, 2)
        );
        store
            .compact_physically()
            .await
            .expect("at once: nothing is left to wait for");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn writers_get_in_between_the_steps_of_a_pass() {
    let log = Recorder::default();
    log.run(Settings::default(), async |store| {
        for key in 0..5_000 {
            let key = format!("key-{key}");
            put(&store, &key, b"").await.expect("put");
            delete(&store, &key).await;
        }
        put(&store, "later", b"").await.expect("put");
        compact(&store, store.revision()).await;
        let mut during = 0;
        let finished = tokio::task::spawn_local({
            let store = store.clone();
            async move { store.compact_physically().await }
        });
        while !finished.is_finished() {
            put(&store, "busy", b"").await.expect("put");
            during += 1;
            sleep(Duration::from_micros(100)).await;
        }
        println!(
            "{during} writes during a pass of {} scrubs",
            log.scrubs.lock().len()
        );
        assert!(during > 5, "{during}");
        assert_eq!(log.rows().len(), 1 + during);
    })
    .await;
}

/// Writes until the quota refuses.
async fn exhaust(store: &Store) {
    for key in 0..1000 {
        match put(store, &format!("key-{key}"), &[0; 20_000]).await {
            Ok(()) => {}
            Err(refused) => return assert_eq!(refused, RequestError::Refused(Refusal::NoSpace)),
        }
    }
    panic!("there is no quota");
}

async fn free(store: &Store) {
    let all = KeyRange::new(Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
    let everything = DeleteRange {
        range: all,
        prev_kv: false,
    };
    store
        .submit(Command::DeleteRange(everything))
        .await
        .expect("deleting needs no space");
    put(store, "x", b"")
        .await
        .expect_err("the alarm stays until space is back");
    compact(store, store.revision()).await;
    store.compact_physically().await.expect("done");
}

fn own_alarm(store: &Store) -> AlarmMember {
    AlarmMember {
        alarm: Alarm::NoSpace,
        member_id: store.identity().member_id,
    }
}

fn tight() -> Settings {
    Settings {
        quota_bytes: Some(1_000_000),
        ..Settings::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_alarm_of_the_quota_clears_itself_when_space_returns() {
    let log = Recorder::default();
    log.run(tight(), async |store| {
        exhaust(&store).await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(store.alarms(), [own_alarm(&store)], "nothing was freed");
        free(&store).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!((store.alarms(), put(&store, "x", b"").await), (vec![], Ok(())));
        let report = store.report().compactor;
        assert!(
            report.in_use_bytes > 0 && report.in_use_bytes < 900_000,
            "{report:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_of_the_run_before_clears_itself_too() {
    let log = Recorder::default();
    log.run(tight(), async |store| exhaust(&store).await).await;
    log.run(tight(), async |store| {
        sleep(Duration::from_secs(5)).await;
        assert_eq!(store.alarms(), [own_alarm(&store)], "nothing was freed");
        free(&store).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!((store.alarms(), put(&store, "x", b"").await), (vec![], Ok(())));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_clearing_that_fails_is_tried_again() {
    let log = Recorder::default();
    log.run(tight(), async |store| {
        exhaust(&store).await;
        free(&store).await;
        log.log
            .fail_next(AppendError::Failed("the disk is on strike".into()));
        sleep(Duration::from_secs(3)).await;
        assert_eq!(store.alarms(), []);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_an_operator_raised_stays() {
    let log = Recorder::default();
    log.run(tight(), async |store| {
        let raise = Command::Alarm(model::AlarmAction::Activate(own_alarm(&store)));
        store.submit(raise).await.expect("raised");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(store.alarms(), [own_alarm(&store)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn history_older_than_the_period_is_compacted_without_being_asked() {
    let log = Recorder::default();
    let auto_compaction = AutoCompaction::Periodic(Duration::from_secs(600));
    log.run(
        Settings {
            auto_compaction,
            ..Settings::default()
        },
        async |store| {
            for _ in 0..25 {
                put(&store, "a", b"").await.expect("put");
                sleep(Duration::from_secs(60)).await;
            }
            let compacted = store.compact_revision();
            println!("revision {}, compacted at {}", store.revision().0, compacted.0);
            // At 20 minutes the oldest sample is the one of 9 minutes, when ten writes had been made.
            assert!((10..=11).contains(&compacted.0), "{compacted:?}");
            assert_eq!(store.report().compactor.automatic, 2);
            assert_eq!(log.rows().len(), versions(&store));
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_number_of_revisions_is_kept_without_being_asked() {
    let log = Recorder::default();
    let auto_compaction = AutoCompaction::Revision(10);
    log.run(
        Settings {
            auto_compaction,
            ..Settings::default()
        },
        async |store| {
            for _ in 0..100 {
                put(&store, "a", b"").await.expect("put");
            }
            sleep(Duration::from_secs(299)).await;
            assert_eq!(store.compact_revision(), Revision::NEVER_COMPACTED);
            sleep(Duration::from_secs(2)).await;
            assert_eq!(
                (store.revision(), store.compact_revision(), log.rows().len()),
                (Revision(101), Revision(91), 11)
            );
        },
    )
    .await;
}
