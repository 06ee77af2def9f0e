//! What all parts of a membership share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::Settings;
use super::line::Line;
use crate::client::leader::{Finder, Patience};
use crate::client::{self, Connecting, Connector};
use crate::dial::Dialer;
use crate::proxy::NodeSocket;
use crate::store::{DataDirectory, StoreError};
use crate::wire::{Member, Role, Server};

/// How long one node may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Context {
    pub(super) directory: Arc<DataDirectory>,
    pub(super) server: Server,
    pub(super) reach: Arc<Reach>,
    /// Held while the data directory is used.
    disk: Arc<Mutex<()>>,
}

impl Context {
    pub(super) fn new(
        directory: Arc<DataDirectory>,
        server: Server,
        settings: &Settings,
        socket: &NodeSocket,
    ) -> Self {
        let reach = Reach {
            dialer: settings.dialer.clone(),
            own: server.address.clone(),
            local: socket.address(),
        };
        Self {
            directory,
            server,
            reach: Arc::new(reach),
            disk: Arc::default(),
        }
    }

    /// A line to the node at an address, whose calls may take so long.
    pub(super) fn line(&self, address: &str, timeout: Duration) -> Line {
        let options = client::Options {
            timeout,
            ..client::Options::default()
        };
        Line::new(Arc::clone(&self.reach), address, options)
    }

    /// A line to the local node.
    pub(super) fn local(&self) -> Line {
        self.line(&self.server.address, ANSWER)
    }

    /// A way to find the leader without the local node's help.
    pub(super) fn finder(&self) -> Finder {
        let options = client::Options {
            timeout: ANSWER,
            ..client::Options::default()
        };
        let patience = Patience {
            node: ANSWER,
            round: 2 * ANSWER,
            ..Patience::default()
        };
        Finder::new(Arc::clone(&self.reach) as _, options, patience)
    }

    /// The role of this node among these members.
    pub(super) fn own_role(&self, members: &[Member]) -> Option<Role> {
        let own = members.iter().find(|member| member.id == self.server.id);
        own.map(|member| member.role)
    }

    pub(super) async fn stored_members(&self) -> Result<Vec<Member>, StoreError> {
        self.on_disk(|directory| directory.members()).await
    }

    /// The members on disk, without this node.
    pub(super) async fn other_members(&self) -> Result<Vec<Member>, StoreError> {
        let mut members = self.stored_members().await?;
        members.retain(|member| member.address != self.server.address);
        Ok(members)
    }

    pub(super) async fn store_members(&self, members: Vec<Member>) -> Result<(), StoreError> {
        self.on_disk(move |directory| directory.set_members(&members))
            .await
    }

    /// Uses the data directory where that may block.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DataDirectory) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let using = Arc::clone(&self.disk).lock_owned().await;
        on_disk(&self.directory, move |directory| {
            let done = work(directory);
            drop(using);
            done
        })
        .await
    }

    /// Waits for uses of the data directory that were given up and go on all the same.
    pub(super) async fn disk_is_quiet(&self) {
        drop(self.disk.lock().await);
    }
}

/// Uses a data directory on a thread that may block.
pub(super) async fn on_disk<T: Send + 'static>(
    directory: &Arc<DataDirectory>,
    work: impl FnOnce(&DataDirectory) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (shared, path) = (Arc::clone(directory), directory.path().to_owned());
    let done = spawn_blocking(move || work(&shared)).await;
    done.unwrap_or_else(|panic| {
        Err(StoreError::Io {
            path,
            source: panic.into(),
        })
    })
}

/// Connects to members by their addresses in the cluster: to the local node directly, to others over the network.
#[derive(Debug)]
pub(super) struct Reach {
    dialer: Dialer,
    own: String,
    local: String,
}

impl Connector for Reach {
    fn connect<'a>(&'a self, address: &'a str) -> Connecting<'a> {
        let address = if address == self.own { &self.local } else { address };
        self.dialer.connect(address)
    }
}
