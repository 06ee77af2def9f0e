//! What a node asks of the kernel for a transaction, counted: this program's own `syscall` and `mremap` stand before the C
//! library's. So this is a program of its own, with one test at a time.

#![cfg(dqlite_static)]

mod counted;
#[path = "../node/member.rs"]
#[allow(dead_code, reason = "the other program uses more of it")]
mod member;
#[path = "../node/wire.rs"]
#[allow(dead_code, reason = "the other program uses more of it")]
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use counted::Counts;
use member::Member;

const TRANSACTIONS: u64 = 100;

/// What is counted is the process's.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until enough has been counted, for things that are done when nobody waits for them.
fn until(before: Counts, enough: impl Fn(Counts) -> bool) -> Counts {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let counted = Counts::now().since(before);
        if enough(counted) || Instant::now() > deadline {
            return counted;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Without `known-threads`, the kernel is asked for the thread 44 times in each transaction of a node that is alone.
///
/// Without `loop-writes`, nearly every write is submitted twice on ext4; elsewhere there may be nothing to mend.
///
/// Without `fewer-mappings`, two mappings are moved in each transaction.
#[test]
fn a_transaction_asks_little() {
    let _counting = one_at_a_time();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let member = Member::first(folder.path());
    let mut client = member.open();
    client
        .execute("CREATE TABLE numbers (number INTEGER)")
        .expect("a table");
    let before = Counts::now();
    for _ in 0..TRANSACTIONS {
        client.execute("INSERT INTO numbers VALUES (1)").expect("a row");
    }
    let asked = Counts::now().since(before);
    assert!(
        asked.threads < TRANSACTIONS,
        "known-threads: asked for its thread {} times",
        asked.threads
    );
    assert!(
        (TRANSACTIONS..TRANSACTIONS * 3 / 2).contains(&asked.writes),
        "loop-writes: {} writes submitted",
        asked.writes
    );
    assert_eq!(asked.moves, 0, "fewer-mappings: mappings moved");
}

/// Without `quick-closes`, each context is given back where writes are submitted, which takes 40 ms.
#[test]
fn a_segment_is_closed_by_nobody_who_serves() {
    let _counting = one_at_a_time();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let member = Member::first(folder.path());
    let mut client = member.open();
    client.execute("CREATE TABLE blobs (blob BLOB)").expect("a table");
    let before = Counts::now();
    // Segments have 8 MiB.
    for _ in 0..8 {
        client
            .execute("INSERT INTO blobs VALUES (zeroblob(4194304))")
            .expect("a row");
    }
    let asked = until(before, |counted| counted.contexts >= 2);
    assert!(asked.contexts >= 2, "{} segments closed", asked.contexts);
    assert_eq!(
        asked.contexts_there, 0,
        "quick-closes: {} waited for",
        asked.contexts
    );
}

/// Without `modest-snapshots`, they are made at the priority of everything else.
#[test]
fn a_snapshot_is_made_when_there_is_time() {
    let _counting = one_at_a_time();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let member = Member::with_snapshots(folder.path(), 8, 16, dqlite_sys::DQLITE_SNAPSHOT_TRAILING_STATIC);
    let before = Counts::now();
    let mut client = member.open();
    client
        .execute("CREATE TABLE numbers (number INTEGER)")
        .expect("a table");
    for _ in 0..32 {
        client.execute("INSERT INTO numbers VALUES (1)").expect("a row");
    }
    let asked = until(before, |counted| counted.priorities > 0);
    assert!(asked.priorities > 0, "modest-snapshots: no priority changed");
}
