//! Three members on loopback, with TLS towards clients and between members: the numbers of a cluster.

mod certificates;
mod failover;
mod members;

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::rows::{ANY, ClusterLoad, Load, Row, What, alone, load, peer};
use super::sample::{Metric, Sample, mebibytes};
use super::store::Site;
use super::verdict::{Against, Bound, Requirement};
use crate::cli::{LoadArguments, ScenarioName};
use crate::load::Plan;
use crate::measure::process;
use crate::scenario;
pub(crate) use certificates::Certificates;
use members::Members;

/// Keys of 1 KiB whose memory is measured.
const KEYS: usize = 100_000;

/// How long members have to put their memory in order, or to come to rest after they have started.
const SETTLING: Duration = Duration::from_secs(3);

/// How long idle members are watched, and if it is quick.
const IDLE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(4));

const fn row(name: &'static str, load: ClusterLoad, required: &'static [Requirement]) -> Row {
    Row {
        name,
        what: What::Cluster(load),
        quick: true,
        most_repeats: ANY,
        usual_repeats: None,
        peer: true,
        required,
    }
}

use Bound::{AtLeast, AtMost};

const PUT_LEADER: &str = "put-leader-64x4";

/// All rows of a cluster.
pub(crate) static CLUSTER_ROWS: [Row; 7] = [
    row(
        PUT_LEADER,
        ClusterLoad::PutLeader,
        &[
            peer(Metric::Throughput, AtLeast(1.5)),
            peer(Metric::ServerCpu, AtMost(0.6)),
        ],
    ),
    row(
        "put-follower-64x4",
        ClusterLoad::PutFollower,
        &[Requirement {
            metric: Metric::Throughput,
            against: Against::Row(PUT_LEADER),
            bound: AtLeast(0.8),
        }],
    ),
    row(
        "get-follower-64x4",
        ClusterLoad::GetFollower,
        &[
            peer(Metric::Throughput, AtLeast(1.0)),
            peer(Metric::ServerCpu, AtMost(0.6)),
        ],
    ),
    row(
        "watch-across",
        ClusterLoad::WatchAcross,
        &[peer(Metric::P99, AtMost(1.0))],
    ),
    Row {
        // One death says little.
        usual_repeats: Some((10, 3)),
        ..row(
            "leader-killed",
            ClusterLoad::Failover,
            &[
                peer(Metric::Failover, AtMost(1.0)),
                alone(Metric::Silence, AtMost(250.0)),
            ],
        )
    },
    Row {
        most_repeats: (3, 1),
        ..row(
            "memory-100000-keys",
            ClusterLoad::Memory,
            &[peer(Metric::Memory, AtMost(2.0))],
        )
    },
    Row {
        most_repeats: (3, 1),
        ..row("idle", ClusterLoad::Idle, &[alone(Metric::Idle, AtMost(1.0))])
    },
];

/// Starts a cluster on empty data directories, measures it, and removes it.
pub(super) fn measure(site: &Site<'_>, certificates: &Certificates, what: ClusterLoad) -> Result<Sample> {
    let mut members = Members::start(site, certificates)?;
    match what {
        ClusterLoad::PutLeader => run(site, &members, ScenarioName::Put, &[members.leader]),
        ClusterLoad::PutFollower => run(site, &members, ScenarioName::Put, &[members.follower()]),
        ClusterLoad::GetFollower => run(site, &members, ScenarioName::Get, &[members.follower()]),
        ClusterLoad::WatchAcross => {
            let both = [members.leader, members.follower()];
            run(site, &members, ScenarioName::Watch, &both)
        }
        ClusterLoad::Failover => failover::measure(&mut members),
        ClusterLoad::Memory => memory(&members),
        ClusterLoad::Idle => idle(&members, site.extent.either(IDLE)),
    }
}

/// A scenario on these members; what all members use is summed.
fn run(site: &Site<'_>, members: &Members, scenario: ScenarioName, on: &[usize]) -> Result<Sample> {
    let watch = Load {
        watchers: 1,
        ..load(scenario, (1, 2))
    };
    let load = match scenario {
        ScenarioName::Watch => watch,
        _ => load(scenario, (64, 4)),
    };
    let plan = Plan {
        endpoints: on.iter().map(|member| members.endpoint(*member)).collect(),
        dialer: members.dialer.clone(),
        load: load.arguments(site.extent),
        server_pids: members.pids(),
        display: false,
    };
    let report = scenario::run(scenario, &plan)?;
    Ok(Sample::of_run(report, &plan))
}

/// What the member with most holds after so many keys were written and listed.
fn memory(members: &Members) -> Result<Sample> {
    let load = LoadArguments {
        keys: KEYS,
        clients: 1,
        ..LoadArguments::default()
    };
    scenario::fill_and_list(&members.dialer, &members.endpoint(members.leader), &load)?;
    thread::sleep(SETTLING);
    let mut most = process(members.pids()[0])?.memory;
    for pid in members.pids() {
        let memory = process(pid)?.memory;
        if memory.rss > most.rss {
            most = memory;
        }
    }
    Ok(Sample::default()
        .with(Metric::Memory, mebibytes(most.rss))
        .with(Metric::Anonymous, mebibytes(most.anonymous)))
}

/// What members use while nobody asks them anything, on average.
fn idle(members: &Members, time: Duration) -> Result<Sample> {
    thread::sleep(SETTLING);
    let used = || {
        let pids = members.pids().into_iter();
        pids.map(|pid| Ok(process(pid)?.cpu)).sum::<Result<Duration>>()
    };
    let before = used()?;
    thread::sleep(time);
    let cpu = used()?.saturating_sub(before).as_secs_f64();
    let percent = 100.0 * cpu / time.as_secs_f64() / members.pids().len() as f64;
    Ok(Sample::default().with(Metric::Idle, percent))
}
