//! Between the network and the node: a node listens on an abstract socket that only its own process can
//! reach, and everything from outside comes through here.
//!
//! [`serve`] owns a listener. Whoever shares one port between protocols accepts and decrypts for himself,
//! tells protocols apart with [`sniff`] and hands Dqlite's connections to [`attach`]. The other way,
//! [`Outgoing`] is what the node calls to reach its peers.

mod listener;
mod outgoing;
mod pump;
mod sniff;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::dial::connect_local;

pub use listener::{HANDSHAKE_TIMEOUT, serve};
pub use outgoing::Outgoing;
pub use pump::Traffic;
pub use sniff::{Protocol, Rewound, sniff};

/// Where a node listens, and whether it still does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeSocket {
    name: Arc<str>,
    closed: CancellationToken,
}

impl NodeSocket {
    /// The abstract socket `name`, given without the `@` that Dqlite writes before it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            closed: CancellationToken::new(),
        }
    }

    /// The address at which this process reaches the node: `@name`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// Ends every connection through this socket, and refuses new ones.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Returns when the node is closed.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    pub(crate) fn token(&self) -> CancellationToken {
        self.closed.clone()
    }
}

/// Copies both ways between a peer's stream, decrypted if it was encrypted, and the node, until either end
/// closes or the node stops. TCP streams should have gone through [`tune`](crate::dial::tune).
///
/// # Errors
/// When the node does not listen, or a connection breaks instead of ending.
pub async fn attach<S>(stream: S, node: &NodeSocket) -> io::Result<Traffic>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let work = async {
        let local = connect_local(&node.name).await?;
        pump::pump(stream, local).await
    };
    tokio::select! {
        biased;
        () = node.closed.cancelled() => Err(closed()),
        done = work => done,
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the node is closed")
}
