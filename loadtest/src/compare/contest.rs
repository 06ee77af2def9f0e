//! Who is measured, on what, how often, and in what order.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::cluster::{self, CLUSTER_ROWS, Certificates};
use super::contender::{Contender, repository};
use super::limits::LIMIT_ROWS;
use super::rows::{Extent, Load, ROWS, Row, What};
use super::sample::{Metric, Sample};
use super::server::{Leash, Server};
use super::store::{self, Site};
use super::verdict::{Against, Evidence, verdicts};
use super::{Compared, Comparison, disk, stalled};
use crate::cli::{CompareArguments, ContestArguments, ScenarioName};
use crate::client::Dialer;
use crate::load::Plan;
use crate::scenario;

/// Who meets whom, over what.
pub(super) struct Contest {
    taffrail: Contender,
    peer: Option<Contender>,
    data: PathBuf,
    rows: Vec<&'static Row>,
    extent: Extent,
    leash: Arc<Leash>,
    certificates: Certificates,
}

impl Contest {
    /// Taffrail and a peer, each alone on its data directory.
    pub(super) fn of_one(arguments: &CompareArguments) -> Result<Self> {
        let peer = Contender::etcd(arguments.etcd.as_deref(), &repository())?;
        Self::new(&arguments.contest, Some(peer), &ROWS)
    }

    /// Taffrail and a peer, three members each.
    pub(super) fn of_three(arguments: &CompareArguments) -> Result<Self> {
        let peer = Contender::etcd(arguments.etcd.as_deref(), &repository())?;
        Self::new(&arguments.contest, Some(peer), &CLUSTER_ROWS)
    }

    /// Taffrail without a peer.
    pub(super) fn alone(arguments: &ContestArguments) -> Result<Self> {
        Self::new(arguments, None, &LIMIT_ROWS)
    }

    fn new(arguments: &ContestArguments, peer: Option<Contender>, rows: &'static [Row]) -> Result<Self> {
        let root = repository();
        let data = arguments
            .data
            .clone()
            .unwrap_or_else(|| root.join(".cache/loadtest"));
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        Ok(Self {
            taffrail: Contender::taffrail(arguments.taffrail.as_deref(), &root)?,
            peer,
            data: fs::canonicalize(data)?,
            rows: chosen(rows, &arguments.rows, arguments.quick)?,
            extent: Extent::new(arguments.quick, arguments.repeats, arguments.duration),
            leash: Leash::with_signals()?,
            certificates: Certificates::new()?,
        })
    }

    /// Measures all rows.
    pub(super) fn run(&self) -> Result<Comparison> {
        let mut own = BTreeMap::new();
        let mut rows = Vec::new();
        for row in &self.rows {
            let (taffrail, peer) = self.measure(row);
            let evidence = Evidence {
                taffrail: &taffrail,
                peer: &peer,
                own: &own,
            };
            let verdicts = verdicts(row.required, &evidence);
            own.insert(row.name, taffrail.clone());
            rows.push(Compared {
                name: row.name.to_owned(),
                taffrail,
                peer,
                verdicts,
            });
        }
        Ok(Comparison {
            peer: self.peer.as_ref().map(|peer| peer.name.to_owned()),
            quick: self.extent.quick,
            rows,
        })
    }

    /// Measures one row: both servers in turn, as often as asked for, each time from an empty data directory.
    fn measure(&self, row: &Row) -> (Vec<Sample>, Vec<Sample>) {
        let (mut taffrail, mut peer) = (Vec::new(), Vec::new());
        let repeats = self.extent.repeats(row);
        for repeat in 1..=repeats {
            eprint!("{:<22} {repeat}/{repeats}", row.name);
            taffrail.push(self.sample(&self.taffrail, row));
            if let Some(contender) = self.peer.as_ref().filter(|_| row.peer) {
                peer.push(self.sample(contender, row));
            }
            eprintln!();
        }
        (taffrail, peer)
    }

    /// One measurement. What fails is an error of the row, and the others go on.
    fn sample(&self, contender: &Contender, row: &Row) -> Sample {
        let sample = self.try_sample(contender, row).unwrap_or_else(|error| {
            eprintln!("\n{} against {} failed: {error:#}", row.name, contender.name);
            Sample::failed(&error)
        });
        eprint!("  {} {}", contender.name, headline(&sample));
        sample
    }

    fn try_sample(&self, contender: &Contender, row: &Row) -> Result<Sample> {
        let site = Site {
            contender,
            parent: &self.data,
            leash: &self.leash,
            extent: self.extent,
        };
        match &row.what {
            What::Load(load) => self.run_load(contender, load),
            What::Store(keys, quick) => store::measure(&site, self.extent.either((*keys, *quick))),
            What::Start(keys, quick) => store::measure_start(&site, self.extent.either((*keys, *quick))),
            What::Stalled => stalled::measure(&site),
            What::Cluster(load) => cluster::measure(&site, &self.certificates, *load),
        }
    }

    fn run_load(&self, contender: &Contender, load: &Load) -> Result<Sample> {
        let server = Server::start(contender, &[], &self.data, &self.leash)?;
        let plan = Plan {
            endpoints: vec![server.endpoint().clone()],
            dialer: Dialer::default(),
            load: load.arguments(self.extent),
            server_pids: vec![server.pid()],
            display: false,
        };
        let report = scenario::run(load.scenario, &plan).with_context(|| server.last_words())?;
        server.stop()?;
        let sample = Sample::of_run(report, &plan);
        match load.scenario {
            ScenarioName::Put => disk::beside(sample, &self.data),
            _ => Ok(sample),
        }
    }
}

/// What is shown of a sample while others are taken.
fn headline(sample: &Sample) -> String {
    let figure = |metric: Metric| Some((metric, sample.figures.get(&metric)?));
    let first = figure(Metric::Throughput).or_else(|| sample.figures.iter().map(|(m, f)| (*m, f)).next());
    first.map_or_else(String::new, |(metric, figure)| {
        format!("{figure:.0} {}", metric.label())
    })
}

/// The rows that were asked for, and those that they are held against.
fn chosen(rows: &'static [Row], names: &[String], quick: bool) -> Result<Vec<&'static Row>> {
    for name in names {
        let known = || rows.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        anyhow::ensure!(
            rows.iter().any(|row| row.name == name),
            "no row {name:?}; there are: {}",
            known()
        );
    }
    let asked = |row: &Row| names.iter().any(|name| name == row.name);
    let needed = |row: &Row| {
        let mut of_asked = rows
            .iter()
            .filter(|other| asked(other))
            .flat_map(|other| other.required);
        of_asked.any(|requirement| requirement.against == Against::Row(row.name))
    };
    let wanted = |row: &&Row| match names.is_empty() {
        true => row.quick || !quick,
        false => asked(row) || needed(row),
    };
    Ok(rows.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked: &[&str], quick: bool) -> Vec<&'static str> {
        let asked: Vec<_> = asked.iter().map(|name| (*name).to_owned()).collect();
        let rows = chosen(&ROWS, &asked, quick).expect("known rows");
        rows.iter().map(|row| row.name).collect()
    }

    #[test]
    fn a_row_brings_the_one_that_it_is_held_against() {
        assert_eq!(
            names(&["page-60-revisions"], true),
            ["page-1x1", "page-60-revisions"]
        );
        assert_eq!(names(&["put-1x1"], false), ["put-1x1"]);
        assert!(chosen(&ROWS, &["put".to_owned()], false).is_err());
    }

    #[test]
    fn a_quick_comparison_leaves_out_what_nothing_is_required_of() {
        assert!(names(&[], true).len() < names(&[], false).len());
        assert_eq!(names(&[], false).len(), ROWS.len());
    }
}
