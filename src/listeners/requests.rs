//! The requests of one connection: begun where they came in, and driven by the connection's own task.
//!
//! A task for each request would be woken, scheduled and heard by itself. Here all that were answered meanwhile are
//! finished in one go, and their answers leave in one system call.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request that is being served. It ends with nothing, or with what is to go on elsewhere.
struct Request(Option<Work>);

thread_local! {
    /// Whether the request that is being polled asked to go on elsewhere.
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Where the HTTP library puts requests that came in.
#[derive(Clone)]
pub(super) struct Begun {
    waiting: Arc<Mutex<Vec<Request>>>,
    aside: Handle,
}

/// The requests that wait for something.
pub(super) struct Requests {
    begun: Begun,
    waiting: FuturesUnordered<Request>,
}

/// Moves the request that is being served to threads where its work holds up nobody else. For requests that take
/// long in the processor.
pub(crate) async fn step_aside() {
    ASIDE.set(true);
    tokio::task::yield_now().await;
}

impl<F> Executor<F> for Begun
where
    F: Future<Output = ()> + Send + 'static,
{
    /// A read that needs nothing but memory ends here.
    fn execute(&self, request: F) {
        let mut request = Request(Some(Box::pin(request)));
        // Who must wait is polled again, and leaves the waker then that counts.
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut request).poll(&mut context) {
            Poll::Pending => self.waiting.lock().push(request),
            Poll::Ready(rest) => self.go_on_aside(rest),
        }
    }
}

impl Begun {
    fn go_on_aside(&self, rest: Option<Work>) {
        if let Some(rest) = rest {
            self.aside.spawn(rest);
        }
    }
}

impl Future for Request {
    type Output = Option<Work>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Work>> {
        let Some(work) = &mut self.0 else {
            return Poll::Ready(None);
        };
        ASIDE.set(false);
        if work.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        if ASIDE.take() {
            return Poll::Ready(self.0.take());
        }
        Poll::Pending
    }
}

impl Requests {
    /// The requests of a connection; what takes long goes on `aside`.
    pub(super) fn new(aside: Handle) -> Self {
        Self {
            begun: Begun {
                waiting: Arc::default(),
                aside,
            },
            waiting: FuturesUnordered::new(),
        }
    }

    /// Where new ones are put.
    pub(super) fn begun(&self) -> Begun {
        self.begun.clone()
    }

    /// Drives those that can go on, until all have to wait.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        self.waiting.extend(self.begun.waiting.lock().drain(..));
        while let Poll::Ready(Some(rest)) = self.waiting.poll_next_unpin(context) {
            self.begun.go_on_aside(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_need_not_wait_is_done_at_once() {
        let requests = Requests::new(Handle::current());
        let done = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&done);
        requests.begun().execute(async move {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.load(Ordering::Relaxed), 1);
        assert!(requests.begun.waiting.lock().is_empty());
    }

    #[tokio::test]
    async fn what_must_wait_is_finished_with_the_others() {
        let mut requests = Requests::new(Handle::current());
        let done = Arc::new(AtomicUsize::new(0));
        let answers: Vec<_> = (0..3)
            .map(|_| {
                let (answer, answered) = oneshot::channel::<()>();
                let done = Arc::clone(&done);
                requests.begun().execute(async move {
                    let _told = answered.await;
                    done.fetch_add(1, Ordering::Relaxed);
                });
                answer
            })
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        requests.drive(&mut context);
        assert_eq!((done.load(Ordering::Relaxed), requests.waiting.len()), (0, 3));
        answers.into_iter().for_each(|answer| answer.send(()).unwrap());
        requests.drive(&mut context);
        assert_eq!((done.load(Ordering::Relaxed), requests.waiting.len()), (3, 0));
    }

    #[tokio::test]
    async fn long_work_goes_on_elsewhere() {
        let requests = Requests::new(Handle::current());
        let here = tokio::task::try_id();
        let (done, finished) = oneshot::channel();
        requests.begun().execute(async move {
            step_aside().await;
            done.send(tokio::task::try_id()).unwrap();
        });
        assert!(requests.begun.waiting.lock().is_empty());
        assert_ne!(finished.await.unwrap(), here);
    }

    #[tokio::test]
    async fn long_work_goes_on_elsewhere_also_after_a_wait() {
        let mut requests = Requests::new(Handle::current());
        let here = tokio::task::try_id();
        let (go, wait) = oneshot::channel();
        let (done, finished) = oneshot::channel();
        requests.begun().execute(async move {
            wait.await.unwrap();
            step_aside().await;
            done.send(tokio::task::try_id()).unwrap();
        });
        go.send(()).unwrap();
        requests.drive(&mut Context::from_waker(Waker::noop()));
        assert!(requests.waiting.is_empty());
        assert_ne!(finished.await.unwrap(), here);
    }
}
