//! How another node is reached: names, deadlines, socket options, TLS.

mod socket;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use crate::client::{BoxedStream, Connecting, Connector};
use crate::tls::Tls;

pub use socket::{connect_local, tune};

/// How long a connection may take by default, name lookup and TLS handshake included. Dqlite calls from a
/// pool of threads that it also needs for its disk, so a dead peer must not hold one for long.
pub const DEFAULT_DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Dials nodes at the addresses of a cluster's configuration. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    tls: Option<Tls>,
    timeout: Duration,
}

impl Dialer {
    /// A dialer without encryption: whoever can reach the network can read, write and remove nodes.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            tls: None,
            timeout: DEFAULT_DIAL_TIMEOUT,
        }
    }

    /// A dialer that makes a TLS handshake with every node.
    #[must_use]
    pub fn tls(tls: Tls) -> Self {
        Self {
            tls: Some(tls),
            timeout: DEFAULT_DIAL_TIMEOUT,
        }
    }

    /// Changes how long a connection may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a connection may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects to `host:port`, or to the abstract socket `@name` of a node in this process.
    ///
    /// A host with several addresses is tried address by address, each with its share of the time.
    ///
    /// # Errors
    /// When the name is not known, nothing answers in time, or the TLS handshake fails.
    pub async fn dial(&self, address: &str) -> io::Result<Stream> {
        if let Some(name) = address.strip_prefix('@') {
            return connect_local(name).await.map(Stream::Local);
        }
        let deadline = Instant::now() + self.timeout;
        let stream = connect(address, deadline).await?;
        tune(&stream)?;
        match &self.tls {
            None => Ok(Stream::Plain(stream)),
            Some(tls) => {
                let handshake = tls.connect(stream, address);
                let stream = in_time(deadline, address, handshake).await?;
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }
}

impl Connector for Dialer {
    fn connect<'a>(&'a self, address: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let stream: BoxedStream = match self.dial(address).await? {
                Stream::Plain(stream) => Box::new(stream),
                Stream::Tls(stream) => stream,
                Stream::Local(stream) => Box::new(stream),
            };
            Ok(stream)
        })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Dialer")
            .field("tls", &self.tls.is_some())
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// A connection to a node.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP, not encrypted.
    Plain(TcpStream),
    /// Over TCP with TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// To a node in this process.
    Local(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Local(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, from),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, from),
            Self::Local(stream) => Pin::new(stream).poll_write(cx, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Local(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

async fn connect(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let found = in_time(deadline, address, tokio::net::lookup_host(address)).await?;
    let found: Vec<SocketAddr> = found.collect();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address"));
    for (tried, candidate) in found.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() - tried).unwrap_or(u32::MAX);
        match in_time(Instant::now() + share, address, TcpStream::connect(candidate)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn in_time<T>(
    deadline: Instant,
    address: &str,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match timeout_at(deadline, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{address} did not answer in time"),
        )),
    }
}
