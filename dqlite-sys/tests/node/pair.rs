//! Two members that are voters both, so that nothing is committed without either.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::IntoRawFd;
use std::path::Path;

use dqlite_sys::DQLITE_OK;

use crate::member::Member;
use crate::wire::connect_abstract;

/// The members with the identities 1, which leads, and 2. Their addresses are their sockets.
pub struct Pair {
    pub leader: Member,
    _follower: Member,
}

impl Pair {
    /// Starts both.
    pub fn new(folder: &Path) -> Self {
        let named = |id: u64| format!("@taffrail-pair-{}-{id}", std::process::id());
        let [mut leader, mut follower] = [1, 2].map(|id| {
            let folder = folder.join(id.to_string());
            std::fs::create_dir(&folder).expect("a folder");
            let mut member = Member::create(id, &named(id), &folder);
            assert_eq!(member.bind(&named(id)), DQLITE_OK, "{}", member.errmsg());
            assert_eq!(member.connect_with(connect, std::ptr::null_mut()), DQLITE_OK);
            member
        });
        assert_eq!(leader.start(), DQLITE_OK, "{}", leader.errmsg());
        assert_eq!(follower.start(), DQLITE_OK, "{}", follower.errmsg());
        let mut client = leader.client();
        client.add(2, &named(2)).expect("it is added");
        client.assign(2, 0).expect("it has everything");
        Self {
            leader,
            _follower: follower,
        }
    }
}

/// Connects to an abstract socket, as a node is told to.
///
/// # Safety
///
/// `address` is a text and `descriptor` a place to write to.
unsafe extern "C" fn connect(_: *mut c_void, address: *const c_char, descriptor: *mut c_int) -> c_int {
    // SAFETY: what the caller promises.
    let address = unsafe { CStr::from_ptr(address) };
    let Ok(stream) = connect_abstract(address.to_str().unwrap_or_default()) else {
        return 1;
    };
    // SAFETY: what the caller promises.
    unsafe { *descriptor = stream.into_raw_fd() };
    0
}
