//! A client's byte stream, watched for pings that come too often.
//!
//! The HTTP/2 library answers every ping and has no rule about how many there may be. So the frames are
//! looked at as they pass, and a client that breaks the rule gets a GOAWAY, as from etcd, and is cut off.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{FrameWalker, calm_down};
use super::politeness::Politeness;

/// What a client says first when it speaks HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What clients are told; gRPC libraries know this text and ping less often when they reconnect.
const REASON: &[u8] = b"too_many_pings";

/// How far the stream is known.
enum Protocol {
    /// So many octets of the preface have matched.
    Undecided(usize),
    Http2,
    Other,
}

/// A byte stream under supervision.
pub(super) struct Supervised<S> {
    stream: S,
    protocol: Protocol,
    incoming: FrameWalker,
    outgoing: FrameWalker,
    politeness: Politeness,
    farewell: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Supervised<S> {
    /// Watches `stream` for pings with less than `min_time` between them.
    pub(super) fn new(stream: S, min_time: Duration) -> Self {
        Self {
            stream,
            protocol: Protocol::Undecided(0),
            incoming: FrameWalker::default(),
            outgoing: FrameWalker::default(),
            politeness: Politeness::new(min_time),
            farewell: None,
        }
    }

    fn received(&mut self, mut bytes: &[u8]) {
        if let Protocol::Undecided(matched) = self.protocol {
            let length = (PREFACE.len() - matched).min(bytes.len());
            self.protocol = match &PREFACE[matched..matched + length] {
                expected if *expected != bytes[..length] => Protocol::Other,
                _ if matched + length == PREFACE.len() => Protocol::Http2,
                _ => Protocol::Undecided(matched + length),
            };
            bytes = &bytes[length..];
        }
        if !matches!(self.protocol, Protocol::Http2) {
            return;
        }
        let mut polite = true;
        let politeness = &mut self.politeness;
        self.incoming
            .feed(bytes, |frame| polite &= politeness.received(frame, Instant::now));
        if !polite {
            // In the middle of a frame nothing can be said: the client is not even reading.
            let words = if self.outgoing.at_border() {
                calm_down(politeness.last_stream(), REASON)
            } else {
                Vec::new()
            };
            self.farewell = Some(words);
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        if matches!(self.protocol, Protocol::Http2) {
            let politeness = &mut self.politeness;
            self.outgoing.feed(bytes, |frame| politeness.sent(frame));
        }
    }

    /// Says farewell as far as the client takes it, then reports the end of the stream.
    fn leave(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(words) = self.farewell.as_mut().filter(|words| !words.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, words))?;
            words.drain(..written);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Supervised<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.farewell.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            this.received(&buffer.filled()[before..]);
            if this.farewell.is_none() {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
        this.leave(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Supervised<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.farewell.is_some() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices))?;
        let mut left = written;
        for slice in slices {
            let length = slice.len().min(left);
            this.sent(&slice[..length]);
            left -= length;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[tokio::test]
    async fn a_client_that_pings_on_and_on_is_told_and_cut_off() {
        let (mut client, server) = duplex(4096);
        let mut server = Supervised::new(server, Duration::from_secs(5));
        client.write_all(PREFACE).await.unwrap();
        for _ in 0..4 {
            client.write_all(&PING).await.unwrap();
        }
        let mut seen = Vec::new();
        server.read_to_end(&mut seen).await.unwrap();
        drop(server);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert!(told.ends_with(b"\0\0\0\x0btoo_many_pings"), "{told:?}");
    }

    #[tokio::test]
    async fn other_protocols_pass_untouched() {
        let (mut client, server) = duplex(4096);
        let mut server = Supervised::new(server, Duration::from_secs(5));
        let request = b"PRINT / HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let mut seen = Vec::new();
        server.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, request);
    }
}
