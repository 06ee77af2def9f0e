//! Nodes in the test's own process, on abstract unix sockets.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(unsafe_code, reason = "the bindings are called directly")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::IntoRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use dqlite_sys as sys;
use tempfile::TempDir;

/// A node that runs until it is dropped.
pub struct Node {
    raw: *mut sys::DqliteNode,
}

// SAFETY: a node may be stopped on another thread than it was started on; nothing else is done with it.
unsafe impl Send for Node {}

impl Node {
    /// Starts a node; `address` is where it is reached, and what its cluster knows it by. Number 1 begins a cluster if its folder is empty.
    pub fn start(id: u64, address: &str, folder: &Path) -> Self {
        let name = CString::new(address).unwrap();
        let path = CString::new(folder.to_str().unwrap()).unwrap();
        let mut raw = ptr::null_mut();
        // SAFETY: the texts live through the calls, and the calls come in the order that is demanded.
        unsafe {
            let created = sys::dqlite_node_create(id, name.as_ptr(), path.as_ptr(), &raw mut raw);
            assert_eq!(created, sys::DQLITE_OK);
            check(raw, sys::dqlite_node_set_bind_address(raw, name.as_ptr()));
            check(
                raw,
                sys::dqlite_node_set_connect_func(raw, Some(connect), ptr::null_mut()),
            );
            check(raw, sys::dqlite_node_set_network_latency_ms(raw, 20));
            check(raw, sys::dqlite_node_set_auto_recovery(raw, false));
            check(raw, sys::dqlite_node_start(raw));
        }
        Self { raw }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: the node was started, and is not used any more.
        unsafe {
            sys::dqlite_node_stop(self.raw);
            sys::dqlite_node_destroy(self.raw);
        }
    }
}

fn check(raw: *mut sys::DqliteNode, code: c_int) {
    // SAFETY: the text is the node's and is copied at once.
    let text = unsafe { CStr::from_ptr(sys::dqlite_node_errmsg(raw)) };
    assert_eq!(code, sys::DQLITE_OK, "{text:?}");
}

/// How nodes reach each other.
unsafe extern "C" fn connect(_: *mut c_void, address: *const c_char, fd: *mut c_int) -> c_int {
    // SAFETY: the node gives a text that ends with NUL.
    let address = unsafe { CStr::from_ptr(address) };
    let name = address.to_bytes().strip_prefix(b"@").unwrap();
    let connected = SocketAddr::from_abstract_name(name).and_then(|name| UnixStream::connect_addr(&name));
    match connected {
        Ok(stream) => {
            // SAFETY: the node gives the place for the descriptor, and owns what is put there.
            unsafe { *fd = stream.into_raw_fd() };
            0
        }
        Err(_) => 1,
    }
}

/// A node with a folder of its own, alone in its cluster as long as nobody adds others.
pub struct Single {
    // Stopped before its folder goes.
    node: Option<Node>,
    id: u64,
    address: String,
    folder: TempDir,
}

impl Single {
    pub fn start() -> Self {
        Self::start_as(1)
    }

    pub fn start_as(id: u64) -> Self {
        let mut single = Self {
            node: None,
            id,
            address: free_address(),
            folder: TempDir::new().unwrap(),
        };
        single.resume();
        single
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Stops the node; what it has stored stays.
    pub fn pause(&mut self) {
        self.node = None;
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        self.node = Some(Node::start(self.id, &self.address, self.folder.path()));
    }
}

/// A name that nobody else uses.
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("@dqlite-test-{}-{number}", std::process::id())
}
