//! Sockets as Dqlite needs them.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

/// An idle connection is probed after this time, and as often again, go-dqlite's values.
const KEEPALIVE: Duration = Duration::from_secs(3);
/// An idle connection is given up after so many probes without an answer.
const PROBES: u32 = 3;
/// A connection is given up when sent bytes stay unacknowledged for so long. Shorter than go-dqlite's 30 s,
/// so that raft dials again soon after a network partition; a kernel acknowledges even for a stalled process.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Sets what every TCP connection between nodes needs: no delay for small messages (the kernel's delays let
/// three nodes make 69 commits a second instead of 534), and an early end when the peer is gone.
///
/// # Errors
/// When the socket is closed already.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// How often a local node whose queue of connections is full is tried again, and how long between.
const LOCAL_TRIES: u32 = 100;
const LOCAL_PAUSE: Duration = Duration::from_millis(10);

/// Connects to the abstract socket of a node in this process; a node refuses other processes.
///
/// # Errors
/// When no node listens there, or its queue stays full for a second.
pub async fn connect_local(name: &str) -> io::Result<UnixStream> {
    let path = format!("\0{name}");
    for _ in 1..LOCAL_TRIES {
        match UnixStream::connect(&path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(LOCAL_PAUSE).await,
            answered => return answered,
        }
    }
    UnixStream::connect(&path).await
}
