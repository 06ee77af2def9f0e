//! Mutual TLS between nodes, from PEM files that may be replaced while the node runs.
//!
//! Both ends present a certificate and both verify the other's: Dqlite itself knows no authentication, so
//! whoever passes the handshake may read, write and remove nodes. The files are looked at again at every
//! handshake; certificates that rotate need no restart.

mod files;
mod trust;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use files::{Stamp, configurations, stamp};

/// Where certificates come from and which name a peer must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file with the node's certificate, followed by intermediate ones.
    pub certificate: PathBuf,
    /// PEM file with the private key of that certificate.
    pub key: PathBuf,
    /// PEM file with the authorities that peers must be signed by. It may hold the node's own certificate:
    /// clusters made by go-dqlite share one self-signed certificate, and a peer that shows exactly a
    /// certificate of this file is trusted, authority or not.
    pub authority: PathBuf,
    /// The name a dialled peer must have.
    pub peer_name: PeerName,
    /// Application protocols to offer when accepting, best first. Empty: none is negotiated, as go-dqlite does.
    pub accepted_protocols: Vec<Vec<u8>>,
    /// Application protocols to offer when dialling. Empty: none.
    pub dialled_protocols: Vec<Vec<u8>>,
}

impl TlsSettings {
    /// Settings for peers that are called by the host in their address, and no application protocols.
    pub fn new(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        authority: impl Into<PathBuf>,
    ) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            authority: authority.into(),
            peer_name: PeerName::Host,
            accepted_protocols: Vec::new(),
            dialled_protocols: Vec::new(),
        }
    }
}

/// The name that the certificate of a dialled peer must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerName {
    /// The host part of the address that was dialled: a DNS name or an IP address.
    Host,
    /// One name for every peer.
    Fixed(String),
    /// The first DNS name of our own certificate, as go-dqlite does: for clusters whose nodes share one certificate.
    Own,
}

/// Why TLS cannot be used, or was not established.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is missing, unreadable or holds something else.
    #[error("cannot use {}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The files are readable each but do not work together.
    #[error("{} and {} do not go together: {source}", certificate.display(), key.display())]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What TLS says.
        source: rustls::Error,
    },
    /// The peer's name is neither a DNS name nor an IP address.
    #[error("{0:?} is not a name that a certificate can carry")]
    Name(String),
}

/// Both directions' configurations of one reading of the files.
#[derive(Clone)]
struct Configurations {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// What every peer is called, if they all are called the same.
    peer_name: Option<ServerName<'static>>,
}

struct Current {
    stamp: Stamp,
    configurations: Configurations,
}

/// The TLS configuration of now. Cheap to clone; clones share what was read.
#[derive(Clone)]
pub struct Tls {
    settings: Arc<TlsSettings>,
    current: Arc<ArcSwap<Current>>,
}

impl Tls {
    /// Reads the files. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When a file cannot be used, or certificate and key do not belong together.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let stamp = stamp(&settings);
        let configurations = configurations(&settings)?;
        Ok(Self {
            settings: Arc::new(settings),
            current: Arc::new(ArcSwap::from_pointee(Current {
                stamp,
                configurations,
            })),
        })
    }

    /// The configuration for accepting, of the files as they are now. Files that cannot be used, for example
    /// because a new certificate is there and its key is not yet, leave the previous ones in force until they can.
    pub async fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.fresh().await.configurations.server)
    }

    /// The configuration for dialling, of the files as they are now.
    pub async fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.fresh().await.configurations.client)
    }

    /// Accepts a peer: its handshake must be over in time.
    ///
    /// # Errors
    /// When the peer shows no certificate or one that is not trusted, speaks no TLS, or takes too long.
    pub async fn accept<S>(&self, stream: S, deadline: Duration) -> io::Result<server::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.server().await);
        in_time(deadline, acceptor.accept(stream)).await
    }

    /// Makes the handshake with a peer that was dialled at `address` (`host:port`).
    ///
    /// # Errors
    /// When the peer's certificate is not trusted or carries another name, or the peer refuses ours.
    /// A TLS 1.3 peer says so only in answer to the first bytes that are sent.
    pub async fn connect<S>(&self, stream: S, address: &str) -> io::Result<client::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let current = self.fresh().await;
        let name = match &current.configurations.peer_name {
            Some(name) => name.clone(),
            None => server_name(host(address)).map_err(io::Error::other)?,
        };
        let connector = TlsConnector::from(Arc::clone(&current.configurations.client));
        connector.connect(name, stream).await
    }

    async fn fresh(&self) -> Arc<Current> {
        let tls = self.clone();
        match tokio::task::spawn_blocking(move || tls.refresh()).await {
            Ok(current) => current,
            Err(_) => self.current.load_full(),
        }
    }

    /// Looks at the files and reads them if they changed. Two handshakes that see the change both read.
    fn refresh(&self) -> Arc<Current> {
        let current = self.current.load_full();
        let stamp = stamp(&self.settings);
        if stamp == current.stamp {
            return current;
        }
        let configurations = match configurations(&self.settings) {
            Ok(configurations) => {
                tracing::info!(certificate = %self.settings.certificate.display(), "TLS files read again");
                configurations
            }
            Err(error) => {
                tracing::warn!(%error, "TLS files changed and cannot be used; the old ones stay");
                current.configurations.clone()
            }
        };
        let fresh = Arc::new(Current {
            stamp,
            configurations,
        });
        self.current.store(Arc::clone(&fresh));
        fresh
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))
}

/// The host of `host:port`, without the brackets that an IPv6 address has there.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

async fn in_time<T>(deadline: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(deadline, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the TLS handshake took too long",
        )),
    }
}
