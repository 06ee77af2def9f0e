//! A connection with its stream: who polls it, and when what it says is written out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::gathered::Gathered;

pin_project_lite::pin_project! {
    /// A connection that writes out what it said each time that it has said all it has to say.
    ///
    /// When answers wake it, it lets the tasks that are ready go first: they may have answers too.
    /// When the client wakes it, it listens at once.
    pub(super) struct Driven<C, S, T> {
        #[pin]
        connection: C,
        stream: Gathered<S>,
        #[pin]
        turn: Option<T>,
        take_turn: fn() -> T,
    }
}

/// Drives this connection over this stream.
pub(super) fn drive<C, S>(
    connection: C,
    stream: Gathered<S>,
) -> Driven<C, S, impl Future<Output = ()> + Send> {
    Driven {
        connection,
        stream,
        turn: None,
        take_turn: tokio::task::yield_now,
    }
}

impl<C, S, T> Driven<C, S, T> {
    /// The connection.
    pub(super) fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C, S, T> Future for Driven<C, S, T>
where
    C: Future,
    S: AsyncRead + AsyncWrite + Unpin,
    T: Future<Output = ()>,
{
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let mut this = self.project();
        if this.stream.was_heard() {
            this.turn.set(None);
        }
        if let Some(turn) = this.turn.as_mut().as_pin_mut() {
            ready!(turn.poll(context));
        }
        this.turn.set(Some((this.take_turn)()));
        let ended = this.connection.poll(context);
        // A client that cannot be written to is noticed by the HTTP library, which reads and goes on writing.
        let _waiting_or_broken = this.stream.write_out(context);
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Each poll of the connection writes one octet, without end.
    fn talkative(stream: Gathered<tokio::io::DuplexStream>, polls: &AtomicUsize) -> impl Future<Output = ()> {
        let mut stream = stream;
        poll_fn(move |context| {
            polls.fetch_add(1, Ordering::Relaxed);
            let _ready = Pin::new(&mut stream).poll_write(context, b".");
            // As an HTTP library does, it waits for the client to say something.
            let _pending =
                Pin::new(&mut stream).poll_read(context, &mut tokio::io::ReadBuf::new(&mut [0; 8]));
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn what_was_said_is_written_out_and_answers_wait_for_others_while_the_client_does_not() {
        let (mut client, server) = duplex(64);
        let stream = Gathered::new(server);
        let polls = AtomicUsize::new(0);
        let count = || polls.load(Ordering::Relaxed);
        let mut driven = std::pin::pin!(drive(talkative(stream.clone(), &polls), stream));
        let mut context = Context::from_waker(Waker::noop());
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!((client.read_u8().await.unwrap(), count()), (b'.', 1));
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!(count(), 1, "woken by an answer it waits a turn");
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!(count(), 2, "and then goes on");
        client.write_all(b"hello").await.unwrap();
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!(count(), 3, "woken by the client it goes on at once");
    }
}
