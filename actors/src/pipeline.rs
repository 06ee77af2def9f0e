//! The assembly: which actor feeds which, and where each of them runs.
//!
//! The chain is built from its end to its beginning, because each actor needs the address of the next:
//! the wiring itself proves the direction. The actors that a write crosses share one arbiter, for a hop
//! within a thread is a hundred times cheaper than one between threads. The watch hub has an arbiter of
//! its own, and so have the lease actor and the compactor: a mailbox loop never yields, and a busy
//! actor starves its neighbours.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, ArbiterHandle, Context, System};
use journal::{Journal, ReadError, Reader};
use model::{Limits, State};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::auto_compaction::AutoCompaction;
use crate::batch_meter::BatchMeter;
use crate::clock::LeaseClock;
use crate::compactor::{BeginCompaction, Compactor, CompactorMeter};
use crate::gate::Gate;
use crate::keyspace::{Followers, Keyspace, KeyspaceMeter};
use crate::lease_actor::{BeginLeases, LeaseActor, LeaseMeter};
use crate::mailbox::Mailbox;
use crate::report::{MailboxMeters, Meters};
use crate::revision_allocator::RevisionAllocator;
use crate::router::Router;
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::store::{Addresses, Store};
use crate::watch_hub::{HubMeter, WatchHub};
use crate::write_batcher::{Drain, WriteBatcher};
use crate::writer::{Writer, WriterPlace};

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
pub(crate) trait Place {
    /// Where the log is written.
    const WRITER: WriterPlace;

    fn start<A: Actor<Context = Context<A>>>(&self, make: impl FnOnce() -> A + Send + 'static) -> Addr<A>;
}

struct OnArbiter(ArbiterHandle);

impl Place for OnArbiter {
    const WRITER: WriterPlace = WriterPlace::Thread;

    fn start<A: Actor<Context = Context<A>>>(&self, make: impl FnOnce() -> A + Send + 'static) -> Addr<A> {
        A::start_in_arbiter(&self.0, |_| make())
    }
}

struct Here;

impl Place for Here {
    const WRITER: WriterPlace = WriterPlace::Inline;

    fn start<A: Actor<Context = Context<A>>>(&self, make: impl FnOnce() -> A + Send + 'static) -> Addr<A> {
        make().start()
    }
}

/// The places of the three groups of actors.
struct Places<P> {
    write_path: P,
    watch_hub: P,
    timers: P,
}

/// The running actors and their threads.
pub struct Pipeline {
    stop: Option<oneshot::Sender<()>>,
    write_batcher: Mailbox<WriteBatcher>,
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
        let shared = replay(reader, settings.value_cache_bytes)?;
        let (stop, stopped) = oneshot::channel();
        let (built, ready) = mpsc::channel();
        let run = move || {
            run_actors(
                move |places| assemble(journal, shared, settings, places),
                &built,
                stopped,
            )
        };
        let thread = std::thread::Builder::new().name("actors".into()).spawn(run)?;
        let (store, write_batcher) = ready.recv().map_err(|_| StartError::NoActors)?;
        Ok((
            Self {
                stop: Some(stop),
                write_batcher,
                thread: Some(thread),
            },
            store,
        ))
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
        let shared = replay(reader, settings.value_cache_bytes)?;
        let here = Places {
            write_path: Here,
            watch_hub: Here,
            timers: Here,
        };
        Ok(assemble(journal, shared, settings, &here).0)
    }

    /// Ends the pipeline: everything admitted is committed and answered, then the log is closed.
    pub fn stop(mut self) {
        let (done, drained) = oneshot::channel();
        self.write_batcher.tell(Drain { done });
        let _gone = drained.blocking_recv();
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Rebuilds the state from the log.
fn replay(reader: Arc<dyn Reader>, value_cache_bytes: usize) -> Result<Arc<SharedState>, ReadError> {
    let mut state = State::default();
    reader.replay(&mut |effect| {
        state.apply(&effect);
        state.index_mut().evict(value_cache_bytes, 256);
    })?;
    Ok(SharedState::new(state, reader))
}

type Built = (Store, Mailbox<WriteBatcher>);

fn run_actors(
    build: impl FnOnce(&Places<OnArbiter>) -> Built,
    built: &mpsc::Sender<Built>,
    stopped: oneshot::Receiver<()>,
) {
    let system = System::new();
    system.block_on(async move {
        let arbiters = [Arbiter::new(), Arbiter::new(), Arbiter::new()];
        let [write_path, watch_hub, timers] = arbiters.each_ref().map(|arbiter| OnArbiter(arbiter.handle()));
        let _gone = built.send(build(&Places {
            write_path,
            watch_hub,
            timers,
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

/// Builds the chain back to front.
fn assemble<P: Place>(
    journal: impl Journal,
    shared: Arc<SharedState>,
    settings: Settings,
    places: &Places<P>,
) -> Built {
    let meters = Arc::new(new_meters(&shared, &settings));
    let mailboxes = meters.mailboxes.clone();
    let followers = start_followers(&shared, &settings, &meters, places);

    let (keyspace_shared, keyspace_meter, told) = (
        Arc::clone(&shared),
        Arc::clone(&meters.keyspace),
        followers.clone(),
    );
    let value_cache_bytes = settings.value_cache_bytes;
    let keyspace = Mailbox::new(
        places
            .write_path
            .start(move || Keyspace::new(keyspace_shared, value_cache_bytes, keyspace_meter, told)),
        Arc::clone(&mailboxes.keyspace),
    );

    let (batcher_meter, batches) = (Arc::clone(&mailboxes.write_batcher), Arc::clone(&meters.batches));
    let write_batcher = Mailbox::new(
        places.write_path.start(move || {
            WriteBatcher::new(Writer::new(journal, P::WRITER), batcher_meter, batches, keyspace)
        }),
        Arc::clone(&mailboxes.write_batcher),
    );

    let (allocator_shared, limits, next) = (Arc::clone(&shared), settings.limits, write_batcher.clone());
    let decisions = Arc::clone(&meters.keyspace);
    let allocator = Mailbox::new(
        places
            .write_path
            .start(move || RevisionAllocator::new(allocator_shared, limits, decisions, next)),
        Arc::clone(&mailboxes.revision_allocator),
    );

    let space = Arc::clone(&meters.space);
    let router = Mailbox::new(
        places.write_path.start(move || Router::new(space, allocator)),
        Arc::clone(&mailboxes.router),
    );

    let addresses = Addresses {
        router,
        lease_actor: followers.lease_actor.clone(),
        watch_hub: followers.watch_hub,
        compactor: followers.compactor.clone(),
    };
    let store = Store::new(shared, settings.limits, settings.clock, meters, addresses);
    followers.lease_actor.tell(BeginLeases { store: store.clone() });
    followers.compactor.tell(BeginCompaction { store: store.clone() });
    (store, write_batcher)
}

fn start_followers<P: Place>(
    shared: &Arc<SharedState>,
    settings: &Settings,
    meters: &Meters,
    places: &Places<P>,
) -> Followers {
    let mailboxes = &meters.mailboxes;
    let (hub_shared, interval) = (Arc::clone(shared), settings.watch_progress_interval);
    let (hub, hub_meter) = (Arc::clone(&meters.hub), Arc::clone(&mailboxes.watch_hub));
    let watch_hub = places
        .watch_hub
        .start(move || WatchHub::new(hub_shared, interval, hub, hub_meter));

    let (lease_shared, clock) = (Arc::clone(shared), settings.clock.clone());
    let (leases, lease_meter) = (Arc::clone(&meters.leases), Arc::clone(&mailboxes.lease_actor));
    let lease_actor = places
        .timers
        .start(move || LeaseActor::new(lease_shared, clock, leases, lease_meter));

    let (compactor_shared, space, auto) = (
        Arc::clone(shared),
        Arc::clone(&meters.space),
        settings.auto_compaction.clone(),
    );
    let (compactions, meter) = (Arc::clone(&meters.compactions), Arc::clone(&mailboxes.compactor));
    let compactor = places
        .timers
        .start(move || Compactor::new(compactor_shared, space, auto, compactions, meter));

    Followers {
        watch_hub: Mailbox::new(watch_hub, Arc::clone(&mailboxes.watch_hub)),
        lease_actor: Mailbox::new(lease_actor, Arc::clone(&mailboxes.lease_actor)),
        compactor: Mailbox::new(compactor, Arc::clone(&mailboxes.compactor)),
    }
}

fn new_meters(shared: &SharedState, settings: &Settings) -> Meters {
    let in_use = shared.reader().size().map_or(0, |size| size.in_use);
    let member_id = shared.reader().identity().member_id;
    Meters {
        mailboxes: MailboxMeters::new(),
        gate: Gate::new(settings.max_in_flight, settings.max_in_flight_bytes),
        batches: Arc::new(BatchMeter::default()),
        keyspace: Arc::new(KeyspaceMeter::default()),
        hub: Arc::new(HubMeter::default()),
        leases: Arc::new(LeaseMeter::default()),
        compactions: Arc::new(CompactorMeter::default()),
        space: Arc::new(Space::new(settings.quota_bytes, in_use, member_id)),
    }
}
