//! Nodes in the test's own process, on abstract unix sockets.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dqlite::dial::Dialer;
use dqlite::node::{Bind, Options, Running, Stopped};
use dqlite::store::DataDirectory;
use dqlite::wire::Server;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A node that runs until it is dropped; then everything of it is gone when the drop returns.
pub struct Node {
    running: Option<Running>,
}

impl Node {
    /// Starts a node; `address` is where it is reached, and what its cluster knows it by. Number 1 begins
    /// a cluster if its folder is empty.
    pub fn start(id: u64, address: &str, folder: &Path) -> Self {
        let server = Server {
            id,
            address: address.to_owned(),
        };
        let options = Options {
            bind: Bind::Name(address.trim_start_matches('@').to_owned()),
            network_latency: Duration::from_millis(20),
            ..Options::default()
        };
        let directory = DataDirectory::open(folder).expect("the folder can be used");
        let node = Stopped::new(directory, server, options);
        let running = wait_for(node.start(Dialer::plain())).expect("the node starts");
        Self {
            running: Some(running),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            wait_for(running.stop()).expect("the node stops");
        }
    }
}

/// Runs on a thread of its own, since who calls may be asynchronous himself.
fn wait_for<T: Send>(work: impl Future<Output = T> + Send) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    std::thread::scope(|scope| {
        scope
            .spawn(|| runtime.block_on(work))
            .join()
            .expect("it does not panic")
    })
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
        Self::begin(id, TempDir::new().expect("a folder"))
    }

    /// The first node of a cluster, on the disk that this folder is on.
    pub fn start_in(folder: impl AsRef<Path>) -> Self {
        Self::begin(1, TempDir::new_in(folder).expect("a folder"))
    }

    fn begin(id: u64, folder: TempDir) -> Self {
        let mut single = Self {
            node: None,
            id,
            address: free_address(),
            folder,
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
