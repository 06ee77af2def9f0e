//! What it costs to make a batch durable: on SQLite, on this machine's disk, and in memory. `make microbench` runs it.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use journal::{Journal, MemoryJournal, SqliteJournal, SqliteOptions};
use model::{Effect, Event, LeaseId, Position, Revision, Version};

/// Sizes of batches.
const BATCHES: [usize; 2] = [1, 64];

fn main() {
    divan::main();
}

/// An update of one of 10,000 keys, with a value of 1 KiB.
fn row(at: i64) -> Effect {
    let version = Version {
        position: Position(at),
        mod_revision: Revision(at + 1),
        create_revision: Revision(at % 10_000 + 1),
        version: at / 10_000 + 1,
        lease: LeaseId::NONE,
    };
    Effect::Key(Event {
        key: format!(
            "/registry/pods/namespace-{:03}/pod-with-a-usual-name-{:05}",
            at % 100,
            at % 10_000
        )
        .into(),
        value: Bytes::from(vec![7; 1024]),
        version,
    })
}

fn append(bencher: Bencher<'_, '_>, journal: &mut impl Journal, batch: usize) {
    let mut at = 0;
    let rows = || {
        let rows: Vec<_> = (at + 1..).take(batch).map(row).collect();
        at += batch as i64;
        rows
    };
    bencher
        .counter(ItemsCount::new(batch))
        .with_inputs(rows)
        .bench_local_values(|rows| journal.append(&rows).expect("appended"));
}

#[divan::bench(args = BATCHES)]
fn append_sqlite(bencher: Bencher<'_, '_>, batch: usize) {
    // Not where temporary files are in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
    let opened = SqliteJournal::open(folder.path(), SqliteOptions::default());
    let (mut journal, _reader) = opened.expect("a log");
    append(bencher, &mut journal, batch);
}

#[divan::bench(args = BATCHES)]
fn append_memory(bencher: Bencher<'_, '_>, batch: usize) {
    append(bencher, &mut MemoryJournal::new(), batch);
}
