//! Two servers under the same load, in turn, on the same disk.

mod disk;
mod peer;
mod rows;
mod server;
mod table;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::CompareArguments;
use crate::load::Plan;
use crate::report::RunReport;
use crate::scenario;
use peer::Peer;
pub(crate) use peer::{etcd_binary, repository};
use rows::{Extent, ROWS, Row};
use server::{Leash, Server};
use verdict::Verdict;

/// Everything that a comparison found.
#[derive(Debug, Serialize)]
struct Comparison {
    /// Name of the peer.
    peer: &'static str,
    /// What one write with its fdatasync costs on this disk, in microseconds: the median.
    disk_sync_us: f64,
    /// The rows.
    rows: Vec<Compared>,
}

/// One row, measured.
#[derive(Debug, Serialize)]
struct Compared {
    /// Name of the row.
    name: &'static str,
    /// The runs against Taffrail, in order.
    taffrail: Vec<RunReport>,
    /// The runs against the peer, each taken right after Taffrail's.
    peer: Vec<RunReport>,
    /// The figures side by side.
    verdicts: Vec<Verdict>,
}

/// Runs the comparison and prints it; false if a requirement is not met.
pub(crate) fn compare(arguments: &CompareArguments) -> Result<bool> {
    let contest = Contest::new(arguments)?;
    let disk_sync_us = disk::median_sync(&contest.data)?.as_secs_f64() * 1e6;
    let rows = contest
        .rows
        .iter()
        .map(|row| contest.measure(row))
        .collect::<Result<_>>()?;
    let comparison = Comparison {
        peer: contest.peer.name,
        disk_sync_us,
        rows,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&comparison)?);
    } else {
        print!("{}", table::Table(&comparison));
    }
    Ok(comparison
        .rows
        .iter()
        .flat_map(|row| &row.verdicts)
        .all(|verdict| verdict.met != Some(false)))
}

/// Who meets whom, over what.
struct Contest {
    taffrail: Peer,
    peer: Peer,
    data: PathBuf,
    rows: Vec<&'static Row>,
    extent: Extent,
    leash: Arc<Leash>,
}

impl Contest {
    fn new(arguments: &CompareArguments) -> Result<Self> {
        let root = repository();
        let data = arguments
            .data
            .clone()
            .unwrap_or_else(|| root.join(".cache/loadtest"));
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        Ok(Self {
            taffrail: Peer::taffrail(arguments.taffrail.as_deref(), &root)?,
            peer: Peer::etcd(arguments.etcd.as_deref(), &root)?,
            data: fs::canonicalize(data)?,
            rows: chosen(arguments)?,
            extent: Extent::new(arguments.quick, arguments.repeats, arguments.duration),
            leash: Leash::with_signals()?,
        })
    }

    /// Measures one row: both servers in turn, as often as asked for, each time from an empty data directory.
    fn measure(&self, row: &'static Row) -> Result<Compared> {
        let (mut taffrail, mut peer) = (Vec::new(), Vec::new());
        for repeat in 1..=self.extent.repeats {
            eprint!("{:<22} {repeat}/{}", row.name, self.extent.repeats);
            taffrail.push(self.run(&self.taffrail, row)?);
            peer.push(self.run(&self.peer, row)?);
            eprintln!();
        }
        let verdicts = verdict::verdicts(row.required, &taffrail, &peer);
        Ok(Compared {
            name: row.name,
            taffrail,
            peer,
            verdicts,
        })
    }

    fn run(&self, peer: &Peer, row: &Row) -> Result<RunReport> {
        let server = Server::start(peer, &self.data, &self.leash)?;
        let load = row.load(self.extent);
        let plan = Plan {
            endpoints: vec![server.endpoint().clone()],
            load,
            server_pid: Some(server.pid()),
        };
        let report = scenario::run(row.scenario, &plan);
        let report = report.with_context(|| format!("{} against {} failed", row.name, peer.name))?;
        eprint!("  {} {:.0}/s", peer.name, report.summary.throughput);
        server.stop()?;
        Ok(report)
    }
}

/// The rows that were asked for.
fn chosen(arguments: &CompareArguments) -> Result<Vec<&'static Row>> {
    for name in &arguments.rows {
        let known = || ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        anyhow::ensure!(
            ROWS.iter().any(|row| row.name == name),
            "no row {name:?}; there are: {}",
            known()
        );
    }
    let wanted = |row: &&Row| match arguments.rows.is_empty() {
        true => row.quick || !arguments.quick,
        false => arguments.rows.iter().any(|name| name == row.name),
    };
    Ok(ROWS.iter().filter(wanted).collect())
}

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
