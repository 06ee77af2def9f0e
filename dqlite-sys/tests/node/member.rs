//! A node in a folder of its own, ended with the test.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;

use dqlite_sys::*;

use crate::wire::{Client, connect_abstract};

/// A node; started by [`Member::start`], stopped and freed when it goes.
pub struct Member {
    node: *mut DqliteNode,
    started: bool,
}

impl Member {
    /// A node that is not started and not bound.
    pub fn create(id: u64, address: &str, folder: &Path) -> Self {
        let (address, folder) = (text(address), text(folder.to_str().expect("a path in UTF-8")));
        let mut node = ptr::null_mut();
        // SAFETY: the texts and the place for the node outlive the call.
        let code = unsafe { dqlite_node_create(id, address.as_ptr(), folder.as_ptr(), &raw mut node) };
        let member = Self { node, started: false };
        assert_eq!(code, DQLITE_OK, "{}", member.errmsg());
        member
    }

    /// The first node of a cluster, on an abstract socket, started.
    pub fn first(folder: &Path) -> Self {
        let mut member = Self::create(1, "1", folder);
        assert_eq!(member.bind("@"), DQLITE_OK);
        assert_eq!(member.start(), DQLITE_OK, "{}", member.errmsg());
        member
    }

    /// The same with a snapshot after so many entries, and so many kept behind it.
    #[cfg(dqlite_static)]
    pub fn with_snapshots(folder: &Path, after: u32, behind: u32, trailing: i32) -> Self {
        let mut member = Self::create(1, "1", folder);
        // SAFETY: the node lives.
        let code = unsafe { dqlite_node_set_snapshot_params_v2(member.node, after, behind, trailing) };
        assert_eq!(code, DQLITE_OK);
        assert_eq!(member.bind("@"), DQLITE_OK);
        assert_eq!(member.start(), DQLITE_OK, "{}", member.errmsg());
        member
    }

    /// The node, for calls that this does not wrap.
    pub fn node(&self) -> *mut DqliteNode {
        self.node
    }

    /// Binds to an address.
    pub fn bind(&mut self, address: &str) -> i32 {
        let address = text(address);
        // SAFETY: the node lives, the text outlives the call.
        unsafe { dqlite_node_set_bind_address(self.node, address.as_ptr()) }
    }

    /// Where it is bound.
    pub fn bound(&self) -> String {
        // SAFETY: the node lives and owns the text, which is copied.
        let bound = unsafe { CStr::from_ptr(dqlite_node_get_bind_address(self.node)) };
        bound.to_str().expect("an address in UTF-8").to_owned()
    }

    /// Sets how it connects to others.
    pub fn connect_with(&mut self, connect: DqliteConnectFunc, argument: *mut c_void) -> i32 {
        // SAFETY: the node lives; who calls keeps the argument for as long.
        unsafe { dqlite_node_set_connect_func(self.node, Some(connect), argument) }
    }

    /// Starts it.
    pub fn start(&mut self) -> i32 {
        // SAFETY: the node lives and is bound.
        let code = unsafe { dqlite_node_start(self.node) };
        self.started = code == DQLITE_OK;
        code
    }

    /// Stops it.
    pub fn stop(&mut self) -> i32 {
        self.started = false;
        // SAFETY: the node lives.
        unsafe { dqlite_node_stop(self.node) }
    }

    /// What it says of its last error.
    pub fn errmsg(&self) -> String {
        // SAFETY: the node lives, or is null, which is allowed; the text is copied.
        let message = unsafe { CStr::from_ptr(dqlite_node_errmsg(self.node)) };
        message.to_string_lossy().into_owned()
    }

    /// A client, of a node on an abstract socket.
    pub fn client(&self) -> Client<UnixStream> {
        Client::on(connect_abstract(&self.bound()).expect("the node listens"))
    }

    /// A client of the database `test`.
    pub fn open(&self) -> Client<UnixStream> {
        let mut client = self.client();
        client.open("test");
        client
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.started {
            self.stop();
        }
        // SAFETY: nobody else has the node, and it does not run.
        unsafe { dqlite_node_destroy(self.node) };
    }
}

/// A text for C.
pub fn text(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}
