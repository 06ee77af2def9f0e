//! One run: a cluster, traffic, faults, and the checks.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::faults::{self, CLOCK, Fault, Kind};
use super::history::{History, Recorder};
use super::linearizability::Verdict;
use super::nodes::{Cluster, Comfort, Program};
use super::power::{Loss, Power};
use super::report::{Amount, Report};
use super::traffic::{Load, Traffic};

/// MiB of each node's disk where disks are to be full.
const DISK: u32 = 400;
/// Losses of power of which one must have taken something: nodes write all the time.
const LOSSES: usize = 8;
/// How many times longer than planned traffic may flow until there is enough of it.
const LONGER: u32 = 6;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program under test.
    pub program: Program,
    /// How many nodes.
    pub nodes: usize,
    /// How long traffic flows.
    pub duration: Duration,
    /// What happens meanwhile.
    pub faults: Vec<Kind>,
    /// What disks keep when they lose their power, if they are to.
    pub power: Power,
    /// The traffic.
    pub load: Load,
    /// Folder for data directories, logs and the history.
    pub folder: PathBuf,
    /// Start of the random choices of the faults.
    pub seed: u64,
}

/// What a run did, and what the checks found.
#[derive(Debug)]
pub struct Outcome {
    /// The checks.
    pub report: Report,
    /// The faults that were done and put right.
    pub faults: Vec<Fault>,
    /// What losses of power took.
    pub losses: Vec<Loss>,
    /// How long traffic flowed.
    pub duration: Duration,
    /// Too little happened for the checks to mean anything: why.
    pub too_little: Vec<String>,
    /// Where the history was written, if something is wrong or too little happened.
    pub history: Option<PathBuf>,
}

impl Outcome {
    /// Whether everything holds, and enough happened.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.report.holds() && self.too_little.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.report.amount.calls as f64 / self.duration.as_secs_f64();
        writeln!(out, "{} faults: {:?}", self.faults.len(), self.faults)?;
        if !self.losses.is_empty() {
            let sum: Loss = self.losses.iter().copied().sum();
            writeln!(out, "{} disks lost power: {sum}", self.losses.len())?;
        }
        write!(
            out,
            "{:.1?} of traffic, {calls:.0} calls/s\n{}",
            self.duration, self.report
        )?;
        for reason in &self.too_little {
            writeln!(out, "TOO LITTLE HAPPENED: {reason}")?;
        }
        match &self.history {
            Some(path) => writeln!(out, "the history is in {}", path.display()),
            None => Ok(()),
        }
    }
}

/// Runs a plan in an empty folder. If everything holds, and enough happened, the folder is removed; otherwise data
/// directories and logs stay there, with the history beside them.
///
/// # Errors
///
/// If nodes do not start or do not come back, a fault cannot be done, or a watch or a hash is missing in the end. What
/// was seen until then is told like all else that is wrong: the error says where.
pub fn run(plan: &Plan) -> Result<Outcome> {
    anyhow::ensure!(
        !plan.folder.exists(),
        "{} is there already",
        plan.folder.display()
    );
    let recorder = Recorder::default();
    recorder.note(format!("{plan:?}"));
    let hurt = hurt(plan, &recorder);
    let history = recorder.take();
    let mut outcome = match hurt {
        Ok(harm) => judge(plan, harm, &history),
        Err(error) => return Err(with_evidence(error, &plan.folder, &history)),
    };
    match outcome.holds() {
        true => std::fs::remove_dir_all(&plan.folder)?,
        false => outcome.history = Some(keep(&plan.folder, &history, Some(&outcome.report))?),
    }
    Ok(outcome)
}

/// What a run to the end came to.
fn judge(plan: &Plan, harm: Harm, history: &History) -> Outcome {
    let Harm {
        faults,
        losses,
        duration,
    } = harm;
    let report = super::check(history);
    let mut too_little = too_little(plan, &report.amount, &faults);
    if losses.len() >= LOSSES && !losses.iter().any(|loss| loss.is_felt()) {
        too_little.push(format!("{} losses of power took nothing", losses.len()));
    }
    Outcome {
        report,
        faults,
        losses,
        duration,
        too_little,
        history: None,
    }
}

/// Why a run did not come to its end, with where the history of that is. A run that never began has no folder.
fn with_evidence(error: anyhow::Error, folder: &Path, history: &History) -> anyhow::Error {
    if !folder.exists() {
        return error;
    }
    match keep(folder, history, None) {
        Ok(path) => error.context(format!("the history is in {}", path.display())),
        Err(other) => error.context(format!("and the history is lost: {other:#}")),
    }
}

/// What was done to a cluster, and for how long.
struct Harm {
    faults: Vec<Fault>,
    losses: Vec<Loss>,
    duration: Duration,
}

/// Traffic with faults, from the start of the cluster to its end.
fn hurt(plan: &Plan, recorder: &Recorder) -> Result<Harm> {
    let program = with_clock(plan)?;
    let wants = |kind| plan.faults.contains(&kind);
    let comfort = Comfort {
        nodes: plan.nodes,
        rooms: wants(Kind::Partition) || wants(Kind::Slow),
        disk: if wants(Kind::Disk) { DISK } else { 0 },
        power: wants(Kind::Power).then_some(plan.power),
        seed: plan.seed,
    };
    let mut cluster = Cluster::start(&program, &plan.folder, comfort)?;
    let traffic = Traffic::start(cluster.members(), plan.load, recorder)?;
    let begun = Instant::now();
    let planned = faults::plan(&plan.faults, plan.nodes, plan.seed);
    let (end, least) = (begun + plan.duration, plan.faults.len());
    let faults = match faults::run(&mut cluster, &planned, recorder, end, least) {
        Ok(faults) => faults,
        Err(error) => {
            traffic.abandon()?;
            return Err(error);
        }
    };
    wait_for_calls(plan, recorder, begun);
    let duration = begun.elapsed();
    traffic.finish(plan.load.profile)?;
    Ok(Harm {
        faults,
        losses: cluster.losses().to_vec(),
        duration,
    })
}

/// On a machine that is busy, traffic goes on until there is enough of it to mean something, within reason.
fn wait_for_calls(plan: &Plan, recorder: &Recorder, begun: Instant) {
    let (calls, writes) = least(plan);
    let enough = |amount: Amount| amount.answered >= calls && amount.writes >= writes;
    while !enough(recorder.amount()) && begun.elapsed() < plan.duration * LONGER {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Where clocks are to jump, nodes get theirs through libfaketime.
fn with_clock(plan: &Plan) -> Result<Program> {
    if !plan.faults.contains(&Kind::Clock) {
        return Ok(plan.program.clone());
    }
    anyhow::ensure!(
        calls_the_library(&plan.program.binary)?,
        "the clock of {} cannot be set: it does not call the C library",
        plan.program.name
    );
    let library = faketime().context("clocks need libfaketime (Debian's package of that name)")?;
    for node in 0..plan.nodes {
        let folder = plan.folder.join(format!("node{node}"));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(CLOCK), "+0s\n")?;
    }
    let file = format!("{{folder}}/{CLOCK}");
    let program = plan.program.clone();
    Ok(program
        .with_environment("LD_PRELOAD", &library.display().to_string())
        .with_environment("FAKETIME_TIMESTAMP_FILE", &file)
        .with_environment("FAKETIME_CACHE_DURATION", "1")
        .with_environment("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
}

/// Whether a program is linked with the C library when it starts: it then names the linker.
fn calls_the_library(binary: &Path) -> Result<bool> {
    let head = std::fs::read(binary)?;
    let head = &head[..head.len().min(1 << 16)];
    Ok(head.windows(9).any(|name| name == b"/ld-linux"))
}

fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found = libraries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.is_file())
}

/// Calls that must have been answered, and writes among them.
fn least(plan: &Plan) -> (usize, usize) {
    let seconds = usize::try_from(plan.duration.as_secs()).unwrap_or(usize::MAX);
    (seconds.saturating_mul(10), seconds.saturating_mul(3))
}

/// What must have happened for the checks to mean something.
fn too_little(plan: &Plan, amount: &Amount, faults: &[Fault]) -> Vec<String> {
    let (calls, writes) = least(plan);
    let lessees = plan.load.lessees() as usize;
    let least = [
        ("calls answered", amount.answered, calls),
        ("writes", amount.writes, writes),
        ("events", amount.events, writes),
        ("notices of progress", amount.notices, writes / 3),
        ("keep-alives", amount.renewals, lessees * calls / 60),
        (
            "leases that ended by themselves",
            amount.ended,
            lessees * calls / 300,
        ),
        ("faults", faults.len(), plan.faults.len()),
    ];
    let missing = least.into_iter().filter(|(_, number, least)| number < least);
    missing
        .map(|(name, number, least)| format!("{number} {name}, not {least}"))
        .collect()
}

/// Writes the history, and the piece of it that shows what is wrong, if it was checked.
fn keep(folder: &Path, history: &History, report: Option<&Report>) -> Result<PathBuf> {
    let path = folder.join("history.jsonl");
    history.write(File::create(&path)?)?;
    if let Some(Verdict::NotLinearizable(explanation)) = report.map(|report| &report.verdict)
        && let Some(window) = &explanation.window
    {
        window.write(File::create(folder.join("window.jsonl"))?)?;
    }
    Ok(path)
}
