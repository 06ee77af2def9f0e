//! Telling protocols apart by their first bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::wire::HANDSHAKE;

/// What Dqlite's clients said before version 1 of the protocol (`DQLITE_PROTOCOL_VERSION_LEGACY`).
const LEGACY_HANDSHAKE: [u8; LENGTH] = 0x8610_4dd7_6043_3fe5_u64.to_le_bytes();
/// How HTTP/2 begins (RFC 9113, section 3.4), cut to what is compared.
const HTTP2_PREFACE: [u8; LENGTH] = *b"PRI * HT";
const LENGTH: usize = 8;

/// What a peer wants to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Dqlite: a client or a raft peer.
    Dqlite,
    /// HTTP/2, so most likely gRPC.
    Http2,
    /// Something else, or the stream ended early.
    Other,
}

/// Reads the first bytes of a stream, as few as tell the protocol. The stream that comes back gives them again.
///
/// # Errors
/// When the stream breaks, or the peer says nothing in time.
pub async fn sniff<S>(mut stream: S, deadline: Duration) -> io::Result<(Protocol, Rewound<S>)>
where
    S: AsyncRead + Unpin,
{
    let mut first = [0; LENGTH];
    let mut length = 0;
    let reading = async {
        loop {
            if let Some(protocol) = protocol(&first[..length]) {
                return io::Result::Ok(protocol);
            }
            match stream.read(&mut first[length..]).await? {
                0 => return Ok(Protocol::Other),
                read => length += read,
            }
        }
    };
    let protocol = match tokio::time::timeout(deadline, reading).await {
        Ok(read) => read?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer says nothing")),
    };
    let rewound = Rewound {
        stream,
        first,
        given: 0,
        length,
    };
    Ok((protocol, rewound))
}

/// The protocol that begins so, if that can be told yet.
fn protocol(first: &[u8]) -> Option<Protocol> {
    let known = [
        (HTTP2_PREFACE, Protocol::Http2),
        (HANDSHAKE, Protocol::Dqlite),
        (LEGACY_HANDSHAKE, Protocol::Dqlite),
    ];
    let mut possible = known.iter().filter(|(beginning, _)| beginning.starts_with(first));
    match possible.next() {
        None => Some(Protocol::Other),
        Some((_, protocol)) if first.len() == LENGTH => Some(*protocol),
        Some(_) => None,
    }
}

/// A stream whose first bytes were looked at and will be given again.
#[derive(Debug)]
pub struct Rewound<S> {
    stream: S,
    first: [u8; LENGTH],
    given: usize,
    length: usize,
}

impl<S> Rewound<S> {
    /// The stream itself, to ask for addresses or certificates. Its first bytes were taken out.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = &this.first[this.given..this.length];
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, into);
        }
        let give = left.len().min(into.remaining());
        into.put_slice(&left[..give]);
        this.given += give;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    async fn sniffed(said: &[u8]) -> (Protocol, Vec<u8>) {
        let (mut peer, stream) = duplex(1);
        let said = said.to_owned();
        let writing = tokio::spawn(async move {
            peer.write_all(&said).await.unwrap();
        });
        let (protocol, mut stream) = sniff(stream, SOON).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        writing.await.unwrap();
        (protocol, read)
    }

    #[tokio::test]
    async fn protocols_are_told_apart_and_nothing_is_lost() {
        let legacy = [&LEGACY_HANDSHAKE[..], b"request"].concat();
        let dqlite = [&HANDSHAKE[..], b"request"].concat();
        let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for (said, expected) in [
            (dqlite, Protocol::Dqlite),
            (legacy, Protocol::Dqlite),
            (http2, Protocol::Http2),
            (b"GET / HTTP/1.1".to_vec(), Protocol::Other),
            (b"PRI".to_vec(), Protocol::Other),
            (b"PRI * XX".to_vec(), Protocol::Other),
            (Vec::new(), Protocol::Other),
        ] {
            assert_eq!(sniffed(&said).await, (expected, said));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up() {
        let (_peer, stream) = duplex(8);
        let error = sniff(stream, SOON).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
