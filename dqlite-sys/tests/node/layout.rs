//! Types, functions and constants, against the header. The compiler checks the functions, the program prints the rest.

use std::mem::{offset_of, size_of};
use std::process::Command;

use dqlite_sys::*;

/// What the program prints for the header that the crate was built with.
fn header_says() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("layout");
    let includes = env!("DQLITE_HEADERS").split(':').flat_map(|path| ["-I", path]);
    let compiled = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()))
        .args([
            "-std=gnu11",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/layout.c"),
        ])
        .args(includes)
        .arg("-o")
        .arg(&program)
        .output()
        .expect("a C compiler");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let printed = Command::new(&program).output().expect("it runs");
    String::from_utf8(printed.stdout).expect("text")
}

/// A line for each of the places of fields in a struct.
macro_rules! layout {
    ($name:literal, $struct:ty, $($field:ident),+) => {
        vec![
            (concat!("size ", $name), size_of::<$struct>() as u64),
            $((concat!("offset ", $name, ".", stringify!($field)), offset_of!($struct, $field) as u64)),+
        ]
    };
}

/// A line for each constant.
macro_rules! constants {
    ($($constant:ident),+) => {
        vec![$((concat!("constant ", stringify!($constant)), $constant as u64)),+]
    };
}

#[cfg(dqlite_static)]
fn added() -> Vec<(&'static str, u64)> {
    let fields = layout!(
        "struct taffrail_raft",
        TaffrailRaft,
        state,
        term,
        leader,
        last_index,
        commit_index,
        applied_index
    );
    let constants = constants!(
        TAFFRAIL_UNAVAILABLE,
        TAFFRAIL_FOLLOWER,
        TAFFRAIL_CANDIDATE,
        TAFFRAIL_LEADER
    );
    [fields, constants].concat()
}

#[cfg(not(dqlite_static))]
fn added() -> Vec<(&'static str, u64)> {
    Vec::new()
}

#[test]
fn layouts_and_constants_are_the_headers() {
    let sizes = [
        ("size dqlite_node_id", size_of::<DqliteNodeId>() as u64),
        ("size bool", size_of::<bool>() as u64),
        ("size size_t", size_of::<usize>() as u64),
    ];
    let info = layout!(
        "dqlite_node_info_ext",
        DqliteNodeInfoExt,
        size,
        id,
        address,
        dqlite_role
    );
    let constants = constants!(
        DQLITE_OK,
        DQLITE_ERROR,
        DQLITE_MISUSE,
        DQLITE_NOMEM,
        DQLITE_SNAPSHOT_TRAILING_STATIC,
        DQLITE_SNAPSHOT_TRAILING_DYNAMIC
    );
    let ours = [sizes.to_vec(), info, constants, added()].concat();
    let ours: Vec<_> = ours
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(header_says().lines().collect::<Vec<_>>(), ours);
}
