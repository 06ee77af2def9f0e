//! A listener of Dqlite's own, for programs that do not share its port with anything.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::{NodeSocket, attach};
use crate::dial::tune;
use crate::tls::Tls;

/// How long a peer may take to make its TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after accepting has failed, which is mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Passes every connection on to the node, decrypted if there is TLS, until the node is closed.
/// Connections that are under way end with the node.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, node: NodeSocket) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = node.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (tls, node) = (tls.clone(), node.clone());
                tokio::spawn(async move {
                    if let Err(error) = pass(stream, tls, &node).await {
                        tracing::debug!(%peer, %error, "a connection to the node ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the node");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn pass(stream: TcpStream, tls: Option<Tls>, node: &NodeSocket) -> io::Result<()> {
    tune(&stream)?;
    match tls {
        None => attach(stream, node).await?,
        Some(tls) => attach(tls.accept(stream, HANDSHAKE_TIMEOUT).await?, node).await?,
    };
    Ok(())
}
