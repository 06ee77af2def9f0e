//! How a node is reached.

use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Two ways of bytes to a node.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream of whatever kind.
pub type BoxedStream = Box<dyn Stream>;

/// A connection that is being made.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send + 'a>>;

/// Makes streams to the addresses in a cluster's configuration.
pub trait Connector: Send + Sync + 'static {
    /// Connects to the node at this address. Without a time limit of its own: who calls sets one.
    fn connect<'a>(&'a self, address: &'a str) -> Connecting<'a>;
}

/// Connects without encryption: to `@name`, an abstract unix socket, or to `host:port`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainConnector;

impl Connector for PlainConnector {
    fn connect<'a>(&'a self, address: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            match address.strip_prefix('@') {
                Some(name) => connect_unix(name).await,
                None => connect_tcp(address).await,
            }
        })
    }
}

async fn connect_unix(name: &str) -> io::Result<BoxedStream> {
    // A path that begins with NUL is a name in the abstract namespace.
    let stream = UnixStream::connect(format!("\0{name}")).await?;
    Ok(Box::new(stream))
}

async fn connect_tcp(address: &str) -> io::Result<BoxedStream> {
    let stream = TcpStream::connect(address).await?;
    // Each request waits for an answer, so none may wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
