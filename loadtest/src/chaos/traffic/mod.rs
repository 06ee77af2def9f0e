//! Traffic: many clients and watchers at once, until told to stop; then a quiet end at which everything must
//! come to the same revision.

mod caller;
mod etcd;
mod fates;
mod kubernetes;
mod last;
mod lessee;
mod profile;
mod watcher;

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use fastrand::Rng;
use http::Uri;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::history::{Outcome, Recorder, Request};
use super::nodes::Room;
use crate::client::{Connection, Dialer, WINDOW, address_of};
use caller::Caller;
use lessee::Lessee;
use profile::Profile;

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// All that etcd can do, on ten keys.
    Etcd,
    /// What kube-apiserver does.
    Kubernetes,
}

/// How much traffic, and of what kind.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What clients ask for.
    pub profile: ProfileName,
    /// Clients that stay with one member.
    pub clients: u32,
    /// Clients that go to another member when one does not answer.
    pub roaming: u32,
    /// Calls a second over all of these clients, at most. Those whose leases end come on top, and call seldom.
    pub rate: f64,
    /// How long an answer may take.
    pub limit: Duration,
    /// Mean time between two compactions.
    pub compaction: Duration,
    /// Start of the random choices.
    pub seed: u64,
}

impl Load {
    /// Clients whose leases end: half as many as there are others, and a few at most.
    pub(super) fn lessees(&self) -> u32 {
        lessee::MOST.min((self.clients + self.roaming) / 2)
    }

    /// Mean time between two calls of one client.
    fn pause(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.clients + self.roaming) / self.rate)
    }
}

/// How long watches may take to come to the newest revision in the end.
const SETTLING: Duration = Duration::from_secs(20);

/// A member as clients reach it.
#[derive(Clone)]
pub struct Member {
    /// Its number, from 0.
    pub number: u32,
    /// Where it listens, such as `http://127.0.0.1:2379`.
    pub endpoint: Uri,
    /// How it is reached.
    pub dialer: Dialer,
    /// The network namespace in which it listens; none for this process's own.
    pub room: Option<Arc<Room>>,
}

impl Member {
    /// Connects within a limit.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Connection> {
        let connect = async {
            let address = address_of(&self.endpoint)?;
            let socket = match &self.room {
                None => TcpStream::connect(&address).await?,
                Some(room) => room.connect(address).await?,
            };
            self.dialer.speak(socket, &self.endpoint, WINDOW).await
        };
        tokio::time::timeout(limit, connect)
            .await
            .context("no connection in time")?
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Clients call.
    Traffic,
    /// Clients stop; watchers go on.
    Quiet,
    /// Nobody calls any more, and nothing will be newer than this revision.
    Settling { revision: i64, deadline: Instant },
    /// Everybody goes home.
    Over,
}

/// What all clients and watchers of a run share.
#[derive(Clone)]
struct Run {
    recorder: Recorder,
    shared: Arc<Shared>,
}

struct Shared {
    phase: Mutex<Phase>,
    newest: AtomicI64,
    streams: AtomicU64,
    settled: AtomicUsize,
    clients: AtomicUsize,
}

impl Run {
    fn new(recorder: &Recorder) -> Self {
        Self {
            recorder: recorder.clone(),
            shared: Arc::new(Shared {
                phase: Mutex::new(Phase::Traffic),
                newest: AtomicI64::new(1),
                streams: AtomicU64::new(0),
                settled: AtomicUsize::new(0),
                clients: AtomicUsize::new(0),
            }),
        }
    }

    fn phase(&self) -> Phase {
        *self.shared.phase.lock().expect("nobody panics here")
    }

    fn enter(&self, phase: Phase) {
        *self.shared.phase.lock().expect("nobody panics here") = phase;
    }

    fn newest(&self) -> i64 {
        self.shared.newest.load(Ordering::Relaxed)
    }

    fn saw(&self, revision: i64) {
        self.shared.newest.fetch_max(revision, Ordering::Relaxed);
    }

    fn stream_id(&self) -> u64 {
        self.shared.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// Clients that have not stopped yet.
    fn clients(&self) -> &AtomicUsize {
        &self.shared.clients
    }

    /// One more watcher has come to the end, or has given up.
    fn settled(&self) {
        self.shared.settled.fetch_add(1, Ordering::Relaxed);
    }

    async fn over(&self) {
        while self.phase() != Phase::Over {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Traffic under way in the background.
pub struct Traffic {
    run: Run,
    members: Arc<[Member]>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Traffic {
    /// Starts clients and watchers on a thread of their own.
    ///
    /// # Errors
    ///
    /// If there are no resources for them.
    pub fn start(members: Vec<Member>, load: Load, recorder: &Recorder) -> Result<Self> {
        let run = Run::new(recorder);
        let members: Arc<[Member]> = members.into();
        let runtime = runtime()?;
        let (of_run, of_members) = (run.clone(), Arc::clone(&members));
        let thread = std::thread::Builder::new()
            .name("traffic".to_owned())
            .spawn(move || {
                runtime.block_on(everybody(&of_run, &of_members, load));
                Ok(())
            })?;
        Ok(Self { run, members, thread })
    }

    /// Newest revision that any client was answered with.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.run.newest()
    }

    /// Stops the clients, waits until leases that nobody keeps alive are gone, writes one last key, waits until all watches have come to it, and asks all members for
    /// their hash. Every member must be up.
    ///
    /// # Errors
    ///
    /// If the last key cannot be written, or a member does not answer.
    pub fn finish(self, prefix: ProfileName) -> Result<()> {
        let end = runtime()?.block_on(last::finish(&self.run, &self.members, prefix.prefix()));
        self.abandon()?;
        end
    }

    /// Stops clients and watchers where they are, and waits until what they saw is taken down: the end of a run whose
    /// members are not all there for a better one.
    ///
    /// # Errors
    ///
    /// If the traffic had died.
    pub fn abandon(self) -> Result<()> {
        self.run.enter(Phase::Over);
        self.thread.join().ok().context("the traffic panicked")?
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
}

impl ProfileName {
    fn prefix(self) -> &'static str {
        match self {
            Self::Etcd => etcd::PREFIX,
            Self::Kubernetes => kubernetes::PREFIX,
        }
    }
}

async fn everybody(run: &Run, members: &Arc<[Member]>, load: Load) {
    let mut rng = Rng::with_seed(load.seed);
    let mut tasks = JoinSet::new();
    let clients = load.clients + load.roaming + 1 + load.lessees();
    run.clients().store(clients as usize, Ordering::Relaxed);
    let pause = load.pause();
    for client in 0..load.clients + load.roaming {
        let caller = Caller::new(client, members, &run.recorder, load.limit);
        let caller = if client < load.clients {
            caller
        } else {
            caller.roaming()
        };
        let rng = rng.fork();
        match load.profile {
            ProfileName::Etcd => {
                let profile = etcd::EtcdPutDeleteLease::new(client);
                tasks.spawn(client_of(run.clone(), caller, profile, pause, rng));
            }
            ProfileName::Kubernetes => {
                let profile = kubernetes::Kubernetes::new(client);
                tasks.spawn(client_of(run.clone(), caller, profile, pause, rng));
            }
        }
    }
    spawn_lessees(&mut tasks, run, members, load, &mut rng);
    let compactor = Caller::new(load.clients + load.roaming, members, &run.recorder, load.limit);
    tasks.spawn(compact(
        run.clone(),
        compactor.roaming(),
        load.compaction,
        rng.fork(),
    ));
    for member in members.iter() {
        let prefix = load.profile.prefix();
        tasks.spawn(watcher::collect(run.clone(), member.clone(), prefix));
        for _ in 0..2 {
            tasks.spawn(watcher::roam(run.clone(), member.clone(), prefix, rng.fork()));
        }
    }
    tasks.join_all().await;
}

fn spawn_lessees(tasks: &mut JoinSet<()>, run: &Run, members: &Arc<[Member]>, load: Load, rng: &mut Rng) {
    let first = load.clients + load.roaming + 1;
    for client in first..first + load.lessees() {
        let prefix = load.profile.prefix();
        let caller = Caller::new(client, members, &run.recorder, load.limit).roaming();
        let lessee = Lessee::new(run, client, caller, prefix, rng.fork());
        tasks.spawn(lessee.no_faster_than(load.pause()).live());
    }
}

async fn client_of<P: Profile>(run: Run, mut caller: Caller, mut profile: P, pause: Duration, mut rng: Rng) {
    while run.phase() == Phase::Traffic {
        let due = Instant::now() + pause.mul_f64(rng.f64() * 2.0);
        let request = profile.next(&mut rng);
        if let Some(outcome) = caller.call(request.clone()).await {
            if let Outcome::Answered(answer) = &outcome {
                run.saw(answer.revision);
            }
            profile.learn(&request, &outcome);
        }
        tokio::time::sleep_until(due.into()).await;
    }
    run.clients().fetch_sub(1, Ordering::Relaxed);
}

/// Compacts now and then: somewhere between the last compaction and a little into the future.
async fn compact(run: Run, mut caller: Caller, period: Duration, mut rng: Rng) {
    let mut last = 0;
    while run.phase() == Phase::Traffic {
        tokio::time::sleep(period.mul_f64(rng.f64() * 2.0)).await;
        // As a rule history is kept long enough for watches that look back to find it.
        let newest = run.newest() + if rng.u8(..4) == 0 { 5 } else { -50 };
        let revision = rng.i64(last..=newest.max(last));
        if let Some(Outcome::Answered(_)) = caller.call(Request::Compact { revision }).await {
            last = revision;
        }
    }
    run.clients().fetch_sub(1, Ordering::Relaxed);
}
