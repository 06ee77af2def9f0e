//! Calls that block, on threads of their own: a pool could be full of them, and a runtime would wait for them to end.

use tokio::sync::oneshot;

use super::NodeError;

/// Runs `call` on a new thread. It goes on if the future is dropped; its result is then dropped there.
pub(super) async fn on_thread<T>(
    name: &str,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NodeError>
where
    T: Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let begun = thread.spawn(move || drop(answer.send(call())));
    begun.map_err(NodeError::Thread)?;
    answered.await.map_err(|_| NodeError::Lost)
}
