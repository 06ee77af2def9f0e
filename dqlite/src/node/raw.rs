//! The C library's node: the only code of this crate that calls it. It blocks.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use dqlite_sys as sys;
use tokio::sync::watch;

use super::observer::Observer;
use super::{Leadership, NodeError, Raft, Snapshots, Targets, Trailing};
use crate::proxy::Outgoing;
use crate::wire::{Member, Server};

/// What the C library says when a node of another process has the data directory (server.c, `dqlite_node_start`).
const LOCKED: &str = "couldn't lock the raft directory";

/// A node of the C library. Freed when dropped, which must not be before it has stopped.
#[derive(Debug)]
pub(super) struct RawNode {
    node: NonNull<sys::DqliteNode>,
    directory: PathBuf,
    /// What `connect` is called with; the node holds its address.
    outgoing: Option<Box<Outgoing>>,
    /// What the node tells changes of raft to.
    observer: Observer,
    /// Held during a handover: the C library remembers one at a time.
    handover: Mutex<()>,
}

// SAFETY: the C library ties a node to no thread.
unsafe impl Send for RawNode {}
// SAFETY: what takes `&self` and may run beside another call is `handover` and `stop`. Both send a signal to the
// node's own thread and wait, which libuv and POSIX semaphores allow from any thread; the setters run
// before the node is shared.
unsafe impl Sync for RawNode {}

pub(super) fn generate_id(address: &str) -> Result<u64, NodeError> {
    let address = text(address)?;
    // SAFETY: a NUL-terminated text that outlives the call.
    Ok(unsafe { sys::dqlite_generate_node_id(address.as_ptr()) })
}

impl RawNode {
    pub(super) fn create(server: &Server, directory: &Path) -> Result<Self, NodeError> {
        if server.id == 0 {
            return Err(NodeError::misuse("a node's identity must not be zero"));
        }
        let address = text(&*server.address)?;
        let path = text(directory.as_os_str().as_bytes())?;
        let mut node = ptr::null_mut();
        // SAFETY: both texts are NUL-terminated and copied by the callee, which fills in `node`.
        let code =
            unsafe { sys::dqlite_node_create(server.id, address.as_ptr(), path.as_ptr(), &raw mut node) };
        let Some(node) = NonNull::new(node) else {
            return Err(failure("make a node", code, ""));
        };
        let raw = Self {
            node,
            directory: directory.to_owned(),
            outgoing: None,
            observer: Observer::new(),
            handover: Mutex::default(),
        };
        raw.check("make a node", code)?;
        // SAFETY: the node is new, and freed before its observer is, in `drop`.
        let code = unsafe { raw.observer.observe(raw.as_ptr()) };
        raw.check("tell of raft", code)?;
        Ok(raw)
    }

    /// Raft as the node sees it, if it tells.
    pub(super) fn raft(&self) -> Option<Raft> {
        // SAFETY: the node is alive as long as this is.
        unsafe { Observer::raft(self.as_ptr()) }
    }

    /// Who leads, whenever it changes, if the node tells.
    pub(super) fn leadership(&self) -> Option<watch::Receiver<Leadership>> {
        self.observer.leadership()
    }

    /// Binds to `@name` or `@`, and returns the name that was bound.
    pub(super) fn bind(&self, address: &str) -> Result<String, NodeError> {
        let wanted = text(address)?;
        // SAFETY: the node is not started; the text is only read.
        let code = unsafe { sys::dqlite_node_set_bind_address(self.as_ptr(), wanted.as_ptr()) };
        if code != sys::DQLITE_OK {
            return Err(NodeError::Bind {
                address: address.to_owned(),
                reason: reason(code, &self.message()),
            });
        }
        // SAFETY: after a bind that succeeded this is a NUL-terminated text that the node keeps.
        let bound = unsafe { CStr::from_ptr(sys::dqlite_node_get_bind_address(self.as_ptr())) };
        let bound = bound.to_string_lossy();
        Ok(bound.strip_prefix('@').unwrap_or(&bound).to_owned())
    }

    pub(super) fn connect_with(&mut self, outgoing: Outgoing) -> Result<(), NodeError> {
        let outgoing = &**self.outgoing.insert(Box::new(outgoing));
        let argument = ptr::from_ref(outgoing).cast_mut().cast::<c_void>();
        // SAFETY: `connect` takes this argument as what it is; the box lives until the node is freed.
        let code = unsafe { sys::dqlite_node_set_connect_func(self.as_ptr(), Some(connect), argument) };
        self.check("take a way to connect", code)
    }

    pub(super) fn set_network_latency(&self, milliseconds: u32) -> Result<(), NodeError> {
        // SAFETY: plain values, on a node that is not started.
        let code = unsafe { sys::dqlite_node_set_network_latency_ms(self.as_ptr(), milliseconds) };
        self.check("set the network latency", code)
    }

    pub(super) fn set_snapshots(&self, snapshots: &Snapshots) -> Result<(), NodeError> {
        let strategy = match snapshots.strategy {
            Trailing::Static => sys::DQLITE_SNAPSHOT_TRAILING_STATIC,
            Trailing::Dynamic => sys::DQLITE_SNAPSHOT_TRAILING_DYNAMIC,
        };
        let (threshold, trailing) = (snapshots.threshold, snapshots.trailing);
        // SAFETY: plain values, on a node that is not started.
        let code =
            unsafe { sys::dqlite_node_set_snapshot_params_v2(self.as_ptr(), threshold, trailing, strategy) };
        self.check("set when snapshots are taken", code)?;
        // SAFETY: as before.
        let code = unsafe { sys::dqlite_node_set_snapshot_compression(self.as_ptr(), snapshots.compressed) };
        self.check("set whether snapshots are compressed", code)
    }

    pub(super) fn set_auto_recovery(&self, enabled: bool) -> Result<(), NodeError> {
        // SAFETY: plain values, on a node that is not started.
        let code = unsafe { sys::dqlite_node_set_auto_recovery(self.as_ptr(), enabled) };
        self.check("set what a start may delete", code)
    }

    pub(super) fn set_failure_domain(&self, domain: u64) -> Result<(), NodeError> {
        // SAFETY: plain values, on a node that is not started.
        let code = unsafe { sys::dqlite_node_set_failure_domain(self.as_ptr(), domain) };
        self.check("set the failure domain", code)
    }

    pub(super) fn set_block_size(&self, size: usize) -> Result<(), NodeError> {
        // SAFETY: plain values, on a node that is not started.
        let code = unsafe { sys::dqlite_node_set_block_size(self.as_ptr(), size) };
        self.check("set the block size", code)
    }

    pub(super) fn set_busy_timeout(&self, milliseconds: u32) -> Result<(), NodeError> {
        // SAFETY: plain values, on a node that is not started.
        let code = unsafe { sys::dqlite_node_set_busy_timeout(self.as_ptr(), milliseconds) };
        self.check("set the busy timeout", code)
    }

    pub(super) fn manage_roles(&self, targets: Targets) -> Result<(), NodeError> {
        let count = |number| c_int::try_from(number).unwrap_or(c_int::MAX);
        // SAFETY: plain values, on a node that is not started.
        let codes = unsafe {
            [
                sys::dqlite_node_set_target_voters(self.as_ptr(), count(targets.voters)),
                sys::dqlite_node_set_target_standbys(self.as_ptr(), count(targets.standbys)),
                sys::dqlite_node_enable_role_management(self.as_ptr()),
            ]
        };
        codes
            .into_iter()
            .try_for_each(|code| self.check("manage roles", code))
    }

    /// Starts the node's thread and waits until the log is loaded.
    pub(super) fn start(&self) -> Result<(), NodeError> {
        // SAFETY: the node is bound, which the start asserts, and not started.
        let code = unsafe { sys::dqlite_node_start(self.as_ptr()) };
        if code != sys::DQLITE_OK && self.message() == LOCKED {
            return Err(NodeError::InUse {
                path: self.directory.clone(),
            });
        }
        self.check("start", code)
    }

    pub(super) fn handover(&self) -> Result<bool, NodeError> {
        let _alone = self.handover.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the node was started and is not freed while this is borrowed.
        let code = unsafe { sys::dqlite_node_handover(self.as_ptr()) };
        match code {
            sys::DQLITE_OK => Ok(true),
            sys::DQLITE_ERROR => Ok(false),
            code => Err(failure("hand over", code, &self.message())),
        }
    }

    /// Waits until the node's thread has ended.
    pub(super) fn stop(&self) -> Result<(), NodeError> {
        // SAFETY: the node was started; a second stop is refused by the callee.
        let code = unsafe { sys::dqlite_node_stop(self.as_ptr()) };
        self.check("stop", code)
    }

    pub(super) fn recover(&self, members: &[Member]) -> Result<(), NodeError> {
        let addresses: Vec<CString> = members
            .iter()
            .map(|member| text(&*member.address))
            .collect::<Result<_, _>>()?;
        let mut infos: Vec<_> = members.iter().zip(&addresses).map(info).collect();
        let count = c_int::try_from(infos.len()).map_err(|_| NodeError::misuse("too many members"))?;
        // SAFETY: the node is not started; as many infos as are said, whose texts outlive the call.
        let code = unsafe { sys::dqlite_node_recover_ext(self.as_ptr(), infos.as_mut_ptr(), count) };
        self.check("recover", code)
    }

    /// The index and the term of the last entry of the log.
    pub(super) fn last_entry(&self) -> Result<(u64, u64), NodeError> {
        let (mut index, mut term) = (0, 0);
        // SAFETY: the node is not started; both numbers are written by the callee.
        let code =
            unsafe { sys::dqlite_node_describe_last_entry(self.as_ptr(), &raw mut index, &raw mut term) };
        self.check("read the last entry", code)?;
        Ok((index, term))
    }

    fn as_ptr(&self) -> *mut sys::DqliteNode {
        self.node.as_ptr()
    }

    fn check(&self, action: &'static str, code: c_int) -> Result<(), NodeError> {
        match code {
            sys::DQLITE_OK => Ok(()),
            code => Err(failure(action, code, &self.message())),
        }
    }

    fn message(&self) -> String {
        // SAFETY: the text is inside the node, which lives, and nobody else calls it meanwhile.
        let message = unsafe { CStr::from_ptr(sys::dqlite_node_errmsg(self.as_ptr())) };
        message.to_string_lossy().into_owned()
    }
}

impl Drop for RawNode {
    fn drop(&mut self) {
        // SAFETY: owned, and never used again. It never started or has stopped: `Running` keeps it until then.
        unsafe { sys::dqlite_node_destroy(self.as_ptr()) };
    }
}

/// What the node calls on threads of libuv's pool to reach a peer.
unsafe extern "C" fn connect(argument: *mut c_void, address: *const c_char, fd: *mut c_int) -> c_int {
    let connected = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `connect_with` gave this argument, and the node it belongs to is not freed while it calls.
        let outgoing = unsafe { &*argument.cast::<Outgoing>() };
        // SAFETY: the caller gives a NUL-terminated text that it keeps during the call.
        let address = unsafe { CStr::from_ptr(address) };
        address
            .to_str()
            .ok()
            .and_then(|address| outgoing.connect(address).ok())
    }));
    match connected {
        Ok(Some(connection)) => {
            // SAFETY: the caller gives room for one descriptor, and owns it from here on.
            unsafe { fd.write(connection.into_raw_fd()) };
            sys::DQLITE_OK
        }
        Ok(None) | Err(_) => sys::DQLITE_ERROR,
    }
}

fn info((member, address): (&Member, &CString)) -> sys::DqliteNodeInfoExt {
    sys::DqliteNodeInfoExt {
        size: size_of::<sys::DqliteNodeInfoExt>() as u64,
        id: member.id,
        address: address.as_ptr() as u64,
        dqlite_role: member.role.number(),
    }
}

fn text(text: impl Into<Vec<u8>>) -> Result<CString, NodeError> {
    CString::new(text).map_err(|error| NodeError::misuse(format!("a text for dqlite: {error}")))
}

fn failure(action: &'static str, code: c_int, message: &str) -> NodeError {
    NodeError::Dqlite {
        action,
        reason: reason(code, message),
    }
}

fn reason(code: c_int, message: &str) -> String {
    match (code, message) {
        (sys::DQLITE_NOMEM, _) => "out of memory".to_owned(),
        (code, "") => format!("it gives no reason (code {code})"),
        (_, message) => message.to_owned(),
    }
}
