//! The node, as `dqlite.h` declares it.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// Identifies a node in its cluster; never 0.
pub type DqliteNodeId = c_ulonglong;

/// No error.
pub const DQLITE_OK: c_int = 0;
/// Any error; the text is in [`dqlite_node_errmsg`], often empty.
pub const DQLITE_ERROR: c_int = 1;
/// The library is used as it must not be.
pub const DQLITE_MISUSE: c_int = 2;
/// There is no memory.
pub const DQLITE_NOMEM: c_int = 3;

/// After a snapshot, as many entries of the log are kept as is set.
pub const DQLITE_SNAPSHOT_TRAILING_STATIC: c_int = 0;
/// After a snapshot, no more of the log is kept than the snapshot is large, and at most as many entries as is set.
pub const DQLITE_SNAPSHOT_TRAILING_DYNAMIC: c_int = 1;

/// Raft's roles as [`DqliteNodeInfoExt::dqlite_role`] has them: votes.
pub const DQLITE_VOTER: u64 = 0;
/// Gets the log and does not vote.
pub const DQLITE_STANDBY: u64 = 1;
/// Gets nothing.
pub const DQLITE_SPARE: u64 = 2;

/// A node, known by its address only.
#[repr(C)]
pub struct DqliteNode {
    opaque: [u8; 0],
    /// Neither `Send`, `Sync` nor `Unpin`: that is for a layer above to reason about.
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A member, as [`dqlite_node_recover_ext`] takes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DqliteNodeInfoExt {
    /// Bytes of this struct.
    pub size: u64,
    /// The member's id.
    pub id: u64,
    /// The address of a NUL-terminated text, the member's network address.
    pub address: u64,
    /// One of [`DQLITE_VOTER`], [`DQLITE_STANDBY`], [`DQLITE_SPARE`].
    pub dqlite_role: u64,
}

/// Connects to `address` and stores a connected TCP or unix stream socket, which the node then owns. Blocks; called
/// on threads of libuv's pool. Returns 0, or anything else if there is no connection.
pub type DqliteConnectFunc =
    unsafe extern "C" fn(arg: *mut c_void, address: *const c_char, fd: *mut c_int) -> c_int;

unsafe extern "C" {
    /// The version that is linked, as `major * 10000 + minor * 100 + release`.
    pub fn dqlite_version_number() -> c_int;
    /// The version that is linked, as a text.
    pub static dqlite_version_string: *const c_char;

    /// Makes a node that is not started. `address` is what the cluster knows it by, `data_dir` a folder that exists.
    /// After a failure too, ask [`dqlite_node_errmsg`] and call [`dqlite_node_destroy`], which take a null `*n`.
    pub fn dqlite_node_create(
        id: DqliteNodeId,
        address: *const c_char,
        data_dir: *const c_char,
        n: *mut *mut DqliteNode,
    ) -> c_int;
    /// Frees a node that never started or was stopped.
    pub fn dqlite_node_destroy(n: *mut DqliteNode);
    /// Binds `ip[:port]`, `@name` (abstract unix socket, this process only) or `@` (a free one). Needed before the start.
    pub fn dqlite_node_set_bind_address(n: *mut DqliteNode, address: *const c_char) -> c_int;
    /// What is bound. The text is the node's.
    pub fn dqlite_node_get_bind_address(n: *mut DqliteNode) -> *const c_char;
    /// Sets how other nodes are reached. Before the start.
    pub fn dqlite_node_set_connect_func(
        n: *mut DqliteNode,
        f: Option<DqliteConnectFunc>,
        arg: *mut c_void,
    ) -> c_int;
    /// Sets the one-way latency, 1 to 3,600,000 ms: heartbeats every 1.5 of it, elections after 15 to 30 of it.
    /// If it is not set, 500 ms and 3 to 6 s. Before the start.
    pub fn dqlite_node_set_network_latency_ms(n: *mut DqliteNode, milliseconds: c_uint) -> c_int;
    /// Sets the code that role management spreads voters by. Before the start.
    pub fn dqlite_node_set_failure_domain(n: *mut DqliteNode, code: c_ulonglong) -> c_int;
    /// Sets after how many entries a snapshot is taken, and how many entries are kept then: `trailing_strategy` is
    /// one of the `DQLITE_SNAPSHOT_TRAILING_` constants. Before the start.
    pub fn dqlite_node_set_snapshot_params_v2(
        n: *mut DqliteNode,
        snapshot_threshold: c_uint,
        snapshot_trailing: c_uint,
        trailing_strategy: c_int,
    ) -> c_int;
    /// Sets the bytes that the log is written in: a power of two, 512 to 262,144. Before the start.
    pub fn dqlite_node_set_block_size(n: *mut DqliteNode, size: usize) -> c_int;
    /// Sets how many voters role management aims at; 3 if it is not set.
    pub fn dqlite_node_set_target_voters(n: *mut DqliteNode, voters: c_int) -> c_int;
    /// Sets how many standbys role management aims at; 0 if it is not set.
    pub fn dqlite_node_set_target_standbys(n: *mut DqliteNode, standbys: c_int) -> c_int;
    /// Sets whether the start may delete damaged files of the log; it may if this is not set. Before the start.
    pub fn dqlite_node_set_auto_recovery(n: *mut DqliteNode, enabled: bool) -> c_int;
    /// Sets whether snapshots are compressed; they are if this is not set. Before the start.
    pub fn dqlite_node_set_snapshot_compression(n: *mut DqliteNode, enabled: bool) -> c_int;
    /// Lets the leader promote and demote members by itself. Before the start.
    pub fn dqlite_node_enable_role_management(n: *mut DqliteNode) -> c_int;
    /// Sets how many milliseconds a write waits for the one before it; 0 if it is not set.
    pub fn dqlite_node_set_busy_timeout(n: *mut DqliteNode, msecs: c_uint) -> c_int;
    /// Loads snapshot and log, begins to serve on a thread of its own. Blocks meanwhile.
    pub fn dqlite_node_start(n: *mut DqliteNode) -> c_int;
    /// Gives leadership, then the vote, to others. Blocks, for as long as that takes.
    pub fn dqlite_node_handover(n: *mut DqliteNode) -> c_int;
    /// Closes the connections and ends the thread. Blocks meanwhile.
    pub fn dqlite_node_stop(n: *mut DqliteNode) -> c_int;
    /// Rewrites the members in the log of a node that is not started, for a cluster that lost its majority.
    pub fn dqlite_node_recover_ext(n: *mut DqliteNode, infos: *mut DqliteNodeInfoExt, n_info: c_int)
    -> c_int;
    /// Reads the index and term of the last entry in the log of a node that is not started.
    pub fn dqlite_node_describe_last_entry(
        n: *mut DqliteNode,
        last_entry_index: *mut u64,
        last_entry_term: *mut u64,
    ) -> c_int;
    /// The text of the last error, the node's own; valid until the next call.
    pub fn dqlite_node_errmsg(n: *mut DqliteNode) -> *const c_char;
    /// An id for a node with this address, another one each time.
    pub fn dqlite_generate_node_id(address: *const c_char) -> DqliteNodeId;
}
