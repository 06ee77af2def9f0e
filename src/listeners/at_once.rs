//! How requests are begun: at once, where they came in, and on a task of their own only if they have to wait.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;

/// Begins each request inside the connection's own task. A read that needs nothing but memory ends there, and
/// the answers to all that came in together leave together.
#[derive(Clone, Copy)]
pub(super) struct AtOnce;

impl<F> Executor<F> for AtOnce
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        let mut request: Pin<Box<F>> = Box::pin(request);
        // Who must wait is polled again on its own task, and leaves that one's waker where this one is now.
        let mut context = Context::from_waker(Waker::noop());
        if request.as_mut().poll(&mut context) == Poll::Pending {
            tokio::spawn(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_need_not_wait_is_done_at_once() {
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        AtOnce.execute(async move { seen.store(true, Ordering::Relaxed) });
        assert!(done.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn what_must_wait_is_woken_on_its_own_task() {
        let (go, wait) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        AtOnce.execute(async move {
            wait.await.unwrap();
            done.send(tokio::task::id()).unwrap();
        });
        go.send(()).unwrap();
        finished.await.unwrap();
    }
}
