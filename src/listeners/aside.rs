//! Threads for requests that take long in the processor: whoever asks for little does not wait behind them.

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// The threads; they end with this.
pub(super) struct Aside(Option<Runtime>);

impl Aside {
    /// Starts so many threads.
    pub(super) fn start(threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("serve-long")
            .enable_all()
            .build()
            .context("cannot start the threads that serve long requests")?;
        Ok(Self(Some(runtime)))
    }

    /// Where to give such a request.
    pub(super) fn handle(&self) -> Handle {
        self.0
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Aside {
    /// What is still running was given its time; waiting for it is not allowed everywhere.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
