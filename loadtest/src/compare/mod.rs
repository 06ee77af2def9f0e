//! Two servers under the same load, in turn, on the same disk; and one alone against fixed limits.

mod cluster;
mod contender;
mod contest;
mod disk;
mod limits;
mod rows;
mod sample;
mod server;
mod stalled;
mod store;
mod table;
mod verdict;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cli::{CompareArguments, ContestArguments};
#[cfg(test)]
use cluster::CLUSTER_ROWS;
pub(crate) use contender::{Contender, etcd_binary, repository};
use contest::Contest;
#[cfg(test)]
use limits::LIMIT_ROWS;
pub(crate) use rows::Extent;
#[cfg(test)]
pub(crate) use sample::Metric;
pub(crate) use sample::Sample;
pub(crate) use server::{Leash, Server};
pub(crate) use table::{figure, labelled};
pub(crate) use verdict::{Bound, Verdict};

/// Everything that a comparison found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// Name of the peer, if there is one.
    pub(crate) peer: Option<String>,
    /// Runs were short, and some rows smaller.
    pub(crate) quick: bool,
    /// The rows.
    pub(crate) rows: Vec<Compared>,
}

/// One row, measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Compared {
    /// Name of the row.
    pub(crate) name: String,
    /// What Taffrail came to, in order.
    pub(crate) taffrail: Vec<Sample>,
    /// What the peer came to, each time right after Taffrail.
    pub(crate) peer: Vec<Sample>,
    /// The figures side by side.
    pub(crate) verdicts: Vec<Verdict>,
}

impl Comparison {
    /// Everything that something is required of.
    pub(crate) fn judged(&self) -> impl Iterator<Item = (&Compared, &Verdict)> {
        let all = self
            .rows
            .iter()
            .flat_map(|row| row.verdicts.iter().map(move |verdict| (row, verdict)));
        all.filter(|(_, verdict)| verdict.met.is_some())
    }

    /// What is not met.
    pub(crate) fn missed(&self) -> impl Iterator<Item = (&Compared, &Verdict)> {
        self.judged().filter(|(_, verdict)| verdict.met == Some(false))
    }
}

/// Runs the comparison and prints it; false if a requirement is not met.
pub(crate) fn compare(arguments: &CompareArguments) -> Result<bool> {
    let contest = match arguments.members {
        1 => Contest::of_one(arguments)?,
        3 => Contest::of_three(arguments)?,
        members => anyhow::bail!("{members} members cannot be compared: 1 or 3 can"),
    };
    report(&contest.run()?, arguments.contest.json.as_deref())
}

/// Measures Taffrail alone and prints it; false if a limit is passed.
pub(crate) fn limits(arguments: &ContestArguments) -> Result<bool> {
    report(&Contest::alone(arguments)?.run()?, arguments.json.as_deref())
}

/// Prints a comparison, writes it down if there is a file for it, and says whether everything is met.
fn report(comparison: &Comparison, json: Option<&Path>) -> Result<bool> {
    print!("{}", table::Table(comparison));
    if let Some(path) = json {
        write_json(path, comparison)?;
    }
    Ok(comparison.missed().next().is_none())
}

/// Writes results down.
pub(crate) fn write_json(path: &Path, results: &impl Serialize) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer(BufWriter::new(file), results)?;
    Ok(())
}
