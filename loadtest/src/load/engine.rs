//! Runs a scenario: threads, connections, clients, and the window in which everything is measured.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::Uri;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::pace::{GRACE, Pace, Schedule, Window};
use super::progress::{Display, Progress};
use super::recorder::Recorder;
use super::{Outcome, Scenario, Summary, Worker};
use crate::cli::LoadArguments;
use crate::client::{CallError, Dialer};
use crate::measure::{Memory, Probe, Usage, fsyncs, reset_peak};

/// How long calls that are in flight at the end may take before they count as unanswered.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// How long before the window servers are asked for their fsyncs, so that the answer costs nothing within it.
const ASKING: Duration = Duration::from_millis(20);

/// What to run against whom.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The servers.
    pub(crate) endpoints: Vec<Uri>,
    /// How they are reached.
    pub(crate) dialer: Dialer,
    /// The load.
    pub(crate) load: LoadArguments,
    /// The servers' processes, if they run on this machine.
    pub(crate) server_pids: Vec<u32>,
    /// Show how far it is on the terminal.
    pub(crate) display: bool,
}

/// Prepares the server, runs the load for warm-up and window, and returns what was seen and used in the window.
/// A scenario that runs out of work ends its window early.
pub(crate) fn run<S: Scenario>(mut scenario: S, plan: &Plan) -> Result<(Summary, Usage)> {
    check(&plan.load)?;
    runtime()?.block_on(async {
        let connection = plan.dialer.open(&plan.endpoints[0]).await?;
        scenario
            .prepare(&connection)
            .await
            .context("preparing the server failed")
    })?;
    let before = memory_before(&plan.server_pids)?;
    let mut crew = Crew::launch(&Arc::new(scenario), plan)?;
    let window = window(&plan.load);
    let _display = Display::start(plan.display, &crew.progress, window);
    crew.start(window, &pace(&window, &plan.load))?;
    let (summary, mut usage) = measure(&crew, &window, plan)?;
    if let Some(server) = &mut usage.server {
        server.memory_before = before;
    }
    Ok((summary, usage))
}

/// What servers hold before there are clients. The most that they ever held counts from here.
fn memory_before(pids: &[u32]) -> Result<Memory> {
    // Where the kernel refuses, the peak is one since the server's start: more, never less.
    pids.iter().for_each(|pid| drop(reset_peak(*pid)));
    Ok(Probe::take(pids)?.server_memory())
}

fn check(load: &LoadArguments) -> Result<()> {
    anyhow::ensure!(
        load.clients > 0 && load.connections > 0 && load.threads > 0,
        "there must be at least one client"
    );
    anyhow::ensure!(
        load.keys >= load.clients,
        "there must be at least as many keys as clients"
    );
    anyhow::ensure!(load.page > 0, "a page must have at least one key");
    anyhow::ensure!(
        load.rate.is_none_or(|rate| rate > 0.0),
        "the rate must be above 0"
    );
    Ok(())
}

/// One thread's runtime: with no second worker there are no wake-ups across threads.
fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
}

fn window(load: &LoadArguments) -> Window {
    let start = Instant::now() + load.warmup;
    Window {
        start,
        end: start + load.duration,
        open_loop: load.rate.is_some(),
    }
}

fn pace(window: &Window, load: &LoadArguments) -> Pace {
    match load.rate {
        None => Pace::Closed { end: window.end },
        Some(rate) => Pace::Open(Schedule::start(window.start - load.warmup, window.end, rate)),
    }
}

fn measure(crew: &Crew, window: &Window, plan: &Plan) -> Result<(Summary, Usage)> {
    let early = window.start - ASKING;
    thread::sleep(early.saturating_duration_since(Instant::now()));
    let synced = fsyncs_now(plan)?;
    thread::sleep(window.start.saturating_duration_since(Instant::now()));
    let before = Probe::take(&plan.server_pids)?;
    let mut recorders = crew.results_until(window.end)?;
    let mut usage = Probe::take(&plan.server_pids)?.since(&before);
    usage.fsyncs = synced
        .zip(fsyncs_now(plan)?)
        .map(|(before, now)| now.saturating_sub(before));
    recorders.extend(crew.other_results(recorders.len())?);
    let mut total = Recorder::default();
    recorders.iter().for_each(|recorder| total.merge(recorder));
    Ok((total.summary(usage.wall), usage))
}

fn fsyncs_now(plan: &Plan) -> Result<Option<u64>> {
    Ok(runtime()?.block_on(fsyncs(&plan.dialer, &plan.endpoints)))
}

/// All threads of a run.
struct Crew {
    starters: Vec<oneshot::Sender<(Window, Pace)>>,
    results: Receiver<Recorder>,
    size: usize,
    progress: Arc<Progress>,
}

impl Crew {
    /// Starts the threads and waits until each has its clients ready.
    fn launch<S: Scenario>(scenario: &Arc<S>, plan: &Plan) -> Result<Self> {
        let size = plan
            .load
            .threads
            .min(plan.load.connections)
            .min(plan.load.clients);
        let (ready, readiness) = channel();
        let (result, results) = channel();
        let progress = Arc::<Progress>::default();
        let starters = (0..size).map(|index| {
            let (starter, start) = oneshot::channel();
            let post = Post {
                index,
                size,
                ready: ready.clone(),
                start,
                result: result.clone(),
                progress: Arc::clone(&progress),
            };
            let (scenario, plan) = (Arc::clone(scenario), plan.clone());
            thread::spawn(move || post.man(&*scenario, &plan));
            starter
        });
        let starters = starters.collect();
        for _ in 0..size {
            readiness.recv()?.context("a client could not get ready")?;
        }
        Ok(Self {
            starters,
            results,
            size,
            progress,
        })
    }

    fn start(&mut self, window: Window, pace: &Pace) -> Result<()> {
        for starter in self.starters.drain(..) {
            starter
                .send((window, pace.clone()))
                .ok()
                .context("a load thread died")?;
        }
        Ok(())
    }

    /// The results of threads that end before `end`. Returns early if all do.
    fn results_until(&self, end: Instant) -> Result<Vec<Recorder>> {
        let mut results = Vec::new();
        while results.len() < self.size {
            match self
                .results
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(result) => results.push(result),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("a load thread died"),
            }
        }
        Ok(results)
    }

    /// The results that are still out.
    fn other_results(&self, received: usize) -> Result<Vec<Recorder>> {
        (received..self.size)
            .map(|_| self.results.recv().context("a load thread died"))
            .collect()
    }
}

/// One thread with its connections and clients.
struct Post {
    index: usize,
    size: usize,
    ready: Sender<Result<()>>,
    start: oneshot::Receiver<(Window, Pace)>,
    result: Sender<Recorder>,
    progress: Arc<Progress>,
}

impl Post {
    fn man<S: Scenario>(self, scenario: &S, plan: &Plan) {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => return drop(self.ready.send(Err(error))),
        };
        runtime.block_on(async {
            let workers = match self.workers(scenario, plan).await {
                Ok(workers) => workers,
                Err(error) => return drop(self.ready.send(Err(error))),
            };
            // Nobody listens any more if another thread has failed to get ready; then there is no start either.
            drop(self.ready.send(Ok(())));
            if let Ok((window, pace)) = self.start.await {
                drop(
                    self.result
                        .send(work(workers, window, pace, &self.progress).await),
                );
            }
        });
    }

    /// Opens this thread's share of the connections and makes its share of the clients.
    async fn workers<S: Scenario>(&self, scenario: &S, plan: &Plan) -> Result<Vec<S::Worker>> {
        let mut connections = Vec::new();
        for number in (self.index..plan.load.connections).step_by(self.size) {
            connections.push(
                plan.dialer
                    .open(&plan.endpoints[number % plan.endpoints.len()])
                    .await?,
            );
        }
        let mut workers = Vec::new();
        for (turn, client) in (self.index..plan.load.clients).step_by(self.size).enumerate() {
            let lines = connections.len();
            connections.rotate_left(usize::from(turn > 0) % lines);
            workers.push(scenario.worker(client, &connections).await?);
        }
        Ok(workers)
    }
}

/// Runs all clients of a thread until they have no more to do.
async fn work<W: Worker>(workers: Vec<W>, window: Window, pace: Pace, progress: &Arc<Progress>) -> Recorder {
    let recorder = Arc::new(Mutex::new(Recorder::default()));
    let mut running = JoinSet::new();
    for worker in workers {
        let notes = Notes {
            recorder: Arc::clone(&recorder),
            progress: Arc::clone(progress),
        };
        running.spawn(client(worker, pace.clone(), window, notes));
    }
    let allowance = if window.open_loop { GRACE } else { Duration::ZERO };
    let deadline = window.end + allowance + LAST_ANSWERS;
    let finished = tokio::time::timeout_at(deadline.into(), async {
        while running.join_next().await.is_some() {}
    });
    let in_time = finished.await.is_ok();
    let mut recorder = recorder.lock().expect("no client panics").clone();
    if !in_time {
        (0..running.len()).for_each(|_| recorder.record_error(&CallError::Wrong("no answer".to_owned())));
    }
    recorder
}

/// Where the clients of a thread note what they see.
struct Notes {
    recorder: Arc<Mutex<Recorder>>,
    progress: Arc<Progress>,
}

/// One client. Its connection's end is its own; any other error is noted, and the next operation is tried.
async fn client<W: Worker>(mut worker: W, pace: Pace, window: Window, notes: Notes) {
    let pace = match worker.is_paced() {
        true => pace,
        false => Pace::Closed { end: window.end },
    };
    while let Some(intended) = pace.next().await {
        let outcome = worker.step_due(intended).await;
        let finished = Instant::now();
        let mut recorder = notes.recorder.lock().expect("no client panics");
        match outcome {
            Ok(Outcome::Done(kind)) => {
                notes.progress.done(1);
                recorder.record(&window, kind, intended, finished);
            }
            Ok(Outcome::Seen(kind, moments)) => {
                notes.progress.done(moments.len());
                moments
                    .iter()
                    .for_each(|seen| recorder.record(&window, kind, intended, *seen));
            }
            Ok(Outcome::Due(kind, moments)) => {
                notes.progress.done(moments.len());
                moments
                    .iter()
                    .for_each(|(due, seen)| recorder.record(&window, kind, *due, *seen));
            }
            Ok(Outcome::Exhausted) => return,
            Err(error) => {
                notes.progress.failed();
                recorder.record_error(&error);
                if matches!(error, CallError::Transport(_)) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Succeeds so many times, then does as it is told.
    struct Puppet {
        successes: usize,
        then: fn() -> Result<Outcome, CallError>,
    }

    impl Worker for Puppet {
        async fn step(&mut self) -> Result<Outcome, CallError> {
            tokio::task::yield_now().await;
            match self.successes.checked_sub(1) {
                Some(left) => self.successes = left,
                None => return (self.then)(),
            }
            Ok(Outcome::Done("step"))
        }
    }

    async fn run(then: fn() -> Result<Outcome, CallError>, milliseconds: u64) -> Summary {
        let start = Instant::now();
        let window = Window {
            start,
            end: start + Duration::from_millis(milliseconds),
            open_loop: false,
        };
        let workers = (0..3).map(|_| Puppet { successes: 5, then }).collect();
        let recorder = work(workers, window, Pace::Closed { end: window.end }, &Arc::default()).await;
        recorder.summary(Duration::from_secs(1))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn clients_that_run_out_of_work_end_the_run_early() {
        let begun = Instant::now();
        let summary = run(|| Ok(Outcome::Exhausted), 30_000).await;
        assert_eq!((summary.completed, summary.failed), (15, 0));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_lost_connection_ends_its_clients_and_any_other_error_does_not() {
        let lost = run(|| Err(CallError::Transport(h2::Reason::CANCEL.into())), 30_000).await;
        assert_eq!((lost.completed, lost.failed), (15, 3));
        let wrong = run(|| Err(CallError::Wrong("a key is missing".to_owned())), 20).await;
        assert!(wrong.completed == 15 && wrong.failed > 3, "{wrong:?}");
    }

    /// Does a thousand steps at its own pace.
    struct Unhurried(usize);

    impl Worker for Unhurried {
        async fn step(&mut self) -> Result<Outcome, CallError> {
            tokio::task::yield_now().await;
            self.0 += 1;
            Ok(if self.0 > 1000 {
                Outcome::Exhausted
            } else {
                Outcome::Done("step")
            })
        }

        fn is_paced(&self) -> bool {
            false
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_has_a_pace_of_its_own_takes_nothing_of_the_others() {
        let start = Instant::now();
        let window = Window {
            start,
            end: start + Duration::from_secs(600),
            open_loop: true,
        };
        let pace = Pace::Open(Schedule::start(start, window.end, 0.001));
        let recorder = work(vec![Unhurried(0)], window, pace, &Arc::default()).await;
        assert_eq!(recorder.summary(Duration::from_secs(1)).completed, 1000);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn every_event_that_watchers_see_is_an_operation() {
        let window = Window {
            start: Instant::now(),
            end: Instant::now() + Duration::from_millis(20),
            open_loop: false,
        };
        let seen = || Ok(Outcome::Seen("event", vec![Instant::now(); 100]));
        let workers = vec![Puppet {
            successes: 0,
            then: seen,
        }];
        let recorder = work(workers, window, Pace::Closed { end: window.end }, &Arc::default()).await;
        let summary = recorder.summary(Duration::from_secs(1));
        assert!(
            summary.completed >= 100 && summary.completed.is_multiple_of(100),
            "{summary:?}"
        );
    }
}
