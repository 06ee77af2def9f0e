//! A node in this process.

use std::ffi::{CStr, CString};
use std::ptr;

use dqlite_sys::*;

#[test]
fn a_node_starts_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = CString::new(folder.path().to_str().expect("text")).expect("no NUL");
    let mut node = ptr::null_mut();
    // SAFETY: the texts live through the calls, and the node is used as its documentation demands.
    unsafe {
        assert_eq!(
            dqlite_node_create(1, c"1".as_ptr(), path.as_ptr(), &raw mut node),
            DQLITE_OK
        );
        assert_eq!(dqlite_node_set_bind_address(node, c"@".as_ptr()), DQLITE_OK);
        assert!(CStr::from_ptr(dqlite_node_get_bind_address(node)).to_bytes().len() > 1);
        assert_eq!(dqlite_node_start(node), DQLITE_OK);
        assert_eq!(dqlite_node_stop(node), DQLITE_OK);
        dqlite_node_destroy(node);
    }
}
