//! The loads that are compared, and what Taffrail must reach.

use std::time::Duration;

use super::verdict::{Bound, Metric, Requirement};
use crate::cli::{LoadArguments, ScenarioName};

/// One load.
pub(super) struct Row {
    /// What the table and the command line call it.
    pub(super) name: &'static str,
    /// The kind of load.
    pub(super) scenario: ScenarioName,
    /// Clients and connections.
    pub(super) shape: (usize, usize),
    /// Keys or leases at the start.
    pub(super) keys: usize,
    /// Part of a quick comparison.
    pub(super) quick: bool,
    /// What must be reached.
    pub(super) required: &'static [Requirement],
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Runs of each row on each server.
    pub(super) repeats: usize,
    duration: Duration,
    warmup: Duration,
}

impl Extent {
    /// The extent that goes with `quick`, where it is not said otherwise.
    pub(super) fn new(quick: bool, repeats: Option<usize>, duration: Option<Duration>) -> Self {
        let (usual_repeats, usual_duration, warmup) = match quick {
            true => (3, Duration::from_millis(1500), Duration::from_millis(300)),
            false => (5, Duration::from_secs(5), Duration::from_secs(1)),
        };
        Self {
            repeats: repeats.unwrap_or(usual_repeats).max(1),
            duration: duration.unwrap_or(usual_duration),
            warmup,
        }
    }
}

impl Row {
    /// The load in full.
    pub(super) fn load(&self, extent: Extent) -> LoadArguments {
        let (clients, connections) = self.shape;
        LoadArguments {
            clients,
            connections,
            threads: 1,
            duration: extent.duration,
            warmup: extent.warmup,
            value_size: 1024,
            key_size: 80,
            keys: self.keys,
            page: 500,
            watchers: 100,
            rate: None,
            prefix: "/registry/loadtest".to_owned(),
            seed: 1,
        }
    }
}

const fn requirement(metric: Metric, bound: Bound) -> Requirement {
    Requirement { metric, bound }
}

const fn row(
    name: &'static str,
    scenario: ScenarioName,
    shape: (usize, usize),
    required: &'static [Requirement],
) -> Row {
    Row {
        name,
        scenario,
        shape,
        keys: 10_000,
        quick: true,
        required,
    }
}

const fn full_only(row: Row) -> Row {
    Row { quick: false, ..row }
}

const HALF_THE_CPU: Requirement = requirement(Metric::ServerCpu, Bound::AtMost(0.5));
const HALF_AS_FAST_AGAIN: Requirement = requirement(Metric::Throughput, Bound::AtLeast(1.5));

/// All rows.
pub(super) static ROWS: [Row; 17] = [
    row("put-1x1", ScenarioName::Put, (1, 1), &[]),
    row(
        "put-64x4",
        ScenarioName::Put,
        (64, 4),
        &[HALF_AS_FAST_AGAIN, HALF_THE_CPU],
    ),
    full_only(row("put-256x16", ScenarioName::Put, (256, 16), &[])),
    row("txn-create-64x4", ScenarioName::TxnCreate, (64, 4), &[]),
    row("txn-update-64x4", ScenarioName::TxnUpdate, (64, 4), &[]),
    full_only(row("txn-delete-64x4", ScenarioName::TxnDelete, (64, 4), &[])),
    full_only(row("get-1x1", ScenarioName::Get, (1, 1), &[])),
    row("get-64x4", ScenarioName::Get, (64, 4), &[HALF_THE_CPU]),
    full_only(row(
        "get-serializable-64x4",
        ScenarioName::GetSerializable,
        (64, 4),
        &[],
    )),
    row("page-1x1", ScenarioName::Page, (1, 1), &[HALF_THE_CPU]),
    row("list-1x1", ScenarioName::List, (1, 1), &[]),
    row("count-1x1", ScenarioName::Count, (1, 1), &[]),
    row("watch-100", ScenarioName::Watch, (1, 4), &[]),
    row("lease-grant-16x4", ScenarioName::LeaseGrant, (16, 4), &[]),
    row("lease-keepalive-16x4", ScenarioName::LeaseKeepalive, (16, 4), &[]),
    row("lease-revoke-16x4", ScenarioName::LeaseRevoke, (16, 4), &[]),
    row("mixed-64x8", ScenarioName::Mixed, (64, 8), &[]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_have_names_of_their_own_and_keys_for_every_client() {
        let names: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
        assert!(ROWS.iter().all(|row| row.keys >= row.shape.0));
    }

    #[test]
    fn a_quick_comparison_judges_everything_that_is_required() {
        assert!(ROWS.iter().all(|row| row.quick || row.required.is_empty()));
        assert_eq!(ROWS.iter().map(|row| row.required.len()).sum::<usize>(), 4);
    }

    #[test]
    fn what_is_said_beats_what_is_usual() {
        let extent = Extent::new(true, Some(7), Some(Duration::from_secs(9)));
        assert_eq!((extent.repeats, extent.duration), (7, Duration::from_secs(9)));
        assert_eq!(Extent::new(true, None, None).repeats, 3);
    }
}
