//! `loadtest chaos` on the command line.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};

use super::faults::Kind;
use super::history::History;
use super::nodes::Program;
use super::power::Power;
use super::run::{Plan, run};
use super::traffic::{Load, ProfileName};
use crate::cli::duration;
use crate::compare::{etcd_binary, repository};

/// What `loadtest chaos` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ChaosCommand {
    /// Start nodes, hurt them under traffic, and check everything that clients saw.
    Run(ChaosArguments),
    /// Check a history that was written before.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// The program under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetName {
    /// Taffrail.
    Taffrail,
    /// etcd.
    Etcd,
}

/// How to run.
#[derive(Debug, Args)]
pub(crate) struct ChaosArguments {
    /// The program under test.
    #[arg(long, value_enum, default_value = "taffrail")]
    target: TargetName,
    /// Its binary [default: target/release/taffrail, or the newest .cache/peers/etcd-*/etcd].
    #[arg(long)]
    bin: Option<PathBuf>,
    /// How many nodes.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// How long to run. Every round begins with empty data directories.
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// How long a round lasts at most.
    #[arg(long, default_value = "60s", value_parser = duration)]
    round: Duration,
    /// What happens to nodes. Network, full-disk and power faults need root, power /dev/fuse; clocks need libfaketime.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kill,pause")]
    faults: Vec<Kind>,
    /// What disks keep when they lose their power.
    #[arg(long, value_enum, default_value = "journal")]
    power: Power,
    /// What clients ask for [default: by turns].
    #[arg(long, value_enum)]
    profile: Option<ProfileName>,
    /// Calls a second over all clients, at most.
    #[arg(long, default_value_t = 400.0)]
    rate: f64,
    /// Clients that stay with one node.
    #[arg(long, default_value_t = 6)]
    clients: u32,
    /// Clients that go to another node when one does not answer.
    #[arg(long, default_value_t = 2)]
    roaming: u32,
    /// How long an answer may take.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    timeout: Duration,
    /// Mean time between two compactions.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    compaction: Duration,
    /// Start of the random choices [default: from the clock]. It is printed, and repeats them.
    #[arg(long)]
    seed: Option<u64>,
    /// Another argument for every node; may be given more than once. {name}, {data}, {folder}, {client_url},
    /// {peer_url} and {cluster} stand for the node's own.
    #[arg(long = "node-argument", allow_hyphen_values = true)]
    node_arguments: Vec<String>,
    /// Folder for data directories, logs and failing histories [default: .cache/chaos in the repository].
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Does it; false if something is wrong.
pub(crate) fn command(command: ChaosCommand) -> Result<bool> {
    match command {
        ChaosCommand::Run(arguments) => rounds(&arguments),
        ChaosCommand::Check { file } => {
            let file = File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
            let report = super::check(&History::read(file)?);
            print!("{report}");
            Ok(report.holds())
        }
    }
}

fn rounds(arguments: &ChaosArguments) -> Result<bool> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut left = arguments.duration;
    for round in 0.. {
        let plan = plan(arguments, seed + round, left.min(arguments.round))?;
        println!(
            "round {round}: {} nodes of {}, {:?} traffic for {:?}, faults {:?}, seed {}",
            plan.nodes, plan.program.name, plan.load.profile, plan.duration, plan.faults, plan.seed
        );
        let outcome = run(&plan).with_context(|| format!("seed {}", plan.seed))?;
        println!("{outcome}");
        if !outcome.holds() {
            println!("FAILED with seed {}", plan.seed);
            return Ok(false);
        }
        left -= plan.duration;
        if left.is_zero() {
            break;
        }
    }
    println!("everything holds");
    Ok(true)
}

fn plan(arguments: &ChaosArguments, seed: u64, duration: Duration) -> Result<Plan> {
    let root = repository();
    let program = match (arguments.target, &arguments.bin) {
        (TargetName::Taffrail, Some(binary)) => Program::taffrail(binary, arguments.nodes)?,
        (TargetName::Taffrail, None) => {
            Program::taffrail(&root.join("target/release/taffrail"), arguments.nodes)?
        }
        (TargetName::Etcd, binary) => Program::etcd(&etcd_binary(binary.as_deref(), &root)?)?,
    };
    let by_turns = if seed.is_multiple_of(2) {
        ProfileName::Etcd
    } else {
        ProfileName::Kubernetes
    };
    let data = arguments
        .data
        .clone()
        .unwrap_or_else(|| root.join(".cache/chaos"));
    Ok(Plan {
        nodes: arguments.nodes,
        duration,
        faults: arguments.faults.clone(),
        power: arguments.power,
        load: Load {
            profile: arguments.profile.unwrap_or(by_turns),
            clients: arguments.clients,
            roaming: arguments.roaming,
            rate: arguments.rate,
            limit: arguments.timeout,
            compaction: arguments.compaction,
            seed,
        },
        folder: data.join(format!("{}-{}-{seed}", program.name, std::process::id())),
        seed,
        program: program.with_arguments(arguments.node_arguments.iter().cloned()),
    })
}
