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

#[test]
fn layouts_and_constants_are_the_headers() {
    let ours = [
        ("size dqlite_node_id", size_of::<DqliteNodeId>() as i64),
        ("size bool", size_of::<bool>() as i64),
        ("size size_t", size_of::<usize>() as i64),
        ("size dqlite_node_info_ext", size_of::<DqliteNodeInfoExt>() as i64),
        (
            "offset dqlite_node_info_ext.size",
            offset_of!(DqliteNodeInfoExt, size) as i64,
        ),
        (
            "offset dqlite_node_info_ext.id",
            offset_of!(DqliteNodeInfoExt, id) as i64,
        ),
        (
            "offset dqlite_node_info_ext.address",
            offset_of!(DqliteNodeInfoExt, address) as i64,
        ),
        (
            "offset dqlite_node_info_ext.dqlite_role",
            offset_of!(DqliteNodeInfoExt, dqlite_role) as i64,
        ),
        ("constant DQLITE_OK", i64::from(DQLITE_OK)),
        ("constant DQLITE_ERROR", i64::from(DQLITE_ERROR)),
        ("constant DQLITE_MISUSE", i64::from(DQLITE_MISUSE)),
        ("constant DQLITE_NOMEM", i64::from(DQLITE_NOMEM)),
        (
            "constant DQLITE_SNAPSHOT_TRAILING_STATIC",
            i64::from(DQLITE_SNAPSHOT_TRAILING_STATIC),
        ),
        (
            "constant DQLITE_SNAPSHOT_TRAILING_DYNAMIC",
            i64::from(DQLITE_SNAPSHOT_TRAILING_DYNAMIC),
        ),
    ];
    let ours: Vec<_> = ours
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(header_says().lines().collect::<Vec<_>>(), ours);
}
