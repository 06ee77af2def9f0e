//! A comparison for people.

use std::fmt::{self, Display, Formatter};

use super::verdict::{Bound, Metric, Verdict, median};
use super::{Compared, Comparison};
use crate::report::RunReport;

/// Prints a comparison as a table in Markdown.
pub(super) struct Table<'a>(pub(super) &'a Comparison);

impl Display for Table<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "One write of 4 KiB with fdatasync takes {:.0} us on this disk.\n",
            self.0.disk_sync_us
        )?;
        writeln!(
            out,
            "| row | figure | taffrail | {} | ratio | spread | required | met |",
            self.0.peer
        )?;
        writeln!(out, "|---|---|---:|---:|---:|---|---|---|")?;
        for row in &self.0.rows {
            lines(out, row)?;
        }
        conclusion(out, &self.0.rows)
    }
}

fn lines(out: &mut Formatter<'_>, row: &Compared) -> fmt::Result {
    for (number, verdict) in row.verdicts.iter().enumerate() {
        let name = if number == 0 { row.name } else { "" };
        let Verdict {
            metric,
            taffrail,
            peer,
            ratio,
            spread: (low, high),
            bound,
            met,
        } = verdict;
        let bound = bound.map(described).unwrap_or_default();
        let met = met.map_or("", |met| if met { "yes" } else { "NO" });
        let (ours, theirs) = (figure(*taffrail), figure(*peer));
        let metric = label(*metric);
        writeln!(
            out,
            "| {name} | {metric} | {ours} | {theirs} | {ratio:.2} | {low:.2} - {high:.2} | {bound} | {met} |"
        )?;
    }
    let noise = |reports: &[RunReport]| {
        median(
            &reports
                .iter()
                .map(|report| report.usage.cores(report.usage.other_cpu))
                .collect::<Vec<_>>(),
        )
    };
    writeln!(
        out,
        "| | other load, cores | {:.2} | {:.2} | | | | |",
        noise(&row.taffrail),
        noise(&row.peer)
    )
}

/// What stands below the table: failures, a client at its limit, and the judgement.
fn conclusion(out: &mut Formatter<'_>, rows: &[Compared]) -> fmt::Result {
    writeln!(out)?;
    for (row, report) in rows
        .iter()
        .flat_map(|row| row.taffrail.iter().chain(&row.peer).map(move |run| (row, run)))
    {
        for (text, count) in &report.summary.errors {
            writeln!(out, "ERROR in {}: {count} x {text}", row.name)?;
        }
    }
    for row in rows.iter().filter(|row| {
        row.taffrail
            .iter()
            .chain(&row.peer)
            .any(|run| run.client_was_busy)
    }) {
        writeln!(
            out,
            "{}: the client was busy and may have been the limit",
            row.name
        )?;
    }
    let judged: Vec<bool> = rows
        .iter()
        .flat_map(|row| &row.verdicts)
        .filter_map(|verdict| verdict.met)
        .collect();
    let met = judged.iter().filter(|met| **met).count();
    writeln!(out, "{met} of {} requirements met", judged.len())
}

fn label(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput => "operations/s",
        Metric::P50 => "p50 us",
        Metric::P99 => "p99 us",
        Metric::ServerCpu => "server CPU us each",
        Metric::WriteBytes => "disk bytes each",
        Metric::Memory => "resident MiB",
    }
}

fn described(bound: Bound) -> String {
    match bound {
        Bound::AtLeast(limit) => format!(">= {limit}"),
        Bound::AtMost(limit) => format!("<= {limit}"),
    }
}

/// Three digits at least, and no more decimals than that takes.
fn figure(figure: f64) -> String {
    match figure {
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [1.234, 45.67, 890.1, 12_345.6].map(figure),
            ["1.23", "45.7", "890", "12346"]
        );
    }
}
