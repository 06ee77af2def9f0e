//! A connection with its stream and its requests: who polls them, and when what they say is written out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite};

use super::gathered::Gathered;
use super::requests::Requests;

/// How often connection and requests take turns before other connections get theirs.
const ROUNDS: usize = 8;

pin_project_lite::pin_project! {
    /// A connection that writes out what it said each time that it, and its requests, have said all they have to say.
    pub(super) struct Driven<C, S> {
        #[pin]
        connection: C,
        requests: Requests,
        stream: Gathered<S>,
        bell: Arc<Bell>,
        waker: Waker,
    }
}

/// Rung by whatever lets the connection or a request go on. While these are being polled anyway that only means
/// one more round: the connection's task is not woken by its own doing.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    polling: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if !self.polling.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl Bell {
    /// Whether it rang in this round. If not, the next ring wakes the task.
    fn rang(&self) -> bool {
        self.polling.store(false, Ordering::SeqCst);
        let rang = self.rung.swap(false, Ordering::SeqCst);
        self.polling.store(rang, Ordering::SeqCst);
        rang
    }
}

/// Drives this connection, whose requests begin in `requests`, over this stream.
pub(super) fn drive<C, S>(connection: C, requests: Requests, stream: Gathered<S>) -> Driven<C, S> {
    let bell = Arc::new(Bell::default());
    Driven {
        connection,
        requests,
        stream,
        waker: Waker::from(Arc::clone(&bell)),
        bell,
    }
}

impl<C, S> Driven<C, S> {
    /// The connection.
    pub(super) fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C, S> Future for Driven<C, S>
where
    C: Future,
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let mut this = self.project();
        this.bell.task.register(context.waker());
        this.bell.polling.store(true, Ordering::SeqCst);
        this.bell.rung.swap(false, Ordering::SeqCst);
        let mut inner = Context::from_waker(this.waker);
        let mut rounds = 0;
        let ended = loop {
            let ended = this.connection.as_mut().poll(&mut inner);
            this.requests.drive(&mut inner);
            rounds += 1;
            if ended.is_ready() || !this.bell.rang() {
                break ended;
            }
            if rounds == ROUNDS {
                this.bell.polling.store(false, Ordering::SeqCst);
                context.waker().wake_by_ref();
                break ended;
            }
        };
        // A client that cannot be written to is noticed by the HTTP library, which reads and goes on writing.
        let _waiting_or_broken = this.stream.write_out(context);
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use hyper::rt::Executor as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf, duplex};
    use tokio::runtime::Handle;
    use tokio::sync::oneshot;

    use super::*;

    /// Counts its wakings.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Counter {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    /// Each poll of the connection writes one octet and listens, without end.
    fn talkative(
        mut stream: Gathered<tokio::io::DuplexStream>,
        polls: Arc<Counter>,
    ) -> impl Future<Output = ()> {
        poll_fn(move |context| {
            polls.0.fetch_add(1, Ordering::SeqCst);
            let _ready = Pin::new(&mut stream).poll_write(context, b".");
            let _pending = Pin::new(&mut stream).poll_read(context, &mut ReadBuf::new(&mut [0; 8]));
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn what_was_said_is_written_out_and_the_client_is_heard() {
        let (mut client, server) = duplex(64);
        let (stream, polls, wakings) = (Gathered::new(server), Arc::default(), Arc::<Counter>::default());
        let connection = talkative(stream.clone(), Arc::clone(&polls));
        let mut driven = std::pin::pin!(drive(connection, Requests::new(Handle::current()), stream));
        let waker = Waker::from(Arc::clone(&wakings));
        let mut context = Context::from_waker(&waker);
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!((client.read_u8().await.unwrap(), polls.count()), (b'.', 1));
        let before = wakings.count();
        client.write_all(b"hello").await.unwrap();
        assert_eq!(wakings.count(), before + 1);
    }

    #[tokio::test]
    async fn an_answer_wakes_the_connection_and_what_it_wakes_itself_is_another_round() {
        let (_client, server) = duplex(64);
        let (stream, wakings, requests) = (
            Gathered::new(server),
            Arc::<Counter>::default(),
            Requests::new(Handle::current()),
        );
        let (answer, answered) = oneshot::channel::<()>();
        let (said, mut heard) = oneshot::channel::<()>();
        requests.begun().execute(async move {
            answered.await.unwrap();
            said.send(()).unwrap();
        });
        let connection = poll_fn(move |context| Pin::new(&mut heard).poll(context).map(Result::unwrap));
        let mut driven = std::pin::pin!(drive(connection, requests, stream));
        let waker = Waker::from(Arc::clone(&wakings));
        let mut context = Context::from_waker(&waker);
        assert!(driven.as_mut().poll(&mut context).is_pending());
        assert_eq!(wakings.count(), 0);
        answer.send(()).unwrap();
        assert_eq!(wakings.count(), 1);
        assert!(driven.as_mut().poll(&mut context).is_ready());
        assert_eq!(wakings.count(), 1);
    }

    #[tokio::test]
    async fn who_never_has_to_wait_lets_others_go_first() {
        let (_client, server) = duplex(64);
        let wakings = Arc::<Counter>::default();
        let restless = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let mut driven = std::pin::pin!(drive(
            restless,
            Requests::new(Handle::current()),
            Gathered::new(server)
        ));
        let waker = Waker::from(Arc::clone(&wakings));
        assert!(
            driven
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(wakings.count(), 1);
    }
}
