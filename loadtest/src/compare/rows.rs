//! The loads that are compared, and what Taffrail must reach: the numbers of one node.

use std::time::Duration;

use super::sample::Metric;
use super::verdict::{Against, Bound, Requirement};
use crate::cli::{LoadArguments, ScenarioName};

/// One row.
pub(crate) struct Row {
    /// What the table and the command line call it.
    pub(crate) name: &'static str,
    /// What is measured.
    pub(crate) what: What,
    /// Part of a quick comparison.
    pub(crate) quick: bool,
    /// Measured so often at most, whatever was asked for; and if it is quick.
    pub(crate) most_repeats: (usize, usize),
    /// Measured so often if nothing is asked for, and if it is quick, where that differs from other rows.
    pub(crate) usual_repeats: Option<(usize, usize)>,
    /// Measured on the peer, too.
    pub(crate) peer: bool,
    /// What must be reached.
    pub(crate) required: &'static [Requirement],
}

/// What a row measures.
pub(crate) enum What {
    /// A scenario.
    Load(Load),
    /// So many keys, and so many if it is quick: memory after a full list, disk, and the start on them.
    Store(usize, usize),
    /// The start on so many keys, and on so many if it is quick.
    Start(usize, usize),
    /// Watchers that stop reading.
    Stalled,
    /// A cluster of three.
    Cluster(ClusterLoad),
}

/// What is measured on a cluster of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClusterLoad {
    /// Puts through the leader.
    PutLeader,
    /// Puts through a follower.
    PutFollower,
    /// Linearizable reads of a follower.
    GetFollower,
    /// A put on one member until a watcher has it on another.
    WatchAcross,
    /// The leader's death until the next write.
    Failover,
    /// Memory with 100,000 keys.
    Memory,
    /// CPU of members that nobody asks anything.
    Idle,
}

/// A scenario and its size.
pub(crate) struct Load {
    /// The kind of load.
    pub(crate) scenario: ScenarioName,
    /// Clients and connections.
    pub(crate) shape: (usize, usize),
    /// Keys or leases at the start, and if it is quick.
    pub(crate) keys: (usize, usize),
    /// Revisions of each, and if it is quick.
    pub(crate) revisions: (usize, usize),
    /// Bytes of a value.
    pub(crate) value_size: usize,
    /// Watchers of a client.
    pub(crate) watchers: usize,
    /// How it is timed.
    pub(crate) time: Time,
    /// Calls a second that are due; as many as are answered if there is no rate.
    pub(crate) rate: Option<f64>,
}

/// How a load is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// Warm-up and duration as for all rows.
    Usual,
    /// As long as for all rows, without a warm-up: the load runs out.
    Cold,
    /// Until it ends by itself, after this many seconds at most, and a warm-up.
    UntilDone(u64),
}

/// The warm-up of a load that ends by itself.
const WARM_UP: Duration = Duration::from_secs(1);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Runs of each row, if that was said.
    repeats: Option<usize>,
    usual_repeats: usize,
    duration: Duration,
    warmup: Duration,
    /// A short comparison.
    pub(crate) quick: bool,
}

impl Extent {
    /// The extent that goes with `quick`, where it is not said otherwise.
    pub(crate) fn new(quick: bool, repeats: Option<usize>, duration: Option<Duration>) -> Self {
        let (usual_repeats, usual_duration, warmup) = match quick {
            true => (2, Duration::from_secs(1), Duration::from_millis(200)),
            false => (5, Duration::from_secs(5), Duration::from_secs(1)),
        };
        Self {
            repeats,
            usual_repeats,
            duration: duration.unwrap_or(usual_duration),
            warmup,
            quick,
        }
    }

    /// A load of that extent.
    pub(crate) fn load(&self) -> LoadArguments {
        LoadArguments {
            duration: self.duration,
            warmup: self.warmup,
            ..LoadArguments::default()
        }
    }

    /// The second of two things if it is quick.
    pub(crate) fn either<T>(&self, (full, quick): (T, T)) -> T {
        if self.quick { quick } else { full }
    }

    /// Runs of this row on each server.
    pub(crate) fn repeats(&self, row: &Row) -> usize {
        let usual = row
            .usual_repeats
            .map_or(self.usual_repeats, |usual| self.either(usual));
        let repeats = self.repeats.unwrap_or(usual).max(1);
        repeats.min(self.either(row.most_repeats))
    }
}

impl Load {
    /// The load in full.
    pub(crate) fn arguments(&self, extent: Extent) -> LoadArguments {
        let (clients, connections) = self.shape;
        let (warmup, duration) = match self.time {
            Time::Usual => (extent.warmup, extent.duration),
            Time::Cold => (Duration::ZERO, extent.duration),
            Time::UntilDone(seconds) => (WARM_UP, Duration::from_secs(seconds)),
        };
        LoadArguments {
            clients,
            connections,
            duration,
            warmup,
            value_size: self.value_size,
            keys: extent.either(self.keys),
            revisions: extent.either(self.revisions),
            watchers: self.watchers,
            rate: self.rate,
            ..LoadArguments::default()
        }
    }
}

/// A requirement on the ratio to the peer.
pub(crate) const fn peer(metric: Metric, bound: Bound) -> Requirement {
    Requirement {
        metric,
        against: Against::Peer,
        bound,
    }
}

/// A requirement on the ratio to a row of Taffrail's own.
const fn own(metric: Metric, row: &'static str, bound: Bound) -> Requirement {
    Requirement {
        metric,
        against: Against::Row(row),
        bound,
    }
}

/// A requirement on Taffrail's figure itself.
pub(crate) const fn alone(metric: Metric, bound: Bound) -> Requirement {
    Requirement {
        metric,
        against: Against::Nothing,
        bound,
    }
}

/// As often as it is asked for.
pub(crate) const ANY: (usize, usize) = (usize::MAX, usize::MAX);

const fn row(
    name: &'static str,
    scenario: ScenarioName,
    shape: (usize, usize),
    required: &'static [Requirement],
) -> Row {
    Row {
        name,
        what: What::Load(load(scenario, shape)),
        quick: true,
        most_repeats: ANY,
        usual_repeats: None,
        peer: true,
        required,
    }
}

/// A scenario on 10,000 keys of 1 KiB.
pub(crate) const fn load(scenario: ScenarioName, shape: (usize, usize)) -> Load {
    Load {
        scenario,
        shape,
        keys: (10_000, 10_000),
        revisions: (1, 1),
        value_size: 1024,
        watchers: 100,
        time: Time::Usual,
        rate: None,
    }
}

/// A row that is left out if it is quick: nothing is required of it.
const fn told(name: &'static str, scenario: ScenarioName, shape: (usize, usize)) -> Row {
    let told = row(name, scenario, shape, &[]);
    Row { quick: false, ..told }
}

use Bound::{AtLeast, AtMost};

const CPU_04: Requirement = peer(Metric::ServerCpu, AtMost(0.4));

/// All rows.
pub(crate) static ROWS: [Row; 25] = [
    row(
        "put-1x1",
        ScenarioName::Put,
        (1, 1),
        &[peer(Metric::P50, AtMost(0.7)), CPU_04],
    ),
    row(
        "put-64x4",
        ScenarioName::Put,
        (64, 4),
        &[
            peer(Metric::Throughput, AtLeast(2.0)),
            CPU_04,
            peer(Metric::P99, AtMost(0.5)),
            peer(Metric::WriteBytes, AtMost(1.0)),
        ],
    ),
    row(
        "put-256x16",
        ScenarioName::Put,
        (256, 16),
        &[
            peer(Metric::Throughput, AtLeast(2.0)),
            peer(Metric::ServerCpu, AtMost(0.45)),
        ],
    ),
    row(
        "txn-create-64x4",
        ScenarioName::TxnCreate,
        (64, 4),
        &[
            peer(Metric::Throughput, AtLeast(2.0)),
            peer(Metric::ServerCpu, AtMost(0.35)),
        ],
    ),
    row(
        "txn-update-64x4",
        ScenarioName::TxnUpdate,
        (64, 4),
        &[
            peer(Metric::Throughput, AtLeast(2.0)),
            peer(Metric::ServerCpu, AtMost(0.35)),
        ],
    ),
    row(
        "get-1x1",
        ScenarioName::Get,
        (1, 1),
        &[peer(Metric::P50, AtMost(0.7)), CPU_04],
    ),
    row(
        "get-64x4",
        ScenarioName::Get,
        (64, 4),
        &[peer(Metric::Throughput, AtLeast(1.6)), CPU_04],
    ),
    told("get-serializable-64x4", ScenarioName::GetSerializable, (64, 4)),
    row(
        FRESH_PAGE,
        ScenarioName::Page,
        (1, 1),
        &[
            peer(Metric::P50, AtMost(0.5)),
            peer(Metric::ServerCpu, AtMost(0.25)),
        ],
    ),
    Row {
        what: What::Load(Load {
            revisions: (60, 60),
            ..load(ScenarioName::Page, (1, 1))
        }),
        // 600 MB are written before each run.
        most_repeats: (3, 1),
        ..row(
            "page-60-revisions",
            ScenarioName::Page,
            (1, 1),
            &[
                peer(Metric::ServerCpu, AtMost(0.12)),
                own(Metric::ServerCpu, FRESH_PAGE, AtMost(1.2)),
            ],
        )
    },
    row(
        "list-1x1",
        ScenarioName::List,
        (1, 1),
        &[peer(Metric::ServerCpu, AtMost(0.3))],
    ),
    told("list-keys-only-1x1", ScenarioName::ListKeysOnly, (1, 1)),
    told("list-historic-1x1", ScenarioName::ListHistoric, (1, 1)),
    row(
        "stream-1x1",
        ScenarioName::RangeStream,
        (1, 1),
        &[peer(Metric::ServerCpu, AtMost(0.3))],
    ),
    row(
        "stream-16x4",
        ScenarioName::RangeStream,
        (16, 4),
        &[alone(Metric::PeakGrowth, AtMost(4.0))],
    ),
    row(
        FEW_COUNTED,
        ScenarioName::Count,
        (1, 1),
        &[peer(Metric::ServerCpu, AtMost(0.2))],
    ),
    Row {
        // What is counted is not read: values are small so that it takes less time to write them.
        what: What::Load(Load {
            keys: (1_000_000, 1_000_000),
            value_size: 64,
            ..load(ScenarioName::Count, (1, 1))
        }),
        peer: false,
        most_repeats: (2, 1),
        // log 1,000,000 / log 10,000.
        ..row(
            "count-1000000-keys",
            ScenarioName::Count,
            (1, 1),
            &[own(Metric::ServerCpu, FEW_COUNTED, AtMost(1.5))],
        )
    },
    row(
        "watch-100",
        ScenarioName::Watch,
        (1, 4),
        &[
            peer(Metric::Throughput, AtLeast(2.0)),
            peer(Metric::ServerCpu, AtMost(0.35)),
            peer(Metric::P99, AtMost(0.5)),
        ],
    ),
    row("lease-grant-16x4", ScenarioName::LeaseGrant, (16, 4), &[CPU_04]),
    row(
        "lease-keepalive-16x4",
        ScenarioName::LeaseKeepalive,
        (16, 4),
        &[peer(Metric::ServerCpu, AtMost(1.0))],
    ),
    Row {
        what: What::Load(Load {
            keys: (20_000, 6_000),
            time: Time::Cold,
            ..load(ScenarioName::LeaseRevoke, (16, 4))
        }),
        ..row(
            "lease-revoke-16x4",
            ScenarioName::LeaseRevoke,
            (16, 4),
            &[peer(Metric::Throughput, AtLeast(5.0))],
        )
    },
    row(
        "mixed-64x8",
        ScenarioName::Mixed,
        (64, 8),
        &[
            peer(Metric::Throughput, AtLeast(2.5)),
            CPU_04,
            peer(Metric::P99, AtMost(0.4)),
        ],
    ),
    told("kubernetes-64x8", ScenarioName::Kubernetes, (64, 8)),
    Row {
        what: What::Store(500_000, 200_000),
        most_repeats: (3, 1),
        ..row(
            "store-500000-keys",
            ScenarioName::List,
            (1, 1),
            &[
                peer(Metric::Start, AtMost(0.5)),
                peer(Metric::StartCpu, AtMost(0.5)),
                peer(Metric::Memory, AtMost(0.7)),
                peer(Metric::AnonymousSmall, AtMost(0.7)),
                peer(Metric::Disk, AtMost(0.8)),
            ],
        )
    },
    told("txn-delete-64x4", ScenarioName::TxnDelete, (64, 4)),
];

/// Rows that others are held against.
const FRESH_PAGE: &str = "page-1x1";
const FEW_COUNTED: &str = "count-1x1";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::compare::{CLUSTER_ROWS, LIMIT_ROWS};

    fn all() -> impl Iterator<Item = &'static Row> {
        ROWS.iter().chain(&CLUSTER_ROWS).chain(&LIMIT_ROWS)
    }

    #[test]
    fn rows_have_names_of_their_own_and_keys_for_every_client() {
        let names: BTreeSet<_> = all().map(|row| row.name).collect();
        assert_eq!(names.len(), all().count());
        let enough = |row: &Row| match &row.what {
            What::Load(load) => load.keys.0.min(load.keys.1) >= load.shape.0,
            _ => true,
        };
        assert!(all().all(enough));
    }

    #[test]
    fn a_quick_comparison_judges_everything_that_is_required() {
        assert!(all().all(|row| row.quick || row.required.is_empty()));
    }

    #[test]
    fn a_row_is_held_against_one_that_is_measured_before() {
        for rows in [&ROWS[..], &CLUSTER_ROWS, &LIMIT_ROWS] {
            for (number, row) in rows.iter().enumerate() {
                for requirement in row.required {
                    if let Against::Row(name) = requirement.against {
                        assert!(rows[..number].iter().any(|before| before.name == name), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_needs_a_peer_has_one() {
        let needs = |row: &Row| {
            row.required
                .iter()
                .any(|requirement| requirement.against == Against::Peer)
        };
        assert!(all().all(|row| row.peer || !needs(row)));
    }

    #[test]
    fn what_is_said_beats_what_is_usual_but_not_what_a_row_allows() {
        let extent = Extent::new(true, Some(7), Some(Duration::from_secs(9)));
        assert_eq!(extent.repeats(&ROWS[0]), 7);
        assert_eq!(Extent::new(true, None, None).repeats(&ROWS[0]), 2);
        let store = ROWS
            .iter()
            .find(|row| matches!(row.what, What::Store(..)))
            .expect("a row");
        assert_eq!((extent.repeats(store), extent.either((1, 2))), (1, 2));
        let usual = load(ScenarioName::Put, (1, 1)).arguments(extent);
        assert_eq!(usual.duration, Duration::from_secs(9));
    }
}
