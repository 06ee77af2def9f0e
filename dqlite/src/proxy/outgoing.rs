//! How the node reaches its peers: it asks for an address and gets a socket.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{NodeSocket, closed, pump};
use crate::dial::{Dialer, Stream};

/// Dials for a node, whose threads may block, and carries encrypted connections on a runtime's.
#[derive(Debug)]
pub struct Outgoing {
    dialer: Dialer,
    runtime: Handle,
    closed: CancellationToken,
    unreachable: Mutex<HashSet<String>>,
}

impl Outgoing {
    /// A connector for the node behind `socket`; the copying runs on `runtime`.
    #[must_use]
    pub fn new(dialer: Dialer, runtime: Handle, socket: &NodeSocket) -> Self {
        Self {
            dialer,
            runtime,
            closed: socket.token(),
            unreachable: Mutex::default(),
        }
    }

    /// Connects to a peer and returns a blocking socket to it: the TCP connection itself, or one end of a
    /// pair whose other end is copied to and from TLS. Blocks for the dialer's timeout at most, and must not be
    /// called on a thread of an asynchronous runtime.
    ///
    /// # Errors
    /// When the peer cannot be reached in time, or the node is being closed.
    pub fn connect(&self, address: &str) -> io::Result<OwnedFd> {
        let connected = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.closed.cancelled() => Err(closed()),
                dialled = self.dialer.dial(address) => dialled,
            }
        });
        self.report(address, connected.as_ref().err());
        match connected? {
            Stream::Plain(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(stream.into())
            }
            Stream::Local(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(stream.into())
            }
            Stream::Tls(stream) => self.carry(*stream, address),
        }
    }

    fn carry<S>(&self, stream: S, address: &str) -> io::Result<OwnedFd>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (ours, theirs) = Pair::pair()?;
        ours.set_nonblocking(true)?;
        let entered = self.runtime.enter();
        let ours = UnixStream::from_std(ours)?;
        drop(entered);
        let (closed, address) = (self.closed.clone(), address.to_owned());
        self.runtime.spawn(async move {
            let ended = closed.run_until_cancelled(pump::pump(stream, ours)).await;
            tracing::debug!(%address, ?ended, "a connection to a peer ended");
        });
        Ok(theirs.into())
    }

    /// Says once that a peer cannot be reached, and once that it can be again: raft dials every second.
    fn report(&self, address: &str, error: Option<&io::Error>) {
        let mut unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) if self.closed.is_cancelled() => tracing::debug!(%address, %error, "not dialled"),
            Some(error) if unreachable.insert(address.to_owned()) => {
                tracing::warn!(%address, %error, "a peer cannot be reached");
            }
            Some(error) => tracing::debug!(%address, %error, "a peer still cannot be reached"),
            None if unreachable.remove(address) => tracing::info!(%address, "a peer is reached again"),
            None => {}
        }
    }
}
