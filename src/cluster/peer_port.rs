//! The port that members share: what speaks HTTP/2 goes to the peer service, what speaks Dqlite to the node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dqlite::proxy::{HANDSHAKE_TIMEOUT, NodeSocket, Protocol, attach, sniff};
use dqlite::tls::Tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::peers::{PeerService, Wire, tune};
use crate::settings::{ListenAddress, ListenUrl};

/// How long a member may take to say what it speaks. Raft connects in advance and then says so at once.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// The pause after accepting has failed, which is mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening sockets.
pub(super) struct PeerPort {
    listeners: Vec<Arc<TcpListener>>,
}

/// What a connection may turn out to be for.
#[derive(Clone)]
struct Behind {
    tls: Option<Tls>,
    node: NodeSocket,
    service: PeerService,
}

impl PeerPort {
    /// Listens at these URLs.
    pub(super) async fn bind(urls: &[ListenUrl]) -> Result<Self> {
        let mut listeners = Vec::new();
        for url in urls {
            let ListenAddress::Tcp(address) = &url.address else {
                bail!("{url}: members reach each other over TCP");
            };
            let listener = TcpListener::bind(address).await;
            let listener = listener.with_context(|| format!("cannot listen for members on {url}"))?;
            listeners.push(Arc::new(listener));
            tracing::info!(address = %address, secure = url.secure, "awaiting members");
        }
        Ok(Self { listeners })
    }

    /// Waits until this server has begun as a member of a cluster, and turns away who comes meanwhile, if it has never
    /// been one: whoever asks it for its cluster then hears at once that it has none to tell of. Several that begin a
    /// cluster together would each wait for the other's answer until its time is up. One that has been a member is about
    /// to answer.
    pub(super) async fn while_beginning<T>(
        &self,
        begins: impl Future<Output = T>,
        has_been_member: bool,
    ) -> T {
        if has_been_member {
            return begins.await;
        }
        let mut turning_away: JoinSet<()> = JoinSet::new();
        for listener in &self.listeners {
            turning_away.spawn(turn_away(Arc::clone(listener)));
        }
        begins.await
    }

    /// Serves members until `stopping`, and what is under way until it ends.
    pub(super) async fn serve(
        self,
        tls: Option<Tls>,
        node: NodeSocket,
        service: PeerService,
        stopping: CancellationToken,
    ) {
        let behind = Behind { tls, node, service };
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept_all(listener, behind.clone(), stopping.clone()));
        }
        accepting.join_all().await;
    }
}

async fn turn_away(listener: Arc<TcpListener>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                tracing::debug!(%from, "turned away: this server is no member of a cluster yet");
                drop(stream);
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn accept_all(listener: Arc<TcpListener>, behind: Behind, stopping: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let behind = behind.clone();
                tokio::spawn(async move {
                    if let Err(error) = behind.take(stream).await {
                        tracing::debug!(%from, %error, "a member's connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a member's connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Behind {
    async fn take(self, stream: TcpStream) -> io::Result<()> {
        tune(&stream)?;
        match &self.tls {
            None => self.pass(stream).await,
            Some(tls) => {
                let decrypted = tls.accept(stream, HANDSHAKE_TIMEOUT).await?;
                self.pass(decrypted).await
            }
        }
    }

    async fn pass<W: Wire>(&self, wire: W) -> io::Result<()> {
        let (protocol, wire) = sniff(wire, FIRST_WORD).await?;
        match protocol {
            Protocol::Http2 => self.service.serve(wire).await.map_err(io::Error::other),
            Protocol::Dqlite => attach(wire, &self.node).await.map(drop),
            Protocol::Other => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it speaks neither HTTP/2 nor Dqlite",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn bound() -> PeerPort {
        let url = "http://127.0.0.1:0".parse().unwrap();
        PeerPort::bind(&[url]).await.unwrap()
    }

    async fn connect(port: &PeerPort) -> TcpStream {
        let address = port.listeners[0].local_addr().unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn who_asks_one_that_begins_anew_hears_at_once() {
        let port = bound().await;
        let asks = async { connect(&port).await.read(&mut [0]).await };
        let heard = port.while_beginning(asks, false).await;
        assert!(matches!(heard, Ok(0) | Err(_)), "{heard:?}");
    }

    #[tokio::test]
    async fn who_asks_one_that_was_a_member_is_served_later() {
        let port = bound().await;
        let asks = async { connect(&port).await.local_addr().unwrap() };
        let asked = port.while_beginning(asks, true).await;
        let (_, from) = port.listeners[0].accept().await.unwrap();
        assert_eq!(from, asked);
    }
}
