//! Copying both ways between two streams.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes each way that are held at most. Four TLS records, and more than a raft message with one page.
const BUFFER: usize = 64 * 1024;
/// How long one way may stay silent after the other has ended. A node that ends a connection ends both ways,
/// so this only bounds the wait for a peer that has vanished.
const LINGER: Duration = Duration::from_secs(10);

/// What went through a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the first stream to the second.
    pub forth: u64,
    /// Bytes from the second stream to the first.
    pub back: u64,
}

/// Copies both ways until both have ended. The end of one way is passed on while the other goes on.
///
/// # Errors
/// When either stream breaks. Both are closed then, whatever was under way.
pub(super) async fn pump<A, B>(a: A, b: B) -> io::Result<Traffic>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let linger = tokio::time::sleep(LINGER);
    let mut pump = Box::pin(Pump {
        a,
        b,
        forth: Lane::new(),
        back: Lane::new(),
        linger: Box::pin(linger),
        seen: 0,
    });
    std::future::poll_fn(|cx| pump.as_mut().get_mut().poll(cx)).await
}

struct Pump<A, B> {
    a: A,
    b: B,
    forth: Lane,
    back: Lane,
    linger: Pin<Box<Sleep>>,
    /// Bytes moved when the time to linger was last set.
    seen: u64,
}

impl<A, B> Pump<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Traffic>> {
        let forth = self.forth.poll(cx, &mut self.a, &mut self.b)?;
        let back = self.back.poll(cx, &mut self.b, &mut self.a)?;
        match (forth, back) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(self.traffic())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => self.poll_linger(cx),
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Traffic>> {
        let moved = self.forth.moved + self.back.moved + 1;
        if moved != self.seen {
            self.seen = moved;
            self.linger.as_mut().reset(Instant::now() + LINGER);
        }
        ready!(self.linger.as_mut().poll(cx));
        Poll::Ready(Ok(self.traffic()))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            forth: self.forth.moved,
            back: self.back.moved,
        }
    }
}

/// One way, with what was read and is not yet written: `buffer[start..end]`.
struct Lane {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    moved: u64,
    unflushed: bool,
    state: LaneState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LaneState {
    Flowing,
    /// The source has ended; what is held is written out.
    Draining,
    /// The sink is told that nothing more comes.
    Closing,
    Closed,
}

impl Lane {
    fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            moved: 0,
            unflushed: false,
            state: LaneState::Flowing,
        }
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                LaneState::Flowing => ready!(self.flow(cx, from, to))?,
                LaneState::Draining => ready!(self.drain(cx, to))?,
                LaneState::Closing => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = LaneState::Closed;
                }
                LaneState::Closed => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads and writes once each. Ready means that something moved and more may; before it rests, what the
    /// sink holds back is flushed.
    fn flow<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let read = self.fill(cx, from)?;
        let written = if self.start < self.end {
            self.spill(cx, to)?
        } else {
            Poll::Pending
        };
        if read.is_ready() || written.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.unflushed && self.start == self.end {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Pending
    }

    fn fill<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, from: &mut R) -> Poll<io::Result<()>> {
        if self.end == self.buffer.len() {
            return Poll::Pending;
        }
        let mut space = ReadBuf::new(&mut self.buffer[self.end..]);
        match ready!(Pin::new(from).poll_read(cx, &mut space)) {
            Ok(()) => {}
            // TLS without a goodbye. Dqlite's messages say how long they are, so nothing can be cut off unseen.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        match space.filled().len() {
            0 => self.state = LaneState::Draining,
            read => self.end += read,
        }
        Poll::Ready(Ok(()))
    }

    fn spill<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>> {
        let written = ready!(Pin::new(to).poll_write(cx, &self.buffer[self.start..self.end]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.start += written;
        self.moved += written as u64;
        self.unflushed = true;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Poll::Ready(Ok(()))
    }

    fn drain<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>> {
        while self.start < self.end {
            ready!(self.spill(cx, to))?;
        }
        self.state = LaneState::Closing;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
    use tokio::task::JoinHandle;

    use super::*;

    fn pumped() -> (DuplexStream, DuplexStream, JoinHandle<io::Result<Traffic>>) {
        let (left, a) = duplex(1000);
        let (b, right) = duplex(333);
        (left, right, tokio::spawn(pump(a, b)))
    }

    #[tokio::test]
    async fn both_ways_go_on_at_once_and_end_apart() {
        let (left, right, pump) = pumped();
        let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let (mut left_in, mut left_out) = split(left);
        let (mut right_in, mut right_out) = split(right);
        let forth = sent.clone();
        let writer = tokio::spawn(async move {
            left_out.write_all(&forth).await.unwrap();
            left_out.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        right_in.read_to_end(&mut got).await.unwrap();
        assert!(got == sent, "{} bytes arrived", got.len());
        right_out
            .write_all(b"and back, after the other way has ended")
            .await
            .unwrap();
        right_out.shutdown().await.unwrap();
        let mut back = String::new();
        left_in.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "and back, after the other way has ended");
        writer.await.unwrap();
        let traffic = pump.await.unwrap().unwrap();
        assert_eq!((traffic.forth, traffic.back), (4_000_000, back.len() as u64));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_ends_its_way_is_given_up() {
        let (left, mut right, pump) = pumped();
        let begun = Instant::now();
        right.shutdown().await.unwrap();
        let (mut left_in, mut left_out) = split(left);
        assert_eq!(left_in.read(&mut [0]).await.unwrap(), 0);
        tokio::time::sleep(LINGER / 2).await;
        left_out.write_all(b"still there").await.unwrap();
        assert!(pump.await.unwrap().is_ok());
        assert_eq!(begun.elapsed(), LINGER + LINGER / 2);
    }

    #[tokio::test]
    async fn a_broken_end_closes_the_other() {
        let (mut left, right, pump) = pumped();
        drop(right);
        let mut written = 0;
        while left.write_all(&[0; 512]).await.is_ok() {
            written += 512;
            assert!(written < 10_000_000, "writing into nothing goes on");
        }
        assert!(pump.await.unwrap().is_err());
    }

    /// Writes are seen only after a flush, as with TLS.
    struct Lazy {
        inner: DuplexStream,
        held: Vec<u8>,
    }

    impl AsyncRead for Lazy {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_read(cx, into)
        }
    }

    impl AsyncWrite for Lazy {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(from);
            Poll::Ready(Ok(from.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            while !self.held.is_empty() {
                let this = &mut *self;
                let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &this.held))?;
                this.held.drain(..written);
            }
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            ready!(self.as_mut().poll_flush(cx))?;
            Pin::new(&mut self.inner).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn what_a_sink_holds_back_is_flushed_when_nothing_more_comes() {
        let (mut left, a) = duplex(1000);
        let (inner, mut right) = duplex(10);
        let lazy = Lazy {
            inner,
            held: Vec::new(),
        };
        let pump = tokio::spawn(pump(a, lazy));
        left.write_all(b"a message longer than the pipe").await.unwrap();
        let mut got = [0; 30];
        right.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"a message longer than the pipe");
        pump.abort();
    }
}
