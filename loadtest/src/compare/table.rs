//! A comparison for people.

use std::fmt::{self, Display, Formatter};

use super::sample::Sample;
use super::verdict::{Bound, Verdict, median};
use super::{Compared, Comparison};

/// Prints a comparison as a table in Markdown.
pub(super) struct Table<'a>(pub(super) &'a Comparison);

impl Display for Table<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let other = self.0.peer.as_deref().unwrap_or("other");
        writeln!(
            out,
            "| row | figure | taffrail | {other} | ratio | spread | required | met |"
        )?;
        writeln!(out, "|---|---|---:|---:|---:|---|---|---|")?;
        for row in &self.0.rows {
            lines(out, row)?;
        }
        conclusion(out, self.0)
    }
}

fn lines(out: &mut Formatter<'_>, row: &Compared) -> fmt::Result {
    for (number, verdict) in row.verdicts.iter().enumerate() {
        let name = if number == 0 { &row.name } else { "" };
        line(out, name, verdict)?;
    }
    let noise = |samples: &[Sample]| {
        let cores: Vec<_> = samples.iter().filter_map(|sample| sample.other_cores).collect();
        match cores.is_empty() {
            true => String::new(),
            false => format!("{:.2}", median(&cores)),
        }
    };
    let (ours, theirs) = (noise(&row.taffrail), noise(&row.peer));
    match ours.is_empty() {
        true => Ok(()),
        false => writeln!(out, "| | other load, cores | {ours} | {theirs} | | | | |"),
    }
}

fn line(out: &mut Formatter<'_>, name: &str, verdict: &Verdict) -> fmt::Result {
    let label = labelled(verdict);
    let (low, high) = verdict.spread;
    let ratio = verdict.ratio.map(|ratio| format!("{ratio:.2}"));
    let spread = match verdict.ratio {
        Some(_) => format!("{low:.2} - {high:.2}"),
        None => format!("{} - {}", figure(low), figure(high)),
    };
    writeln!(
        out,
        "| {name} | {label} | {} | {} | {} | {spread} | {} | {} |",
        figure(verdict.taffrail),
        verdict.other.map(figure).unwrap_or_default(),
        ratio.unwrap_or_default(),
        verdict.bound.map(described).unwrap_or_default(),
        verdict.met.map_or("", |met| if met { "yes" } else { "NO" })
    )
}

/// The figure's name, with the row that it is held against if that is one of Taffrail's own.
pub(crate) fn labelled(verdict: &Verdict) -> String {
    let label = verdict.metric.label();
    match &verdict.against {
        None => label.to_owned(),
        Some(row) => format!("{label}, against {row}"),
    }
}

/// What stands below the table: failures, a client at its limit, and the judgement.
fn conclusion(out: &mut Formatter<'_>, comparison: &Comparison) -> fmt::Result {
    writeln!(out)?;
    for row in &comparison.rows {
        let samples = || row.taffrail.iter().chain(&row.peer);
        for (text, count) in samples().flat_map(|sample| &sample.errors) {
            writeln!(out, "ERROR in {}: {count} x {text}", row.name)?;
        }
        if samples().any(Sample::client_was_busy) {
            writeln!(
                out,
                "{}: the client was busy and may have been the limit",
                row.name
            )?;
        }
    }
    let missed: Vec<_> = comparison.missed().collect();
    let judged = comparison.judged().count();
    writeln!(out, "{} of {judged} requirements met", judged - missed.len())?;
    for (row, verdict) in missed {
        writeln!(out, "  not met: {} {}", row.name, labelled(verdict))?;
    }
    Ok(())
}

fn described(bound: Bound) -> String {
    match bound {
        Bound::AtLeast(limit) => format!(">= {limit}"),
        Bound::AtMost(limit) => format!("<= {limit}"),
    }
}

/// Three digits at least, and no more decimals than that takes.
pub(crate) fn figure(figure: f64) -> String {
    match figure.abs() {
        missing if missing.is_nan() => "none".to_owned(),
        small if small < 10.0 => format!("{figure:.2}"),
        middle if middle < 100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Metric;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [1.234, 45.67, 890.1, 12_345.6, -4.0, f64::NAN].map(figure),
            ["1.23", "45.7", "890", "12346", "-4.00", "none"]
        );
    }

    #[test]
    fn a_table_names_what_is_not_met() {
        let verdict = |met, metric| Verdict {
            metric,
            taffrail: 5.0,
            against: None,
            other: Some(10.0),
            ratio: Some(0.5),
            spread: (0.4, 0.6),
            bound: Some(Bound::AtMost(0.45)),
            met: Some(met),
        };
        let comparison = Comparison {
            peer: Some("etcd".to_owned()),
            quick: false,
            rows: vec![Compared {
                name: "put-1x1".to_owned(),
                taffrail: Vec::new(),
                peer: Vec::new(),
                verdicts: vec![verdict(true, Metric::P50), verdict(false, Metric::ServerCpu)],
            }],
        };
        let text = Table(&comparison).to_string();
        assert!(
            text.contains("| put-1x1 | p50 us | 5.00 | 10.0 | 0.50 | 0.40 - 0.60 | <= 0.45 | yes |"),
            "{text}"
        );
        assert!(text.ends_with("1 of 2 requirements met\n  not met: put-1x1 server CPU us each\n"));
    }
}
