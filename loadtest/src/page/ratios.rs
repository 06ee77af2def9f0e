//! All requirements of a comparison in one picture: where each ratio lies, how far it spreads, and where it must be.

use std::fmt::Write;

use super::axis::{Axis, Scale, Unit};
use super::escaped;
use crate::compare::{Bound, Comparison, Verdict, labelled};

/// Height of a requirement.
const STEP: f64 = 22.0;
/// Where the names end, and where the marks do.
const LEFT: f64 = 400.0;
const RIGHT: f64 = 880.0;
/// Width of the picture, with room for what is written at the right.
const WIDTH: f64 = 970.0;
/// Room for the scale.
const TOP: f64 = 30.0;

/// A requirement that is a ratio.
struct Mark<'a> {
    name: String,
    ratio: f64,
    spread: (f64, f64),
    bound: Bound,
    verdict: &'a Verdict,
}

/// The picture; nothing if no ratio is required.
pub(super) fn figure(comparison: &Comparison) -> String {
    let marks: Vec<_> = comparison.judged().filter_map(mark).collect();
    if marks.is_empty() {
        return String::new();
    }
    let values = marks.iter().flat_map(|mark| [mark.ratio, limit(mark.bound), 1.0]);
    let axis = Axis::new("", Scale::Logarithmic, Unit::Number, values);
    let height = TOP + STEP * marks.len() as f64 + 8.0;
    let mut svg = String::new();
    scale(&mut svg, &axis, height);
    for (number, mark) in marks.iter().enumerate() {
        row(&mut svg, &axis, mark, TOP + STEP * (number as f64 + 0.7));
    }
    format!(
        "<svg class=\"ratios\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"ratios and requirements\">{svg}</svg>\n"
    )
}

fn mark<'a>((row, verdict): (&'a crate::compare::Compared, &'a Verdict)) -> Option<Mark<'a>> {
    Some(Mark {
        name: format!("{}: {}", row.name, labelled(verdict)),
        ratio: verdict.ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0)?,
        spread: verdict.spread,
        bound: verdict.bound?,
        verdict,
    })
}

fn limit(bound: Bound) -> f64 {
    match bound {
        Bound::AtLeast(limit) | Bound::AtMost(limit) => limit,
    }
}

fn along(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.position(value) * (RIGHT - LEFT)
}

fn scale(svg: &mut String, axis: &Axis, height: f64) {
    for (value, label) in axis.ticks() {
        let x = along(axis, value);
        let class = if value == 1.0 { "axis" } else { "grid" };
        put(
            svg,
            format_args!(
                "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{height}\"/>"
            ),
        );
        put(
            svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                TOP - 8.0
            ),
        );
    }
}

/// One requirement: the allowed side as a band, the spread as a line, the ratio as a dot.
fn row(svg: &mut String, axis: &Axis, mark: &Mark<'_>, y: f64) {
    let met = mark.verdict.met == Some(true);
    let bound = along(axis, limit(mark.bound));
    let (from, to) = match mark.bound {
        Bound::AtLeast(_) => (bound, RIGHT),
        Bound::AtMost(_) => (LEFT, bound),
    };
    let (low, high) = mark.spread;
    let (low, high) = (along(axis, low), along(axis, high));
    let (x, class) = (along(axis, mark.ratio), if met { "met" } else { "missed" });
    put(
        svg,
        format_args!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            y + 4.0,
            escaped(&mark.name)
        ),
    );
    put(
        svg,
        format_args!(
            "<rect class=\"allowed\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\"/>",
            y - 6.0,
            to - from
        ),
    );
    put(
        svg,
        format_args!("<line class=\"spread\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"),
    );
    put(
        svg,
        format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{} {:.2}</title></circle>",
            escaped(&mark.name),
            mark.ratio
        ),
    );
    let verdict = if met { "met" } else { "not met" };
    put(
        svg,
        format_args!(
            "<text x=\"{}\" y=\"{:.1}\">{:.2} {verdict}</text>",
            RIGHT + 10.0,
            y + 4.0,
            mark.ratio
        ),
    );
}

fn put(svg: &mut String, piece: std::fmt::Arguments<'_>) {
    svg.write_fmt(piece).expect("a string takes everything");
}
