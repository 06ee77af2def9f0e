//! The byte streams that connections are made of.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream between two members on which both speak HTTP/2, TLS done.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for S {}

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Wire>>> + Send>>;

/// Makes connections to one member: TCP with what [`tune`] sets, TLS with ALPN `h2` where it is used.
pub type Connector = Arc<dyn Fn() -> Connecting + Send + Sync>;

/// What the kernel may hold of what was written and is not sent yet. More would only delay what is urgent.
const UNSENT_BYTES: u32 = 256 << 10;

/// Makes a socket fit for members: small messages leave at once, and an answer never waits behind megabytes
/// that the kernel took in advance.
///
/// # Errors
/// When the socket takes no options, for example because it is closed.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}
