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

use counted::Counts;
use member::Member;

const TRANSACTIONS: u64 = 100;

/// Without `known-threads`, the kernel is asked for the thread 44 times in each transaction of a node that is alone.
///
/// Without `settled-writes`, every write of a new block is submitted twice on ext4; elsewhere there is nothing to mend.
///
/// Without `fewer-mappings`, two mappings are moved in each transaction.
#[test]
fn a_transaction_asks_little() {
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
        "settled-writes: {} writes submitted",
        asked.writes
    );
    assert_eq!(asked.moves, 0, "fewer-mappings: mappings moved");
}
