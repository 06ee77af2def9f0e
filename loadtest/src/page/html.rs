//! The page around charts and tables.

use std::fmt::Write;

use super::chart::Chart;
use super::{Results, charts, escaped, ratios};
use crate::compare::{Bound, Compared, Comparison, Verdict, figure, labelled};

/// Colours for light and for dark, and everything else about looks.
const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(super) fn page(results: &[Results]) -> String {
    let mut body = String::new();
    for one in results {
        match one {
            Results::Comparison(comparison) => compared(&mut body, comparison),
            Results::Sweep(sweep) => {
                section(
                    &mut body,
                    "More clients",
                    "10,000 keys of 1 KiB; each client waits for its answer before it calls again.",
                    &charts::by_clients(sweep),
                );
                section(
                    &mut body,
                    "More keys",
                    "Server CPU of one operation, and memory, from a thousand keys up.",
                    &charts::by_keys(sweep),
                );
            }
            Results::Run(run) => {
                let text = run.to_string();
                section(&mut body, "One run", "", &[charts::latency_of_run(run)]);
                put(&mut body, format_args!("<pre>{}</pre>\n", escaped(&text)));
            }
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Taffrail: measurements</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Taffrail: measurements</h1>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn compared(body: &mut String, comparison: &Comparison) {
    let title = match &comparison.peer {
        Some(peer) => format!("Taffrail and {peer}"),
        None => "Limits".to_owned(),
    };
    let (judged, missed) = (comparison.judged().count(), comparison.missed().count());
    put(
        body,
        format_args!(
            "<h2>{}</h2>\n<p>{} of {judged} requirements met.",
            escaped(&title),
            judged - missed
        ),
    );
    let quick = if comparison.quick {
        " Runs were short: these figures are rough."
    } else {
        ""
    };
    put(body, format_args!("{quick}</p>\n"));
    let picture = ratios::picture(comparison);
    let other = comparison.peer.as_deref().unwrap_or("other rows");
    if !picture.is_empty() {
        put(
            body,
            format_args!(
                "<h3>What is required, and where it lies</h3>\n<p class=\"legend\"><span class=\"swatch allowed\"></span> allowed \
             <span class=\"swatch met\"></span> met <span class=\"swatch missed\"></span> not met; the line is the spread of runs; figures are ratios to {}, or what is said at the right</p>\n{picture}",
                escaped(other)
            ),
        );
    }
    section(
        body,
        "Latencies",
        "The share of operations that took no longer, on a scale of nines.",
        &charts::latencies(comparison),
    );
    table(body, comparison);
}

fn section(body: &mut String, title: &str, text: &str, charts: &[Chart]) {
    let figures: String = charts.iter().map(Chart::figure).collect();
    if !figures.is_empty() {
        put(
            body,
            format_args!("<h3>{title}</h3>\n<p>{text}</p>\n<div class=\"charts\">\n{figures}</div>\n"),
        );
    }
}

fn table(body: &mut String, comparison: &Comparison) {
    let other = comparison.peer.as_deref().unwrap_or("other");
    put(
        body,
        format_args!(
            "<details><summary>All figures</summary>\n<table>\n<tr><th>row</th><th>figure</th><th>taffrail</th><th>{}</th>\
             <th>ratio</th><th>spread</th><th>required</th><th>met</th></tr>\n",
            escaped(other)
        ),
    );
    for row in &comparison.rows {
        for (number, verdict) in row.verdicts.iter().enumerate() {
            line(body, row, verdict, number == 0);
        }
    }
    body.push_str("</table>\n</details>\n");
}

fn line(body: &mut String, row: &Compared, verdict: &Verdict, first: bool) {
    let name = if first { row.name.as_str() } else { "" };
    let (low, high) = verdict.spread;
    let required = match verdict.bound {
        None => String::new(),
        Some(Bound::AtLeast(limit)) => format!("at least {limit}"),
        Some(Bound::AtMost(limit)) => format!("at most {limit}"),
    };
    let (class, met) = match verdict.met {
        None => ("", ""),
        Some(true) => ("yes", "yes"),
        Some(false) => ("no", "NO"),
    };
    put(
        body,
        format_args!(
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} - {}</td><td>{required}</td>\
             <td class=\"{class}\">{met}</td></tr>\n",
            if first { " class=\"first\"" } else { "" },
            escaped(name),
            escaped(&labelled(verdict)),
            figure(verdict.taffrail),
            verdict.other.map(figure).unwrap_or_default(),
            verdict.ratio.map(figure).unwrap_or_default(),
            figure(low),
            figure(high),
        ),
    );
}

fn put(body: &mut String, piece: std::fmt::Arguments<'_>) {
    body.write_fmt(piece).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Metric;

    fn verdict(ratio: f64, met: bool) -> Verdict {
        Verdict {
            metric: Metric::ServerCpu,
            taffrail: 10.0 * ratio,
            against: None,
            other: Some(10.0),
            ratio: Some(ratio),
            spread: (ratio / 1.1, ratio * 1.1),
            bound: Some(Bound::AtMost(0.4)),
            met: Some(met),
        }
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_tells_what_is_met() {
        let comparison = Comparison {
            peer: Some("etcd".to_owned()),
            quick: true,
            rows: vec![Compared {
                name: "put-64x4".to_owned(),
                taffrail: Vec::new(),
                peer: Vec::new(),
                verdicts: vec![verdict(0.3, true), verdict(0.5, false)],
            }],
        };
        let page = page(&[Results::Comparison(comparison)]);
        assert!(page.contains("1 of 2 requirements met"));
        assert_eq!(page.matches("<circle class=\"met\"").count(), 1);
        assert_eq!(page.matches("<circle class=\"missed\"").count(), 1);
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("NaN"));
        assert!(page.contains("prefers-color-scheme: dark"));
    }
}
