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

/// A request that is being served, unless that goes on elsewhere.
struct Request(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

thread_local! {
    /// Whether the request that is being polled asked for a task of its own.
    static APART: Cell<bool> = const { Cell::new(false) };
}

/// Where the HTTP library puts requests that came in.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<Mutex<Vec<Request>>>);

/// The requests that wait for something.
#[derive(Default)]
pub(super) struct Requests {
    begun: Begun,
    waiting: FuturesUnordered<Request>,
}

/// Moves the request that is being served to a task of its own, where its work holds up nobody else of the same
/// connection. For requests that take long in the processor.
pub(crate) async fn step_aside() {
    APART.set(true);
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
        if Pin::new(&mut request).poll(&mut context).is_pending() {
            self.0.lock().push(request);
        }
    }
}

impl Future for Request {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(served) = &mut self.0 else {
            return Poll::Ready(());
        };
        APART.set(false);
        if served.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if APART.take() {
            self.0.take().map(tokio::spawn);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Requests {
    /// Where new ones are put.
    pub(super) fn begun(&self) -> Begun {
        self.begun.clone()
    }

    /// Drives those that can go on, until all have to wait.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        self.waiting.extend(self.begun.0.lock().drain(..));
        while let Poll::Ready(Some(())) = self.waiting.poll_next_unpin(context) {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn what_need_not_wait_is_done_at_once() {
        let requests = Requests::default();
        let done = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&done);
        requests.begun().execute(async move {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.load(Ordering::Relaxed), 1);
        assert!(requests.begun.0.lock().is_empty());
    }

    #[test]
    fn what_must_wait_is_finished_with_the_others() {
        let mut requests = Requests::default();
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
        let requests = Requests::default();
        let here = tokio::task::try_id();
        let (done, finished) = oneshot::channel();
        requests.begun().execute(async move {
            step_aside().await;
            done.send(tokio::task::try_id()).unwrap();
        });
        assert!(requests.begun.0.lock().is_empty());
        assert_ne!(finished.await.unwrap(), here);
    }

    #[tokio::test]
    async fn long_work_goes_on_elsewhere_also_after_a_wait() {
        let mut requests = Requests::default();
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
