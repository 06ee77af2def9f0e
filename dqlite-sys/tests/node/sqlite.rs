//! The process has one SQLite: dqlite's is the one that rusqlite opens files with.

use std::ffi::CString;

use libsqlite3_sys::sqlite3_vfs_find;
use rusqlite::Connection;

use crate::member::{Member, text};

/// Looks for the file systems of nodes of this process in SQLite's list: where they are in memory.
pub fn file_systems_within(addresses: std::ops::Range<usize>) -> Vec<String> {
    // SAFETY: the text outlives the call, and what is found is not looked at.
    let find = |name: CString| unsafe { sqlite3_vfs_find(name.as_ptr()) };
    (1..1000)
        .map(|serial| format!("dqlite-{serial}"))
        .filter(|name| addresses.contains(&find(text(name)).addr()))
        .collect()
}

/// Where a node is: an allocation of less than 8 KiB, with its file system in it.
pub fn addresses_of(node: *mut dqlite_sys::DqliteNode) -> std::ops::Range<usize> {
    node.addr()..node.addr() + 8192
}

#[test]
fn rusqlite_and_the_node_have_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    assert_eq!(file_systems_within(addresses_of(member.node())).len(), 1);
    let version = member
        .open()
        .query("SELECT sqlite_version()")
        .expect("a version")
        .rows;
    assert_eq!(version, [[crate::wire::Value::Bytes(rusqlite::version().into())]]);
    // Opened while the node is in SQLite's list, and hooks into every connection.
    let file = folder.path().join("beside.db");
    for connection in [Connection::open(file), Connection::open_in_memory()] {
        let connection = connection.expect("it opens");
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .expect("a mode");
        assert!(["wal", "memory"].contains(&mode.as_str()), "{mode}");
        connection
            .execute("CREATE TABLE rows (row)", [])
            .expect("a table");
    }
}
