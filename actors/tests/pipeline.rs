//! The pipeline as a whole: what may be told when, what a failed batch undoes, what a restart keeps.

mod support;

use std::time::Duration;

use actors::{Committed, RangeChunks, RangePart, RequestError, Settings, Store};
use journal::AppendError;
use model::{
    Alarm, AlarmMember, Command, Compare, CompareResult, CompareTarget, DeleteRange, KeyRange, KeyValue,
    Operation, Put, RangeQuery, RangeReply, Refusal, Reply, Revision, Txn,
};
use support::{HeldJournal, Running, all, bytes, keys_of, put, start, start_held};
use tokio::task::JoinHandle;

type Answer = JoinHandle<Result<Committed, RequestError>>;

fn submit(store: &Store, command: Command) -> Answer {
    let store = store.clone();
    tokio::spawn(async move { store.submit(command).await })
}

fn create(key: &str) -> Command {
    let absent = Compare {
        range: KeyRange::Single(bytes(key)),
        target: CompareTarget::ModRevision(0),
        result: CompareResult::Equal,
    };
    let success = vec![Operation::Put(Put {
        key: bytes(key),
        ..Put::default()
    })];
    Command::Txn(Txn {
        compare: vec![absent],
        success,
        failure: vec![],
    })
}

/// A transaction that writes only if the key exists.
fn update(key: &str) -> Command {
    let present = Compare {
        range: KeyRange::Single(bytes(key)),
        target: CompareTarget::ModRevision(0),
        result: CompareResult::NotEqual,
    };
    let success = vec![Operation::Put(Put {
        key: bytes(key),
        ..Put::default()
    })];
    Command::Txn(Txn {
        compare: vec![present],
        success,
        failure: vec![],
    })
}

async fn outcome(answer: Answer) -> Result<Committed, RequestError> {
    tokio::time::timeout(Duration::from_secs(20), answer)
        .await
        .expect("an answer")
        .expect("no panic")
}

/// Lets everything that could run have its turn.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn range(store: &Store) -> Vec<String> {
    keys_of(&store.range(all()).await.expect("a range"))
}

#[tokio::test]
async fn nothing_is_shown_before_it_is_durable() {
    let (running, held): (Running, HeldJournal) = start_held(Settings::default());
    let answer = submit(&running.store, put("a", "1"));
    held.wait_for_append().await;
    settle().await;
    assert!(!answer.is_finished(), "answered before it was stored");
    assert_eq!(running.store.revision(), Revision(1));
    assert!(
        range(&running.store).await.is_empty(),
        "read before it was stored"
    );
    held.release(Ok(()));
    assert_eq!(outcome(answer).await.expect("stored").revision, Revision(2));
    assert_eq!(range(&running.store).await, ["a"]);
}

#[tokio::test]
async fn a_refusal_waits_for_the_state_it_was_decided_on() {
    let (running, held) = start_held(Settings::default());
    let first = submit(&running.store, create("a"));
    held.wait_for_append().await;
    let second = submit(&running.store, create("a"));
    settle().await;
    assert!(!second.is_finished(), "told of a key that may never exist");
    held.release(Ok(()));
    let Reply::Txn(lost) = outcome(second).await.expect("decided").reply else {
        panic!("a txn's answer")
    };
    assert!(!lost.succeeded);
    assert!(outcome(first).await.is_ok());
}

/// A hundred keys in one transaction.
fn hundred(number: usize) -> Command {
    let puts = (0..100).map(|key| {
        Operation::Put(Put {
            key: bytes(&format!("k{number}/{key}")),
            ..Put::default()
        })
    });
    Command::Txn(Txn {
        compare: vec![],
        success: puts.collect(),
        failure: vec![],
    })
}

/// The batch that refuses deletes many keys, so that it takes a while to apply: time enough to look.
#[tokio::test]
async fn whoever_is_refused_finds_what_refused_it() {
    let (running, held) = start_held(Settings::default());
    for number in 0..50 {
        let stored = submit(&running.store, hundred(number));
        held.wait_for_append().await;
        held.release(Ok(()));
        assert!(outcome(stored).await.is_ok());
    }
    let everything = Command::DeleteRange(DeleteRange {
        range: all().range,
        prev_kv: false,
    });
    let first = submit(&running.store, everything);
    held.wait_for_append().await;
    let second = submit(&running.store, update("k0/0"));
    settle().await;
    held.release(Ok(()));
    let told = outcome(second).await.expect("decided").revision;
    let found = running.store.revision();
    assert!(
        found >= told,
        "told of revision {told:?}, only {found:?} can be read"
    );
    assert!(outcome(first).await.is_ok());
}

#[tokio::test]
async fn what_was_decided_on_a_failed_batch_is_void() {
    let (running, held) = start_held(Settings::default());
    let first = submit(&running.store, create("a"));
    held.wait_for_append().await;
    let behind = submit(&running.store, create("a"));
    let other = submit(&running.store, put("b", "1"));
    settle().await;
    held.release(Err(AppendError::Full));
    for answer in [first, behind, other] {
        assert_eq!(
            outcome(answer).await.unwrap_err(),
            RequestError::Refused(Refusal::NoSpace)
        );
    }
    assert!(range(&running.store).await.is_empty());

    let again = submit(&running.store, create("a"));
    held.wait_for_append().await;
    held.release(Ok(()));
    let committed = outcome(again).await.expect("stored");
    assert_eq!(committed.revision, Revision(2), "a lost batch takes no revision");
}

#[tokio::test]
async fn requests_during_a_commit_share_the_next_one() {
    let (running, held) = start_held(Settings::default());
    let first = submit(&running.store, put("first", ""));
    held.wait_for_append().await;
    let rest: Vec<Answer> = (0..500)
        .map(|n| submit(&running.store, put(&format!("k{n}"), "")))
        .collect();
    settle().await;
    held.release(Ok(()));
    held.wait_for_append().await;
    held.release(Ok(()));
    assert!(outcome(first).await.is_ok());
    for answer in rest {
        assert!(outcome(answer).await.is_ok());
    }
    assert_eq!(held.appended(), [1, 500], "two commits for everything");
}

#[tokio::test]
async fn a_full_pipeline_refuses_at_once_and_by_name() {
    let (running, held) = start_held(Settings {
        max_in_flight: 2,
        ..Settings::default()
    });
    let admitted = [
        submit(&running.store, put("a", "1")),
        submit(&running.store, put("b", "1")),
    ];
    held.wait_for_append().await;
    settle().await;
    let refused = running.store.submit(put("c", "1")).await;
    assert_eq!(refused.unwrap_err(), RequestError::Overloaded);
    held.release_all();
    for answer in admitted {
        assert!(outcome(answer).await.is_ok());
    }
    assert!(running.store.submit(put("c", "1")).await.is_ok(), "room again");
    let report = running.store.report();
    assert_eq!((report.gate.in_flight, report.gate.refused), (0, 1));
}

#[tokio::test]
async fn a_restart_finds_everything_again() {
    let running = start(Settings::default());
    for n in 0..300 {
        running
            .store
            .submit(put(&format!("k{:03}", n % 100), &n.to_string()))
            .await
            .expect("stored");
    }
    running
        .store
        .submit(Command::Compact(Revision(200)))
        .await
        .expect("compacted");
    running.store.compact_physically().await.expect("scrubbed");
    let before = (
        running.store.range(all()).await,
        running.store.hash_kv(Revision(0)).await,
    );
    let running = running.restart(Settings::default());
    assert_eq!(
        (
            running.store.range(all()).await,
            running.store.hash_kv(Revision(0)).await
        ),
        before
    );
    assert_eq!(running.store.revision(), Revision(301));
    assert_eq!(running.store.compact_revision(), Revision(200));
}

#[tokio::test]
async fn a_restart_with_a_small_value_budget_answers_the_same() {
    let running = start(Settings {
        value_cache_bytes: 64,
        ..Settings::default()
    });
    for n in 0..300 {
        running
            .store
            .submit(put(&format!("k{n:03}"), &format!("value {n}")))
            .await
            .expect("stored");
    }
    assert!(
        running.store.report().keyspace.resident_bytes <= 4096,
        "the budget holds, but for one step's visits"
    );
    let small = running.store.range(all()).await.expect("a range");
    let running = running.restart(Settings::default());
    assert_eq!(running.store.range(all()).await.expect("a range"), small);
}

#[tokio::test]
async fn compare_and_put_from_many_tasks_loses_no_update() {
    let running = start(Settings::default());
    running.store.submit(put("counter", "0")).await.expect("stored");
    let tasks: Vec<_> = (0..8)
        .map(|_| tokio::spawn(increment_until(running.store.clone(), 50)))
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let reply = running.store.range(all()).await.expect("a range");
    assert_eq!(support::value_of(&reply.kvs[0]), "400");
    assert_eq!(reply.kvs[0].version.version, 401);
}

async fn increment_until(store: Store, wanted: usize) {
    let mut done = 0;
    while done < wanted {
        let reply = store.range(all()).await.expect("a range");
        let pair = &reply.kvs[0];
        let number: u64 = support::value_of(pair).parse().expect("a number");
        let unchanged = Compare {
            range: KeyRange::Single(pair.key.clone()),
            target: CompareTarget::ModRevision(pair.version.mod_revision.0),
            result: CompareResult::Equal,
        };
        let next = Put {
            key: pair.key.clone(),
            value: bytes(&(number + 1).to_string()),
            ..Put::default()
        };
        let txn = Txn {
            compare: vec![unchanged],
            success: vec![Operation::Put(next)],
            failure: vec![],
        };
        let committed = store.submit(Command::Txn(txn)).await.expect("decided");
        done += usize::from(matches!(committed.reply, Reply::Txn(answer) if answer.succeeded));
    }
}

#[tokio::test]
async fn a_streamed_range_is_the_range() {
    let running = start(Settings::default());
    for n in 0..500 {
        running
            .store
            .submit(put(&format!("k{n:03}"), "some value"))
            .await
            .expect("stored");
    }
    for limit in [0, 1, 10, 77, 500, 900] {
        let query = RangeQuery { limit, ..all() };
        let whole = running.store.range(query.clone()).await.expect("a range");
        let mut stream = running.store.range_stream(query.clone(), 256);
        let mut parts = Vec::new();
        let mut last = None;
        while let Some(chunk) = stream.next().await {
            assert!(last.is_none(), "nothing follows the last part");
            let chunk = chunk.expect("a part");
            parts.extend(chunk.kvs);
            last = chunk.last;
        }
        let last = last.expect("a last part");
        assert_eq!(parts, whole.kvs, "limit {limit}");
        assert_eq!(
            (last.count, last.more, last.revision),
            (whole.count, whole.more, whole.revision),
            "limit {limit}"
        );
        assert_eq!(
            handed_on(running.store.range_stream(query, 256)).await,
            (parts, last)
        );
    }
}

async fn handed_on(mut stream: RangeChunks) -> (Vec<KeyValue>, RangeReply) {
    let mut parts = Vec::new();
    loop {
        let part = stream.next_into(Vec::<KeyValue>::new()).await.expect("a part");
        let (kvs, last) = match part.expect("all is there") {
            RangePart::Found(kvs, last) => (kvs, last),
            RangePart::Pairs(chunk) => (chunk.kvs, chunk.last),
        };
        parts.extend(kvs);
        if let Some(last) = last {
            assert!(stream.next_into(Vec::<KeyValue>::new()).await.is_none());
            return (parts, last);
        }
    }
}

#[tokio::test]
async fn a_stream_pinned_to_a_revision_ends_when_compaction_passes_it() {
    let running = start(Settings::default());
    for n in 0..100 {
        running
            .store
            .submit(put(&format!("k{n:03}"), "v"))
            .await
            .expect("stored");
    }
    let [mut stream, mut other] = [(); 2].map(|()| running.store.range_stream(all(), 64));
    assert!(stream.next().await.expect("a first part").is_ok());
    assert!(
        other
            .next_into(Vec::<KeyValue>::new())
            .await
            .expect("a first part")
            .is_ok()
    );
    running.store.submit(put("k000", "w")).await.expect("stored");
    running
        .store
        .submit(Command::Compact(Revision(102)))
        .await
        .expect("compacted");
    assert_eq!(
        stream.next().await.expect("an end").unwrap_err(),
        RequestError::Refused(Refusal::Compacted)
    );
    assert!(stream.next().await.is_none());
    let ended = other.next_into(Vec::<KeyValue>::new()).await.expect("an end");
    assert_eq!(ended.unwrap_err(), RequestError::Refused(Refusal::Compacted));
    assert!(other.next_into(Vec::<KeyValue>::new()).await.is_none());
}

#[tokio::test]
async fn the_space_quota_refuses_writes_and_lets_the_rest_go_on() {
    let running = start(Settings {
        quota_bytes: Some(2000),
        ..Settings::default()
    });
    let mut stored = 0;
    let refused = loop {
        match running.store.submit(put("k", &"v".repeat(100))).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
        assert!(stored < 100, "the quota never bites");
    };
    assert_eq!(refused, RequestError::Refused(Refusal::NoSpace));
    let alarm = AlarmMember {
        alarm: Alarm::NoSpace,
        member_id: running.store.identity().member_id,
    };
    assert_eq!(running.store.alarms(), [alarm]);
    assert_eq!(range(&running.store).await, ["k"]);
    let delete = model::DeleteRange {
        range: KeyRange::Single(bytes("k")),
        prev_kv: false,
    };
    assert!(
        running.store.submit(Command::DeleteRange(delete)).await.is_ok(),
        "deleting makes room"
    );
}

#[tokio::test]
async fn stopping_commits_everything_that_was_admitted() {
    let running = start(Settings::default());
    let answers: Vec<Answer> = (0..200)
        .map(|n| submit(&running.store, put(&format!("k{n}"), "")))
        .collect();
    settle().await;
    let running = running.restart(Settings::default());
    let mut stored = 0;
    for answer in answers {
        stored += i64::from(outcome(answer).await.is_ok());
    }
    assert_eq!(running.store.range(all()).await.expect("a range").count, stored);
    assert_eq!(stored, 200);
}
