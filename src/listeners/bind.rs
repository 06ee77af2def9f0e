//! Sockets to listen on.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::settings::{ListenAddress, ListenUrl};

/// Connections that may wait to be accepted: a herd of reconnecting clients must not be turned away.
const BACKLOG: i32 = 4096;
/// How long a TCP connection may be idle before the kernel asks whether the peer is there; Go's default.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// A byte stream to a client.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A bound socket.
pub(super) enum Socketed {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A socket's place in the file system, removed when the listener is gone.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_file(&self.0);
    }
}

impl Socketed {
    /// Binds the socket of a URL.
    pub(super) fn bind(url: &ListenUrl, reuse_port: bool) -> Result<Self> {
        match &url.address {
            ListenAddress::Tcp(address) => bind_tcp(*address, reuse_port).map(Self::Tcp),
            ListenAddress::Unix(path) => bind_unix(path),
        }
        .with_context(|| format!("cannot listen on {url}"))
    }

    /// The address that was bound, with the port that the kernel chose where the URL said 0.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|e| e.to_string(), |at| at.to_string()),
            Self::Unix(_, file) => file.0.display().to_string(),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

fn bind_tcp(address: SocketAddr, reuse_port: bool) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into())?)
}

fn bind_unix(path: &Path) -> Result<Socketed> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => bail!("{} exists and is no socket", path.display()),
        Ok(_) => remove_stale(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    Ok(Socketed::Unix(listener, SocketFile(path.to_owned())))
}

/// Removes a socket that a server which is gone left behind.
fn remove_stale(path: &Path) -> Result<()> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!("another process listens on {}", path.display());
    }
    std::fs::remove_file(path).with_context(|| format!("cannot remove the stale socket {}", path.display()))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    fn unix(path: &Path) -> ListenUrl {
        ListenUrl {
            secure: false,
            address: ListenAddress::Unix(path.to_owned()),
        }
    }

    #[tokio::test]
    async fn a_stale_unix_socket_is_replaced_and_a_live_one_respected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kine.sock:12379");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bound = Socketed::bind(&unix(&path), false).unwrap();
        let refused = Socketed::bind(&unix(&path), false).err().unwrap();
        assert!(
            format!("{refused:#}").contains("another process listens"),
            "{refused:#}"
        );
        UnixStream::connect(&path).await.unwrap();
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Socketed::bind(&unix(file.path()), false).is_err());
        assert!(file.path().exists());
    }
}
