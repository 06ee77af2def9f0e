//! A client's byte stream that gathers what is written to it, so that one system call carries many answers.
//!
//! The HTTP/2 library flushes behind every frame with a payload. A flush means nothing here: the owner of
//! the connection [writes out](Gathered::write_out) when the library has said all that it has to say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is gathered at most; then the client has to take it, and what is longer goes out as it is. A long answer comes in frames of 16 KiB, and
/// each system call costs about as much as copying one.
const LIMIT: usize = 128 << 10;
/// Room that is kept while nothing is gathered: there may be thousands of connections that say little.
const KEPT: usize = 16 << 10;

/// A byte stream. Clones share it: one is for the HTTP library, one for the owner of the connection.
pub(super) struct Gathered<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    gathered: Vec<u8>,
    /// Octets of these that are on their way already.
    written: usize,
}

impl<S> Clone for Gathered<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gathered<S> {
    /// Gathers what is written to `stream`.
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            gathered: Vec::new(),
            written: 0,
        })))
    }

    /// Writes what was gathered, as far as the client takes it. For when nothing more is to be said at once.
    pub(super) fn write_out(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.lock();
        ready!(inner.write_out(context))?;
        inner.gathered.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn left(&self) -> usize {
        self.gathered.len() - self.written
    }

    fn write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.left() > 0 {
            let rest = &self.gathered[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.written += taken,
            }
        }
        self.gathered.clear();
        self.written = 0;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn gather(&mut self, slices: &[IoSlice<'_>], length: usize) -> usize {
        if self.gathered.len() + length > self.gathered.capacity().max(KEPT) {
            self.gathered.reserve_exact(LIMIT - self.gathered.len());
        }
        slices
            .iter()
            .for_each(|slice| self.gathered.extend_from_slice(slice));
        length
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.lock();
        Pin::new(&mut inner.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.lock();
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if inner.gathered.len() + length > LIMIT {
            ready!(inner.write_out(context))?;
        }
        if length > LIMIT {
            return Pin::new(&mut inner.stream).poll_write_vectored(context, slices);
        }
        Poll::Ready(Ok(inner.gather(slices, length)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.lock();
        ready!(inner.write_out(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn write_out<S: AsyncRead + AsyncWrite + Unpin>(stream: &Gathered<S>) {
        poll_fn(|context| stream.write_out(context)).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_goes_out_before_the_owner_says_so() {
        let (mut client, server) = duplex(1 << 20);
        let owner = Gathered::new(server);
        let mut library = owner.clone();
        for word in ["one ", "two ", "three"] {
            library.write_all(word.as_bytes()).await.unwrap();
            library.flush().await.unwrap();
        }
        let mut seen = [0; 64];
        let early = futures_util::poll!(std::pin::pin!(client.read(&mut seen)));
        assert!(early.is_pending());
        write_out(&owner).await;
        let length = client.read(&mut seen).await.unwrap();
        assert_eq!(&seen[..length], b"one two three");
    }

    /// Pieces of all sizes through pipes of all sizes: what comes out is what went in.
    #[tokio::test]
    async fn order_and_content_hold_whatever_the_sizes() {
        for pipe in [7, 1000, 20_000, 1 << 20] {
            let (mut client, server) = duplex(pipe);
            let owner = Gathered::new(server);
            let mut library = owner.clone();
            let sizes = [
                1,
                300,
                KEPT,
                9,
                3 * LIMIT,
                LIMIT - 1,
                2,
                LIMIT,
                LIMIT / 2,
                LIMIT / 2,
                1,
                40,
            ];
            let expected: Vec<u8> = sizes
                .iter()
                .zip(0_u8..)
                .flat_map(|(size, octet)| vec![octet; *size])
                .collect();
            let (mut seen, content) = (Vec::new(), expected.clone());
            let write = async move {
                let mut rest = &content[..];
                for size in sizes {
                    library.write_all(&rest[..size]).await.unwrap();
                    rest = &rest[size..];
                }
                library.shutdown().await.unwrap();
                drop((library, owner));
            };
            let (read, ()) = tokio::join!(client.read_to_end(&mut seen), write);
            read.unwrap();
            assert!(seen == expected, "through a pipe of {pipe} octets");
        }
    }
}
