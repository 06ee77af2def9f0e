//! One test for each mend, which fails without it: leave it out with `DQLITE_WITHOUT_MEND=<name>` at build time.

use std::ffi::{CStr, c_void};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;
use std::ptr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dqlite_sys::*;
use socket2::SockRef;

use crate::followers::Followers;
use crate::member::Member;
use crate::opened;
use crate::pair::Pair;
use crate::peer::{Peer, append_entries};
use crate::sqlite::{addresses_of, file_systems_within};
use crate::wire::{Client, Value};

/// Threads that libuv has if it is not told otherwise.
const THREADS: usize = 4;

/// Without `wal-index`, the process aborts when the third connection opens the database.
#[test]
fn wal_index_a_connection_opens_on_a_long_wal() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    let mut writer = member.open();
    writer
        .execute("CREATE TABLE blobs (value BLOB)")
        .expect("a table");
    writer.execute("INSERT INTO blobs VALUES (x'00')").expect("a row");
    let mut reader = member.open();
    reader.execute("BEGIN").expect("a transaction");
    assert_eq!(reader.integer("SELECT count(*) FROM blobs"), 1);
    // 120 MiB in the log, which no checkpoint may empty while the reader reads: eight regions of the index.
    for _ in 0..120 {
        writer
            .execute("INSERT INTO blobs VALUES (zeroblob(1048576))")
            .expect("a row");
    }
    let mut opened = member.open();
    assert_eq!(
        opened.integer("SELECT sum(length(value)) FROM blobs"),
        120 * 1024 * 1024 + 1
    );
    opened
        .execute("UPDATE blobs SET value = x'01' WHERE length(value) = 1")
        .expect("it writes too");
    assert_eq!(reader.integer("SELECT count(*) FROM blobs"), 1);
    reader.execute("COMMIT").expect("the end");
    let mut after = member.open();
    assert_eq!(after.integer("SELECT count(*) FROM blobs WHERE value = x'01'"), 1);
    let found = after.query("PRAGMA integrity_check").expect("a check");
    assert_eq!(found.rows, [[Value::Bytes(b"ok".to_vec())]]);
}

/// Without `long-messages`, the node closes the connection before the entry is sent.
#[test]
fn long_messages_an_entry_of_501_mebibytes_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::new();
    let mut member = Member::create(1, "1", folder.path());
    assert_eq!(member.bind("@"), DQLITE_OK);
    assert_eq!(member.connect_with(Peer::connect, peer.as_argument()), DQLITE_OK);
    assert_eq!(member.start(), DQLITE_OK, "{}", member.errmsg());
    let sent = append_entries(member.client(), 501);
    let _connection = sent.expect("the node reads on");
    assert!(peer.answered().is_some());
}

/// Without `failed-create`, the VFS in the node is found; other tests may then crash.
#[test]
fn failed_create_says_why_and_leaves_nothing() {
    let mut node = ptr::null_mut();
    // SAFETY: the texts and the place for the node outlive the call.
    let code = unsafe { dqlite_node_create(1, c"1".as_ptr(), c"/nowhere/at/all".as_ptr(), &raw mut node) };
    assert_ne!(code, DQLITE_OK);
    let found = file_systems_within(addresses_of(node));
    // SAFETY: nobody else has the node, which is asked and then freed.
    let message = unsafe {
        let message = CStr::from_ptr(dqlite_node_errmsg(node)).to_owned();
        dqlite_node_destroy(node);
        message
    };
    assert!(
        message.to_string_lossy().contains("/nowhere/at/all"),
        "{message:?}"
    );
    assert_eq!(found, Vec::<String>::new());
}

/// Without `row-batches`, the rows come in 250 messages.
#[test]
fn row_batches_rows_come_many_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    let mut client = member.open();
    client.execute("CREATE TABLE rows (value BLOB)").expect("a table");
    let thousand = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
                    INSERT INTO rows SELECT randomblob(1024) FROM n";
    assert_eq!(client.execute(thousand), Ok(1000));
    let found = client.query("SELECT value FROM rows").expect("rows");
    assert_eq!(found.rows.len(), 1000);
    assert!(
        found
            .rows
            .iter()
            .all(|row| matches!(&row[..], [Value::Bytes(value)] if value.len() == 1024))
    );
    // 1,000 rows of 8 + 8 + 1,024 bytes, 256 KiB and a row to a message; and one that only says that it is the end.
    assert!((4..=5).contains(&found.messages), "{} messages", found.messages);
}

/// Without `no-delay`, neither the connections that a node accepts nor those that it makes have the option.
#[test]
fn no_delay_every_connection_sends_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::new();
    let (mut member, address) = bound_to_a_port(folder.path());
    assert_eq!(member.connect_with(Peer::connect, peer.as_argument()), DQLITE_OK);
    assert_eq!(member.start(), DQLITE_OK, "{}", member.errmsg());
    let stream = TcpStream::connect(address).expect("the node listens");
    let ours = stream.local_addr().expect("it is connected");
    let mut client = Client::on(stream);
    client.open("test");
    let accepted = sockets_to(ours);
    assert_eq!(accepted.len(), 1);
    assert!(sends_at_once(accepted[0]), "what it accepted");

    let _connection = append_entries(client_of(address), 1).expect("the node reads");
    let _answered = peer.answered().expect("the node answers");
    let made = peer.given.lock().expect("no panic")[0];
    assert!(sends_at_once(made), "what it made");
}

/// Without `early-checkpoint`, SQLite checkpoints by itself, after 1,000 frames.
#[test]
fn early_checkpoint_is_not_made_by_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    let mut client = member.open();
    client
        .execute("CREATE TABLE blobs (value BLOB)")
        .expect("a table");
    assert_eq!(client.integer("PRAGMA wal_autocheckpoint"), 0);
}

/// Without `short-checkpoints`, there are 400 frames and more.
#[test]
fn short_checkpoints_leave_few_frames() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    let mut client = member.open();
    client
        .execute("CREATE TABLE blobs (value BLOB)")
        .expect("a table");
    for _ in 0..211 {
        client
            .execute("INSERT INTO blobs VALUES (randomblob(4000))")
            .expect("a row");
    }
    let pages = client.integer("PRAGMA page_count");
    let frames = frames_of_databases_with(pages);
    assert!(
        !frames.is_empty() && frames.iter().all(|frames| *frames < 110),
        "{frames:?} frames, {pages} pages"
    );
}

/// Without `shrunk-dump`, the dump writes the addresses of 2,500 pages where there is room for a few, and the process
/// aborts.
#[test]
fn shrunk_dump_of_a_database_that_became_smaller() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    let mut client = member.open();
    client
        .execute("CREATE TABLE blobs (value BLOB)")
        .expect("a table");
    // More than the frames after which the log is checkpointed.
    client
        .execute("INSERT INTO blobs VALUES (zeroblob(10485760))")
        .expect("a row");
    let (full, _) = client.dump("test");
    assert!(full > 10_485_760, "{full}");
    client.execute("DELETE FROM blobs").expect("no row");
    client.execute("VACUUM").expect("room is given back");
    for _ in 0..10 {
        let (empty, message) = client.dump("test");
        assert!(empty < 65_536 && message < 70_000, "{empty} in {message}");
    }
    assert_eq!(client.integer("SELECT count(*) FROM blobs"), 0);
}

/// Without `sparing-snapshots`, all 40 MiB are written a dozen times.
#[test]
fn sparing_snapshots_follow_on_enough_of_the_log() {
    const SMALL: &str = "INSERT INTO blobs VALUES (x'00')";
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::with_snapshots(folder.path(), 16, 4096, DQLITE_SNAPSHOT_TRAILING_DYNAMIC);
    let mut client = member.open();
    let mut execute = |sql| client.execute(sql).expect("it is done");
    execute("CREATE TABLE blobs (value BLOB)");
    execute("INSERT INTO blobs VALUES (zeroblob(41943040))");
    // One of an empty database is there from the beginning.
    while newest_snapshot(folder.path()) < Some(16) {
        execute(SMALL);
    }
    let first = newest_snapshot(folder.path());
    execute("INSERT INTO blobs VALUES (zeroblob(16777216))");
    for _ in 0..200 {
        execute(SMALL);
    }
    assert_eq!(
        newest_snapshot(folder.path()),
        first,
        "200 transactions of a few pages, and one of half of what is worth it"
    );
    execute("INSERT INTO blobs VALUES (zeroblob(16777216))");
    while newest_snapshot(folder.path()) == first {
        execute(SMALL);
    }
}

/// The entry up to which the newest snapshot in a folder goes; none if there is none.
fn newest_snapshot(folder: &Path) -> Option<u64> {
    let names = std::fs::read_dir(folder).expect("the folder");
    let names = names.filter_map(|name| name.ok()?.file_name().into_string().ok());
    let index = |name: String| name.strip_suffix(".meta")?.split('-').nth(2)?.parse().ok();
    names.filter_map(index).max()
}

/// Without `canceled-append`, the process aborts when the leader stops.
///
/// The leader's disk is behind because it makes no new files: the threads that do so are busy with queries. Two of three
/// members have everything, so all of it is committed.
#[test]
fn canceled_append_a_leader_stops_behind_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let followers = Followers::new();
    let mut leader = Member::create(1, "1", folder.path());
    assert_eq!(leader.bind("@"), DQLITE_OK);
    assert_eq!(
        leader.connect_with(Followers::connect, followers.as_argument()),
        DQLITE_OK
    );
    assert_eq!(leader.start(), DQLITE_OK, "{}", leader.errmsg());
    followers.follow(&leader);
    let mut busy: Vec<_> = (0..THREADS).map(|_| leader.open()).collect();
    for client in &mut busy {
        client.begin_query(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
             SELECT count(*) FROM n",
        );
    }
    let mut client = leader.client();
    // Every change writes all addresses again: more than the files that are ready hold, of 8 MiB each.
    for id in 4..10 {
        let address = format!("{id}{}", "a".repeat(2 << 20));
        client.add(id, &address).expect("two of three have it");
    }
    assert_eq!(leader.stop(), DQLITE_OK);
    drop(leader);

    let mut again = Member::create(1, "1", folder.path());
    assert_eq!(again.bind("@"), DQLITE_OK);
    assert_eq!(again.start(), DQLITE_OK, "{}", again.errmsg());
}

/// Without `bare-apply`, each transaction is applied by a connection that has read the schema, and the whole
/// write-ahead log before it. A node that starts applies its log as a follower does.
#[test]
fn bare_apply_a_connection_reads_nothing_to_apply_a_transaction() {
    const TRANSACTIONS: usize = 50;
    let folder = tempfile::tempdir().expect("a folder");
    let mut member = Member::first(folder.path());
    let mut client = member.client();
    client.open(opened::COUNTED);
    client
        .execute("CREATE TABLE numbers (number INTEGER)")
        .expect("a table");
    for _ in 0..TRANSACTIONS {
        client.execute("INSERT INTO numbers VALUES (1)").expect("a row");
    }
    assert_eq!(member.stop(), DQLITE_OK);
    drop((client, member));

    let mut again = Member::create(1, "1", folder.path());
    let _counting = opened::count();
    assert_eq!(again.bind("@"), DQLITE_OK);
    assert_eq!(again.start(), DQLITE_OK, "{}", again.errmsg());
    let mut client = again.client();
    client.open(opened::COUNTED);
    let rows = client.integer("SELECT count(*) FROM numbers");
    assert_eq!(usize::try_from(rows), Ok(TRANSACTIONS));
    let (opened, read) = opened::taken();
    // The first connection begins the database, and the client's reads it.
    assert!(opened > TRANSACTIONS && read <= 2, "{read} of {opened}");
}

/// Without `prompt-answers`, the second answer waits until the first transaction is applied.
#[test]
fn prompt_answers_come_before_what_is_applied() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::new(folder.path());
    let mut client = pair.leader.client();
    client.open(opened::COUNTED);
    let counting = opened::count();
    let table = client.execute("CREATE TABLE numbers (number INTEGER)");
    table.expect("a table");
    let mut insert = || client.execute("INSERT INTO numbers VALUES (1)").expect("a row");
    // A heartbeat between the two has the first one applied before the second one comes; so this is tried again.
    let prompt = (0..50).any(|attempt| {
        // A follower opens a connection for each transaction that it applies.
        while opened::so_far() < 1 + 2 * attempt {
            thread::sleep(Duration::from_millis(1));
        }
        opened::hold_up();
        let (done, answered) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                insert();
                insert();
                done.send(())
            });
            let prompt = answered.recv_timeout(Duration::from_millis(200)).is_ok();
            opened::let_go();
            prompt
        })
    });
    drop(counting);
    assert!(prompt);
}

/// Without `quick-checksums`, there are no such tables, and this does not link.
#[test]
fn quick_checksums_are_those_of_octet_by_octet() {
    unsafe extern "C" {
        static byteCrcTables: [[u32; 256]; 16];
        fn byteCrc32(octets: *const c_void, size: usize, init: u32) -> u32;
    }
    fn with(crc: u32, octet: u8) -> u32 {
        let bit = |crc: u32, _| (crc << 1) ^ (0x04c1_1db7 & 0_u32.wrapping_sub(crc >> 31));
        (0..8).fold(crc ^ u32::from(octet) << 24, bit)
    }
    // SAFETY: filled before anything of this program runs, and never changed.
    let tables = unsafe { byteCrcTables };
    for (octet, with_sixteen) in (0..=u8::MAX).zip(tables[15]) {
        assert_eq!((0..15).fold(with(0, octet), |crc, _| with(crc, 0)), with_sixteen);
    }
    let octets: Vec<u8> = (0..5000_u32)
        .map(|number| ((number * number) >> 5) as u8)
        .collect();
    for (begin, end) in [(0, 0), (1, 2), (3, 19), (5, 20), (2, 35), (7, 4999), (0, 4096)] {
        let part = &octets[begin..end];
        // SAFETY: the slice is there for so many octets.
        let found = unsafe { byteCrc32(part.as_ptr().cast(), part.len(), 0x1234_5678) };
        let wanted = part.iter().fold(0x1234_5678, |crc, octet| with(crc, *octet));
        assert_eq!(found, wanted, "{begin} to {end}");
    }
}

#[test]
fn what_is_mended_can_be_asked() {
    assert_eq!(Mend::ALL.map(mended), [true; Mend::ALL.len()]);
}

fn client_of(address: SocketAddr) -> Client<TcpStream> {
    Client::on(TcpStream::connect(address).expect("the node listens"))
}

/// A node on a free port. Another process may take the port first; then there is another one.
fn bound_to_a_port(folder: &Path) -> (Member, SocketAddr) {
    for _ in 0..10 {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let free = free.expect("a port");
        let mut member = Member::create(1, &free.to_string(), folder);
        if member.bind(&free.to_string()) == DQLITE_OK {
            return (member, free);
        }
    }
    panic!("no port is free");
}

/// The sockets of this process that are connected to the address.
fn sockets_to(address: SocketAddr) -> Vec<RawFd> {
    let names = std::fs::read_dir("/proc/self/fd").expect("the files of this process");
    let numbers = names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok());
    let open: Vec<RawFd> = numbers.collect();
    let peer = |file| with(file, |socket| socket.peer_addr().ok()?.as_socket());
    open.into_iter()
        .filter(|file| peer(*file) == Some(address))
        .collect()
}

/// How many frames of the write-ahead log the databases of this process have that are so large: numbers 4 and 5 of the
/// header of SQLite's index of the log.
fn frames_of_databases_with(pages: i64) -> Vec<u32> {
    let files = std::fs::read_dir("/proc/self/fd").expect("the files of this process");
    let index = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.ok()?.path();
        let name = std::fs::read_link(&path).ok()?;
        name.to_str()?.contains("dqlite-shm").then_some(())?;
        std::fs::read(path).ok()
    };
    let numbers = |index: Vec<u8>| {
        let number = |at: usize| Some(u32::from_ne_bytes(index.get(at..at + 4)?.try_into().ok()?));
        Some((number(16)?, number(20)?))
    };
    files
        .filter_map(index)
        .filter_map(numbers)
        .filter(|(_, size)| i64::from(*size) == pages)
        .map(|(frames, _)| frames)
        .collect()
}

fn sends_at_once(file: RawFd) -> bool {
    with(file, |socket| socket.tcp_nodelay().expect("a TCP socket"))
}

fn with<T>(file: RawFd, ask: impl FnOnce(SockRef<'_>) -> T) -> T {
    // SAFETY: borrowed for one question. If another thread closes the file meanwhile, the answer is an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(file) };
    ask(SockRef::from(&borrowed))
}
