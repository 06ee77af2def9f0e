//! Which charts results are shown in.

use super::axis::{Axis, Scale, Unit};
use super::chart::{Chart, Line};
use crate::compare::{Compared, Comparison, Sample};
use crate::report::RunReport;
use crate::sweep::{Point, Sweep};

/// Rows whose latencies are drawn.
const LATENCY_ROWS: [&str; 9] = [
    "put-1x1",
    "put-64x4",
    "txn-update-64x4",
    "get-64x4",
    "page-1x1",
    "watch-100",
    "mixed-64x8",
    "put-leader-64x4",
    "get-follower-64x4",
];

/// What is taken of a run.
type Figure = fn(&RunReport) -> Option<f64>;

/// The charts of a sweep over clients: for each scenario throughput, p99 and CPU an operation.
pub(super) fn by_clients(sweep: &Sweep) -> Vec<Chart> {
    let clients: Figure = |report| Some(report.clients as f64);
    let mut charts = Vec::new();
    for scenario in scenarios(&sweep.by_clients) {
        let of = |figure: Figure| lines(&sweep.by_clients, &scenario, (clients, figure));
        let throughput = of(|report| Some(report.summary.throughput));
        charts.push(chart(
            format!("{scenario}: operations a second"),
            ("clients", Unit::Number),
            (Scale::Linear, Unit::Number),
            throughput,
        ));
        let p99 = of(|report| Some(report.summary.latency.p99));
        charts.push(chart(
            format!("{scenario}: p99 latency"),
            ("clients", Unit::Number),
            (Scale::Logarithmic, Unit::Microseconds),
            p99,
        ));
        charts.push(chart(
            format!("{scenario}: server CPU an operation"),
            ("clients", Unit::Number),
            (Scale::Logarithmic, Unit::Microseconds),
            of(|report| report.server_cpu_us),
        ));
    }
    charts
}

/// The charts of a sweep over keys: CPU an operation for each scenario, and memory.
pub(super) fn by_keys(sweep: &Sweep) -> Vec<Chart> {
    let keys: Figure = |report| Some(report.keys as f64);
    let names = scenarios(&sweep.by_keys);
    let of = |scenario: &str, figure: Figure| lines(&sweep.by_keys, scenario, (keys, figure));
    let mut charts: Vec<_> = names
        .iter()
        .map(|scenario| {
            chart(
                format!("{scenario}: server CPU an operation"),
                ("keys", Unit::Number),
                (Scale::Logarithmic, Unit::Microseconds),
                of(scenario, |report| report.server_cpu_us),
            )
        })
        .collect();
    // The first scenario has just read what was written; later ones write more.
    if let Some(first) = names.first() {
        let resident: Figure = |report| Some(report.usage.server.as_ref()?.memory.rss as f64 / 1048576.0);
        charts.push(chart(
            "memory with so many keys of 1 KiB".to_owned(),
            ("keys", Unit::Number),
            (Scale::Logarithmic, Unit::Mebibytes),
            of(first, resident),
        ));
    }
    charts
}

/// The latencies of a comparison in full, of the run in the middle of each side's.
pub(super) fn latencies(comparison: &Comparison) -> Vec<Chart> {
    let rows = comparison
        .rows
        .iter()
        .filter(|row| LATENCY_ROWS.contains(&row.name.as_str()));
    rows.map(|row| {
        let mut lines = Vec::new();
        lines.extend(curve("taffrail", 0, &row.taffrail));
        if let Some(peer) = &comparison.peer {
            lines.extend(curve(peer, 1, &row.peer));
        }
        latency_chart(row, lines)
    })
    .collect()
}

fn latency_chart(row: &Compared, lines: Vec<Line>) -> Chart {
    let latencies = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|(_, latency)| *latency));
    Chart {
        title: row.name.clone(),
        x: Axis::new(
            "share of operations",
            Scale::Nines,
            Unit::Share,
            std::iter::empty(),
        ),
        y: Axis::new("latency", Scale::Logarithmic, Unit::Microseconds, latencies),
        lines,
    }
}

/// The latencies of one run alone.
pub(super) fn latency_of_run(report: &RunReport) -> Chart {
    let line = Line {
        name: report.scenario.clone(),
        colour: 0,
        points: report.summary.curve.clone(),
    };
    let row = Compared {
        name: format!("{}: latency", report.scenario),
        taffrail: Vec::new(),
        peer: Vec::new(),
        verdicts: Vec::new(),
    };
    latency_chart(&row, vec![line])
}

fn curve(name: &str, colour: usize, samples: &[Sample]) -> Option<Line> {
    let mut reports: Vec<_> = samples
        .iter()
        .filter_map(|sample| sample.report.as_ref())
        .collect();
    let p99 = |report: &RunReport| report.summary.latency.p99;
    reports.sort_by(|one, other| p99(one).total_cmp(&p99(other)));
    let report = reports.get(reports.len() / 2)?;
    Some(Line {
        name: name.to_owned(),
        colour,
        points: report.summary.curve.clone(),
    })
}

/// Scenarios in the order in which they were run.
fn scenarios(points: &[Point]) -> Vec<String> {
    in_order(points.iter().map(|point| &point.report.scenario))
}

fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut different = Vec::new();
    for name in names {
        if !different.contains(name) {
            different.push(name.clone());
        }
    }
    different
}

/// One line for each server.
fn lines(points: &[Point], scenario: &str, (x, y): (Figure, Figure)) -> Vec<Line> {
    let servers = in_order(points.iter().map(|point| &point.server));
    let line = |(colour, server): (usize, &String)| {
        let of_server = points
            .iter()
            .filter(|point| point.server == *server && point.report.scenario == scenario);
        Line {
            name: server.clone(),
            colour,
            points: of_server
                .filter_map(|point| Some((x(&point.report)?, y(&point.report)?)))
                .collect(),
        }
    };
    servers.iter().enumerate().map(line).collect()
}

fn chart(
    title: String,
    (name, x_unit): (&str, Unit),
    (scale, y_unit): (Scale, Unit),
    lines: Vec<Line>,
) -> Chart {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    Chart {
        title,
        x: Axis::new(name, Scale::Logarithmic, x_unit, points().map(|(x, _)| x))
            .marked(points().map(|(x, _)| x)),
        y: Axis::new("", scale, y_unit, points().map(|(_, y)| y)),
        lines,
    }
}
