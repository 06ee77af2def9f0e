//! The mends of what is waited for without need; see `mends.rs`.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{SeekFrom, seek};

use crate::functions;
use crate::member::Member;

/// Without `brief-statements`, the threads of the pool execute them, one after the other.
#[test]
fn brief_statements_are_executed_where_they_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    functions::register();
    let mut client = member.client();
    client.open(functions::DATABASE);
    client
        .execute("CREATE TABLE brief (thread INTEGER)")
        .expect("a table");
    client
        .execute("CREATE TABLE long (thread INTEGER)")
        .expect("a table");
    let brief = client.prepare("INSERT INTO brief VALUES (thread())");
    let long = client.prepare(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
         INSERT INTO long SELECT thread() FROM n WHERE i = 10000",
    );
    for _ in 0..20 {
        client.execute_prepared(brief).expect("a row");
        client.execute_prepared(long).expect("a row");
    }
    // The first time nothing is known of a statement.
    assert_eq!(
        client.integer("SELECT count(DISTINCT thread) FROM brief WHERE rowid > 1"),
        1
    );
    let there = "SELECT count(*) FROM long WHERE thread = (SELECT max(thread) FROM brief WHERE rowid > 1)";
    assert_eq!(client.integer(there), 0, "what is long holds up the node");
}

/// Without `late-checkpoints`, the log is empty by the time of the second statement.
#[test]
fn late_checkpoints_are_made_after_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    functions::register();
    let mut client = member.client();
    client.open(functions::DATABASE);
    client.execute("CREATE TABLE blobs (value)").expect("a table");
    // 110 pages, where a checkpoint is due after 100 frames.
    let both = "INSERT INTO blobs VALUES (randomblob(450560)); INSERT INTO blobs VALUES (logged())";
    client.execute(both).expect("both rows");
    let logged = client.integer("SELECT value FROM blobs WHERE rowid = 2");
    assert!(logged > 450_560, "{logged}");
    assert_eq!(client.integer("SELECT logged()"), 0, "it is made then");
}

/// Without `written-segments`, no segment is more than allocated beyond what the log has. A file system that keeps no record
/// of that has nothing to mend.
#[test]
fn written_segments_are_written_in_advance() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let member = Member::first(folder.path());
    let mut client = member.open();
    client
        .execute("CREATE TABLE numbers (number INTEGER)")
        .expect("a table");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !segments(folder.path()).any(|segment| is_written(&segment)) {
        assert!(Instant::now() < deadline, "no segment is written to its end");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The segments that are there to be written to.
fn segments(folder: &Path) -> impl Iterator<Item = File> {
    let files = std::fs::read_dir(folder).expect("the folder");
    let open = files.filter_map(Result::ok).filter(|file| {
        let name = file.file_name();
        name.to_str().is_some_and(|name| name.starts_with("open-"))
    });
    open.filter_map(|file| File::open(file.path()).ok())
}

/// Whether there are no blocks in it that are only allocated.
fn is_written(segment: &File) -> bool {
    let length = segment.metadata().expect("its length").len();
    let first = seek(segment, SeekFrom::Data(0));
    let hole = seek(segment, SeekFrom::Hole(0));
    length > 0 && first == Ok(0) && hole == Ok(length)
}
