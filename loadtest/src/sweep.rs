//! How cost moves with clients and with keys, on two servers in turn: the curves of the report.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cli::{LoadArguments, ScenarioName, SweepArguments};
use crate::client::Dialer;
use crate::compare::{Contender, Extent, Leash, Server, repository, write_json};
use crate::load::Plan;
use crate::report::RunReport;
use crate::scenario;

/// Clients of the runs on the same 10,000 keys.
const CLIENTS: [usize; 6] = [1, 4, 16, 64, 128, 256];

/// Clients that share a connection.
const CLIENTS_OF_A_CONNECTION: usize = 16;

/// Keys of the runs with the same clients.
const KEYS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// What is run with ever more clients.
const BY_CLIENTS: [ScenarioName; 3] = [ScenarioName::Put, ScenarioName::Get, ScenarioName::TxnUpdate];

/// What is run on ever more keys, with clients and connections. The first one writes them; the last one writes more.
const BY_KEYS: [(ScenarioName, (usize, usize)); 4] = [
    (ScenarioName::Get, (64, 4)),
    (ScenarioName::Page, (1, 1)),
    (ScenarioName::Count, (1, 1)),
    (ScenarioName::Put, (64, 4)),
];

/// All runs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// Runs with ever more clients.
    pub(crate) by_clients: Vec<Point>,
    /// Runs on ever more keys.
    pub(crate) by_keys: Vec<Point>,
}

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The server.
    pub(crate) server: String,
    /// What it came to.
    pub(crate) report: RunReport,
}

/// Runs everything and writes it down; false if operations failed.
pub(crate) fn sweep(arguments: &SweepArguments) -> Result<bool> {
    let tour = Tour::new(arguments)?;
    let mut sweep = Sweep::default();
    for scenario in BY_CLIENTS {
        for clients in CLIENTS {
            for contender in &tour.contenders {
                sweep
                    .by_clients
                    .push(tour.with_clients(contender, scenario, clients)?);
            }
        }
    }
    for keys in KEYS.into_iter().filter(|keys| *keys <= tour.most_keys) {
        for contender in &tour.contenders {
            sweep.by_keys.extend(tour.with_keys(contender, keys)?);
        }
    }
    write_json(&arguments.json, &sweep)?;
    let mut all = sweep.by_clients.iter().chain(&sweep.by_keys);
    Ok(all.all(|point| point.report.summary.failed == 0))
}

struct Tour {
    contenders: [Contender; 2],
    data: PathBuf,
    extent: Extent,
    most_keys: usize,
    leash: Arc<Leash>,
}

impl Tour {
    fn new(arguments: &SweepArguments) -> Result<Self> {
        let root = repository();
        let data = arguments.data.clone();
        let data = data.unwrap_or_else(|| root.join(".cache/loadtest"));
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        Ok(Self {
            contenders: [
                Contender::taffrail(arguments.taffrail.as_deref(), &root)?,
                Contender::etcd(arguments.etcd.as_deref(), &root)?,
            ],
            data: fs::canonicalize(data)?,
            extent: Extent::new(arguments.quick, None, arguments.duration),
            most_keys: if arguments.quick { 100_000 } else { 1_000_000 },
            leash: Leash::with_signals()?,
        })
    }

    /// One run on a server of its own.
    fn with_clients(&self, contender: &Contender, scenario: ScenarioName, clients: usize) -> Result<Point> {
        let server = Server::start(contender, &[], &self.data, &self.leash)?;
        let load = LoadArguments {
            clients,
            connections: clients.div_ceil(CLIENTS_OF_A_CONNECTION),
            ..self.extent.load()
        };
        let point = run(contender, &server, scenario, load)?;
        server.stop()?;
        Ok(point)
    }

    /// All runs on the same keys, which are written once.
    fn with_keys(&self, contender: &Contender, keys: usize) -> Result<Vec<Point>> {
        let server = Server::start(contender, &[], &self.data, &self.leash)?;
        let mut points = Vec::new();
        for (scenario, (clients, connections)) in BY_KEYS {
            let load = LoadArguments {
                clients,
                connections,
                keys,
                filled: !points.is_empty(),
                ..self.extent.load()
            };
            points.push(run(contender, &server, scenario, load)?);
        }
        server.stop()?;
        Ok(points)
    }
}

fn run(contender: &Contender, server: &Server, name: ScenarioName, load: LoadArguments) -> Result<Point> {
    let (clients, keys) = (load.clients, load.keys);
    let label = scenario::label(name);
    let plan = Plan {
        endpoints: vec![server.endpoint().clone()],
        dialer: Dialer::default(),
        load,
        server_pids: vec![server.pid()],
        display: false,
    };
    let report = scenario::run(name, &plan);
    let report = report.with_context(|| format!("{label} against {} failed", contender.name))?;
    let rate = report.summary.throughput;
    eprintln!(
        "{label}, {clients} clients, {keys} keys: {} {rate:.0}/s",
        contender.name
    );
    Ok(Point {
        server: contender.name.to_owned(),
        report,
    })
}
