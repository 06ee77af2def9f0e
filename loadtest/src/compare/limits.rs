//! What Taffrail must keep to with no peer to compare with.

use super::rows::{Load, Row, Time, What, alone, load};
use super::sample::Metric;
use super::verdict::{Against, Bound, Requirement};
use crate::cli::ScenarioName;

const fn row(name: &'static str, what: What, required: &'static [Requirement]) -> Row {
    Row {
        name,
        what,
        quick: true,
        most_repeats: (3, 1),
        usual_repeats: None,
        peer: false,
        required,
    }
}

/// A scenario on 1,000 keys, and on a million; 100,000 if it is quick.
const fn few(name: &'static str, scenario: ScenarioName, shape: (usize, usize)) -> Row {
    let keys = (1_000, 1_000);
    row(
        name,
        What::Load(Load {
            keys,
            ..load(scenario, shape)
        }),
        &[],
    )
}

const fn many(
    name: &'static str,
    scenario: ScenarioName,
    shape: (usize, usize),
    required: &'static [Requirement],
) -> Row {
    let keys = (1_000_000, 100_000);
    row(
        name,
        What::Load(Load {
            keys,
            ..load(scenario, shape)
        }),
        required,
    )
}

/// CPU an operation, against the same on 1,000 keys: log 1,000,000 / log 1,000.
const fn grows_like_log_n(row: &'static str) -> Requirement {
    Requirement {
        metric: Metric::ServerCpu,
        against: Against::Row(row),
        bound: Bound::AtMost(2.0),
    }
}

/// Writes a second beside a compaction or an expiry, whatever the server does meanwhile: a stall keeps all waiting that are
/// due in it, and counts as often. A server that is well can do several times as many.
const WRITES: Option<f64> = Some(1000.0);

/// p99 of writes moves by less than this.
const SLOWDOWN: Requirement = alone(Metric::Slowdown, Bound::AtMost(2.0));

/// All limits.
pub(crate) static LIMIT_ROWS: [Row; 11] = [
    // A watcher's buffer is 1 MiB and one response more; sockets and HTTP/2 have theirs besides.
    row(
        "stalled-watchers",
        What::Stalled,
        &[alone(Metric::PeakGrowth, Bound::AtMost(2.0))],
    ),
    row(
        "compaction-500000",
        What::Load(Load {
            revisions: (51, 51),
            time: Time::UntilDone(120),
            rate: WRITES,
            ..load(ScenarioName::Compaction, (64, 4))
        }),
        &[SLOWDOWN],
    ),
    row(
        "lease-expiry-10000",
        What::Load(Load {
            time: Time::UntilDone(40),
            rate: WRITES,
            ..load(ScenarioName::LeaseExpiry, (64, 4))
        }),
        &[alone(Metric::Last, Bound::AtMost(2000.0)), SLOWDOWN],
    ),
    row(
        "start-1000000-keys",
        What::Start(1_000_000, 300_000),
        &[alone(Metric::Start, Bound::AtMost(10_000.0))],
    ),
    // 100 MB in MiB.
    row(
        "idle-watches-10000",
        What::Load(Load {
            watchers: 1000,
            ..load(ScenarioName::WatchIdle, (10, 20))
        }),
        &[alone(Metric::Growth, Bound::AtMost(95.4))],
    ),
    few("get-few-keys", ScenarioName::Get, (64, 4)),
    many(
        "get-many-keys",
        ScenarioName::Get,
        (64, 4),
        &[grows_like_log_n("get-few-keys")],
    ),
    few("put-few-keys", ScenarioName::Put, (64, 4)),
    many(
        "put-many-keys",
        ScenarioName::Put,
        (64, 4),
        &[grows_like_log_n("put-few-keys")],
    ),
    few("page-few-keys", ScenarioName::Page, (1, 1)),
    many(
        "page-many-keys",
        ScenarioName::Page,
        (1, 1),
        &[grows_like_log_n("page-few-keys")],
    ),
];
