//! The assembly: which actor feeds which, and where each of them runs.
//!
//! The chain is built from its end to its beginning, because each actor needs the address of the next:
//! the wiring itself proves the direction. The actors that a write crosses share one arbiter, for a hop
//! within a thread is a hundred times cheaper than one between threads. The watch hub has an arbiter of
//! its own, and so have the lease actor and the compactor: a mailbox loop never yields, and a busy
//! actor starves its neighbours. What members of a cluster do for each other has a fourth.
//!
//! A server with one thread for its connections gives the pipeline that thread for the write path and the watch hub
//! as well: between them and the clients there is then no hop at all, see [`Threads`].

mod assembly;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, ArbiterHandle, Context, System};
use journal::{Journal, ReadError, Reader};
use model::Limits;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::auto_compaction::AutoCompaction;
use crate::clock::LeaseClock;
use crate::cluster::MemberDescription;
use crate::leadership::build_state;
use crate::mailbox::Mailbox;
use crate::member::Member;
use crate::membership::Membership;
use crate::shared_state::SharedState;
use crate::store::Store;
use crate::threads::Threads;
use crate::write_batcher::{Close, WriteBatcher};
use crate::writer::{Alone, WriterPlace};
use assembly::{assemble_alone, assemble_member};

/// What can be chosen about the pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bounds of the rules.
    pub limits: Limits,
    /// Bytes in use beyond which writes are refused; none for no bound.
    pub quota_bytes: Option<u64>,
    /// How often an idle watch that asked for it is told the newest revision.
    pub watch_progress_interval: Duration,
    /// Whether and how history is compacted without being asked.
    pub auto_compaction: AutoCompaction,
    /// Bytes of newest values kept in memory.
    pub value_cache_bytes: usize,
    /// Requests under way at once.
    pub max_in_flight: u64,
    /// Bytes of requests under way at once.
    pub max_in_flight_bytes: u64,
    /// The clock that leases run on.
    pub clock: LeaseClock,
    /// Where actors run.
    pub threads: Threads,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            quota_bytes: Some(2 << 30),
            watch_progress_interval: Duration::from_secs(600),
            auto_compaction: AutoCompaction::Off,
            value_cache_bytes: 1 << 30,
            max_in_flight: 50_000,
            max_in_flight_bytes: 512 << 20,
            clock: LeaseClock::fresh(),
            threads: Threads::Own,
        }
    }
}

/// Why the pipeline did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The log could not be replayed.
    #[error("the log cannot be replayed: {0}")]
    Unreadable(#[from] ReadError),
    /// The operating system refused a thread.
    #[error("the actors' thread did not start: {0}")]
    NoThread(#[from] std::io::Error),
    /// The actors did not come up.
    #[error("the actors did not come up")]
    NoActors,
}

/// Where an actor starts: on an arbiter in production, or where the caller runs, inside a simulation.
pub(crate) trait Place: Clone + Send + Sync + 'static {
    /// Where a log that blocks is written; `alone` tells which writes are.
    fn writer(alone: Alone) -> WriterPlace;

    fn start<A: Actor<Context = Context<A>>>(&self, make: impl FnOnce() -> A + Send + 'static) -> Addr<A>;

    /// Runs something that is not an actor beside them.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

#[derive(Clone)]
struct OnArbiter(ArbiterHandle);

impl Place for OnArbiter {
    fn writer(alone: Alone) -> WriterPlace {
        WriterPlace::Thread(alone)
    }

    fn start<A: Actor<Context = Context<A>>>(&self, make: impl FnOnce() -> A + Send + 'static) -> Addr<A> {
        A::start_in_arbiter(&self.0, |_| make())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

#[derive(Clone)]
struct Here;

impl Place for Here {
    fn writer(_: Alone) -> WriterPlace {
        WriterPlace::Inline
    }

    fn start<A: Actor<Context = Context<A>>>(&self, make: impl FnOnce() -> A + Send + 'static) -> Addr<A> {
        make().start()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        actix_rt::spawn(task);
    }
}

/// The places of the groups of actors.
struct Places<P> {
    write_path: P,
    watch_hub: P,
    timers: P,
    peers: P,
}

/// What the actors are built on.
struct Replayed {
    shared: Arc<SharedState>,
    settings: Settings,
    /// Bytes of the log that hold data.
    in_use: u64,
}

/// How a pipeline ends.
enum Ending {
    /// The batcher of a member that is alone closes the log.
    Alone(Mailbox<WriteBatcher>),
    /// A member of several leaves its office, if it has one.
    Member {
        stopping: watch::Sender<bool>,
        ended: oneshot::Receiver<()>,
    },
}

impl Ending {
    /// Blocks until nothing more is written.
    fn wait(self) {
        match self {
            Self::Alone(batcher) => {
                let (done, closed) = oneshot::channel();
                batcher.tell(Close { done });
                let _gone = closed.blocking_recv();
            }
            Self::Member { stopping, ended } => {
                stopping.send_replace(true);
                let _gone = ended.blocking_recv();
            }
        }
    }
}

/// The running actors and their threads.
pub struct Pipeline {
    stop: Option<oneshot::Sender<()>>,
    ending: Ending,
    thread: Option<JoinHandle<()>>,
}

impl Pipeline {
    /// Replays the log and starts the actors on threads of their own.
    ///
    /// # Errors
    /// A log that cannot be replayed, or an operating system without threads to spare.
    pub fn start(
        journal: impl Journal,
        reader: Arc<dyn Reader>,
        settings: Settings,
    ) -> Result<(Self, Store), StartError> {
        let threads = settings.threads.clone();
        let ground = replay(reader, settings)?;
        Self::run(threads, move |places: &Places<OnArbiter>| {
            let (store, batcher) = assemble_alone(Box::new(journal), ground, places);
            (store, Ending::Alone(batcher))
        })
    }

    /// Replays this member's replica of the log and starts the actors on threads of their own. Also returns
    /// what the other members are to reach, which describes itself like this.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_member(
        membership: Membership,
        description: MemberDescription,
        settings: Settings,
    ) -> Result<(Self, Member), StartError> {
        let threads = settings.threads.clone();
        let ground = replay(membership.log.reader(), settings)?;
        Self::run(threads, move |places: &Places<OnArbiter>| {
            let (member, stopping, ended) = assemble_member(membership, description, ground, places);
            (member, Ending::Member { stopping, ended })
        })
    }

    /// Starts the actors on the thread, and inside the actix system, that the caller runs in.
    ///
    /// # Errors
    /// A log that cannot be replayed.
    pub fn start_here(
        journal: impl Journal,
        reader: Arc<dyn Reader>,
        settings: Settings,
    ) -> Result<Store, StartError> {
        let ground = replay(reader, settings)?;
        let here = Places {
            write_path: Here,
            watch_hub: Here,
            timers: Here,
            peers: Here,
        };
        Ok(assemble_alone(Box::new(journal), ground, &here).0)
    }

    fn run<T: Send + 'static>(
        threads: Threads,
        build: impl FnOnce(&Places<OnArbiter>) -> (T, Ending) + Send + 'static,
    ) -> Result<(Self, T), StartError> {
        let (stop, stopped) = oneshot::channel();
        let (built, ready) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("actors".into())
            .spawn(move || run_actors(&threads, build, &built, stopped))?;
        let (handle, ending) = ready.recv().map_err(|_| StartError::NoActors)?;
        let pipeline = Self {
            stop: Some(stop),
            ending,
            thread: Some(thread),
        };
        Ok((pipeline, handle))
    }

    /// Ends the pipeline: everything admitted is committed and answered, then the log is closed. Blocks, and must not do so
    /// on a thread that actors share.
    pub fn stop(mut self) {
        self.ending.wait();
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Rebuilds the state from the log. Blocks.
fn replay(reader: Arc<dyn Reader>, settings: Settings) -> Result<Replayed, ReadError> {
    let state = build_state(settings.value_cache_bytes, |sink| reader.replay(sink))?;
    let in_use = reader.size().map_or(0, |size| size.in_use);
    let shared = SharedState::new(state, reader);
    Ok(Replayed {
        shared,
        settings,
        in_use,
    })
}

fn run_actors<T>(
    threads: &Threads,
    build: impl FnOnce(&Places<OnArbiter>) -> (T, Ending),
    built: &mpsc::Sender<(T, Ending)>,
    stopped: oneshot::Receiver<()>,
) {
    let system = System::new();
    system.block_on(async move {
        let mut arbiters = Vec::new();
        let mut start = || {
            let arbiter = Arbiter::new();
            let handle = arbiter.handle();
            arbiters.push(arbiter);
            handle
        };
        let [write_path, watch_hub, peers] = match threads {
            Threads::Own => [start(), start(), start()],
            Threads::Shared(arbiter) => [arbiter.clone(), arbiter.clone(), arbiter.clone()],
        };
        let _gone = built.send(build(&Places {
            write_path: OnArbiter(write_path),
            watch_hub: OnArbiter(watch_hub),
            timers: OnArbiter(start()),
            peers: OnArbiter(peers),
        }));
        let _dropped = stopped.await;
        for arbiter in &arbiters {
            arbiter.stop();
        }
        tokio::task::spawn_blocking(move || arbiters.into_iter().for_each(|arbiter| drop(arbiter.join())))
            .await
            .unwrap_or_default();
    });
    System::current().stop();
}
