//! A node of a cluster inside this process.
//!
//! [`Stopped`] is a node that is described and not running; [`Stopped::start`] makes it [`Running`], and
//! [`Running::stop`] brings it back. A running node that is dropped is stopped on a thread of its own, and
//! its data directory stays locked until that is done. The C library blocks in all of this, so every call is made on
//! a thread made for it, never on one of the runtime's.
//!
//! # Threads
//! Libuv has one pool of threads for all nodes of the process, and uses it for their disks, their queries
//! and for dialling. Its usual size of four lets a few slow queries stop all writes. A program that
//! links this crate has `UV_THREADPOOL_SIZE` set to 16 before its `main` begins, unless it is set already.
//!
//! # Failed asserts
//! The C library aborts the process when an assertion of its own fails, as it does for values that do
//! not fit a column declared `DATETIME`, `DATE`, `TIMESTAMP` or `BOOLEAN`. Declare no such columns.

mod error;
mod observer;
mod options;
mod pool;
mod raft;
mod raw;
mod thread;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::dial::Dialer;
use crate::proxy::{NodeSocket, Outgoing};
use crate::store::DataDirectory;
use crate::wire::{Member, Server};

pub use error::NodeError;
pub use options::{Bind, Options, Snapshots, Targets, Trailing};
pub use pool::{LEAST_POOL_THREADS, pool_threads};
pub use raft::{Leadership, Raft, RaftState};
use raw::RawNode;
use thread::on_thread;

/// The identity of a node that begins a cluster of its own when its data directory is empty: what
/// go-dqlite uses, `raft_digest("1", 0)`.
pub const BOOTSTRAP_ID: u64 = 0x2dc1_7185_8c31_55be;

/// Whether a node of this identity begins a cluster of its own when its data directory is empty, as 1 and
/// [`BOOTSTRAP_ID`] do.
#[must_use]
pub fn bootstraps(id: u64) -> bool {
    id == 1 || id == BOOTSTRAP_ID
}

/// A new identity for a node with this address, another one each time, that does not begin a cluster.
///
/// # Errors
/// When the address holds a NUL.
pub fn generate_id(address: &str) -> Result<u64, NodeError> {
    loop {
        let id = raw::generate_id(address)?;
        if id != 0 && !bootstraps(id) {
            return Ok(id);
        }
    }
}

/// The last entry of a node's log: of the survivors of a lost cluster, the one with the highest term, then
/// the highest index, is to be recovered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastEntry {
    /// The term in which it was written.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// A node that does not run, and whose data directory is held.
#[derive(Debug)]
pub struct Stopped {
    directory: Arc<DataDirectory>,
    server: Server,
    options: Options,
}

impl Stopped {
    /// A node in this data directory, with an identity that is not zero and never was another's, and the
    /// address that its peers dial.
    #[must_use]
    pub fn new(directory: impl Into<Arc<DataDirectory>>, server: Server, options: Options) -> Self {
        Self {
            directory: directory.into(),
            server,
            options,
        }
    }

    /// Who the node is.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// How the node is.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Loads snapshot and log and begins to serve; returns when both are done. Peers are reached with
    /// `dialer`, on the runtime of the caller. A node that fails to start leaks a few descriptors.
    ///
    /// # Errors
    /// When an option is not acceptable, the data directory is in use or damaged, or the name of the
    /// socket is taken.
    pub async fn start(self, dialer: Dialer) -> Result<Running, NodeError> {
        let runtime = Handle::current();
        on_thread("dqlite-start", move || self.start_blocking(dialer, runtime)).await?
    }

    fn start_blocking(self, dialer: Dialer, runtime: Handle) -> Result<Running, NodeError> {
        pool::complain_if_small();
        let mut raw = RawNode::create(&self.server, self.directory.path())?;
        self.options.apply(&raw)?;
        let socket = NodeSocket::new(&raw.bind(&self.options.bind.address())?);
        raw.connect_with(Outgoing::new(dialer, runtime, &socket))?;
        raw.start()?;
        Ok(Running {
            inner: Some(Inner {
                raw: Arc::new(raw),
                node: self,
            }),
            socket,
        })
    }

    /// Rewrites who belongs to the cluster, for a cluster that lost its majority for good: to be done on the
    /// survivor with the newest [`LastEntry`], whose data directory then replaces those of the others.
    /// If it fails, the data directory stays locked until the process ends.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub async fn recover(self, members: Vec<Member>) -> Result<Self, NodeError> {
        on_thread("dqlite-recover", move || {
            let raw = RawNode::create(&self.server, self.directory.path())?;
            raw.recover(&members)?;
            Ok(self)
        })
        .await?
    }

    /// The last entry of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn last_entry(self) -> Result<(Self, LastEntry), NodeError> {
        on_thread("dqlite-describe", move || {
            let raw = RawNode::create(&self.server, self.directory.path())?;
            let (index, term) = raw.last_entry()?;
            Ok((self, LastEntry { term, index }))
        })
        .await?
    }
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    /// There until the node is stopped or dropped.
    inner: Option<Inner>,
    socket: NodeSocket,
}

#[derive(Debug)]
struct Inner {
    raw: Arc<RawNode>,
    node: Stopped,
}

impl Inner {
    fn stop(self) -> Result<Stopped, NodeError> {
        self.raw.stop()?;
        Ok(self.node)
    }
}

impl Running {
    /// Where the node listens: to connect to it in this process, and to
    /// [`attach`](crate::proxy::attach) what comes from outside.
    #[must_use]
    pub fn socket(&self) -> &NodeSocket {
        &self.socket
    }

    /// The node's identity and address.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.inner.as_ref().map(|inner| &inner.node.server)
    }

    /// Raft as the node sees it now. None if the library was not built from its sources with what tells it.
    #[must_use]
    pub fn raft(&self) -> Option<Raft> {
        self.inner.as_ref()?.raw.raft()
    }

    /// Who leads, as this node sees it, at once when it changes. A standby knows it too, but not that a leader is
    /// gone. None as for [`raft`](Self::raft).
    #[must_use]
    pub fn leadership(&self) -> Option<watch::Receiver<Leadership>> {
        self.inner.as_ref()?.raw.leadership()
    }

    /// Gives leadership to another voter and then the vote to a member without one, with the C library's own
    /// means. `true` if both were done; not if there is nobody to take them, which the
    /// library does not tell from a failure. After the deadline the node may be stopped all the same.
    ///
    /// # Errors
    /// When it takes longer than `deadline`.
    pub async fn handover(&mut self, deadline: Duration) -> Result<bool, NodeError> {
        let Some(inner) = &self.inner else {
            return Ok(false);
        };
        let raw = Arc::clone(&inner.raw);
        let handover = on_thread("dqlite-handover", move || raw.handover());
        match tokio::time::timeout(deadline, handover).await {
            Ok(done) => done?,
            Err(_) => Err(NodeError::HandoverTimeout(deadline)),
        }
    }

    /// Ends all connections, waits until the log is closed, and gives the data directory back.
    ///
    /// # Errors
    /// When the C library fails to; the node is gone then, too.
    pub async fn stop(mut self) -> Result<Stopped, NodeError> {
        self.socket.close();
        match self.inner.take() {
            Some(inner) => on_thread("dqlite-stop", move || inner.stop()).await?,
            None => Err(NodeError::misuse("the node is stopped already")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else {
            return;
        };
        self.socket.close();
        let stop = move || {
            if let Err(error) = inner.stop() {
                tracing::error!(%error, "a node that was dropped did not stop");
            }
        };
        if let Err(error) = std::thread::Builder::new()
            .name("dqlite-stop".to_owned())
            .spawn(stop)
        {
            tracing::error!(%error, "no thread to stop a node that was dropped: it goes on");
        }
    }
}
