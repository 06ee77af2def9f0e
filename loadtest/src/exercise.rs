//! Short runs of single scenarios on few keys: what shows that harness and server understand each other. Nothing is
//! measured by them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use http::Uri;

use crate::cli::{LoadArguments, ScenarioName};
use crate::client::Dialer;
use crate::load::Plan;
use crate::scenario;

/// Keys or leases at the start. Scenarios that use them up end with the last.
pub const KEYS: usize = 60;

/// What a short run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exercise {
    /// Operations that were done within its time.
    pub operations: u64,
    /// The same by kind.
    pub kinds: BTreeMap<String, u64>,
    /// What failed, and how often.
    pub errors: BTreeMap<String, u64>,
}

/// The names of all scenarios, as the command line has them.
#[must_use]
pub fn scenarios() -> Vec<String> {
    let all = ScenarioName::value_variants().iter();
    all.map(|name| scenario::label(*name)).collect()
}

/// Runs a scenario on a server for this long, or until it ends by itself, below a prefix of its own, which is emptied
/// first.
///
/// # Errors
///
/// If there is no such scenario, the server does not answer, or refuses what the scenario starts from.
pub fn run(name: &str, endpoint: &Uri, duration: Duration) -> Result<Exercise> {
    let known = ScenarioName::from_str(name, false).ok();
    let plan = Plan {
        endpoints: vec![endpoint.clone()],
        dialer: Dialer::default(),
        load: load(name, duration),
        server_pids: Vec::new(),
        display: false,
    };
    let report = scenario::run(known.with_context(|| format!("no scenario {name:?}"))?, &plan)?;
    let kinds = report.summary.kinds.into_iter();
    Ok(Exercise {
        operations: report.summary.completed,
        kinds: kinds.map(|(kind, latency)| (kind, latency.samples)).collect(),
        errors: report.summary.errors,
    })
}

/// Little of everything, but more than one of each.
fn load(name: &str, duration: Duration) -> LoadArguments {
    LoadArguments {
        clients: 4,
        connections: 2,
        duration,
        warmup: Duration::ZERO,
        value_size: 100,
        keys: KEYS,
        revisions: 2,
        nodes: 8,
        page: 25,
        ttl: 10,
        watchers: 3,
        prefix: format!("/exercise/{name}"),
        ..LoadArguments::default()
    }
}
