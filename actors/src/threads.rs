//! The threads that serve connections, and whether actors run on them.

use std::io;
use std::sync::Arc;

use actix::{Arbiter, ArbiterHandle, System};
use tokio::runtime::Builder;

/// Where the write path, the watch hub and what concerns other members run.
#[derive(Clone, Debug, Default)]
pub enum Threads {
    /// On threads of their own.
    #[default]
    Own,
    /// On the only thread that serves connections. A hop between threads costs more than all the rest of a write, and
    /// without any a write is faster, as long as that one thread is not the limit: on small machines.
    Shared(ArbiterHandle),
}

/// Connections that are served before the actors on their thread have a turn again: one can have so much to do that
/// writes would wait for all of them, at each step.
const TASKS_PER_ROUND: u32 = 4;

/// Runs a server on so many threads. It is told where the actors of its pipeline are to run.
///
/// # Errors
/// An operating system without threads to spare.
pub fn serve_on<S: Future>(threads: usize, server: impl FnOnce(Threads) -> S) -> io::Result<S::Output> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads == 1 {
        builder.event_interval(TASKS_PER_ROUND);
    }
    builder.worker_threads(threads).thread_name("serve").enable_all();
    let runtime = Arc::new(builder.build()?);
    let outcome = match threads {
        1 => System::with_tokio_rt(|| Arc::clone(&runtime))
            .block_on(async { server(Threads::Shared(Arbiter::current())).await }),
        _ => runtime.block_on(server(Threads::Own)),
    };
    // What is still running was given its time.
    if let Some(runtime) = Arc::into_inner(runtime) {
        runtime.shutdown_background();
    }
    Ok(outcome)
}
