//! All requirements of a comparison in one picture: where each ratio lies, how far it spreads, and where it must be.

use std::fmt::Write;

use super::axis::{Axis, Scale, Unit};
use super::escaped;
use crate::compare::{Bound, Compared, Comparison, Verdict, figure, labelled};

/// Height of a requirement.
const STEP: f64 = 22.0;
/// Where the names end, and where the marks do.
const LEFT: f64 = 400.0;
const RIGHT: f64 = 880.0;
/// Width of the picture, with room for what is written at the right.
const WIDTH: f64 = 1020.0;
/// Room for the scale.
const TOP: f64 = 30.0;

/// A requirement as it is drawn. A figure that is held against nothing is drawn as its ratio to its limit.
struct Mark {
    name: String,
    ratio: f64,
    spread: (f64, f64),
    bound: Bound,
    met: bool,
    /// What is written at the right.
    text: String,
}

/// The picture; nothing if nothing is required.
pub(super) fn picture(comparison: &Comparison) -> String {
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

fn mark((row, verdict): (&Compared, &Verdict)) -> Option<Mark> {
    let name = format!("{}: {}", row.name, labelled(verdict));
    let (bound, met) = (verdict.bound?, verdict.met == Some(true));
    let says = if met { "met" } else { "not met" };
    let mark = match verdict.ratio {
        Some(ratio) => Mark {
            name,
            ratio,
            spread: verdict.spread,
            bound,
            met,
            text: format!("{ratio:.2} {says}"),
        },
        None => {
            let (limit, (low, high)) = (limit(bound), verdict.spread);
            Mark {
                name,
                ratio: verdict.taffrail / limit,
                spread: (low / limit, high / limit),
                bound: match bound {
                    Bound::AtLeast(_) => Bound::AtLeast(1.0),
                    Bound::AtMost(_) => Bound::AtMost(1.0),
                },
                met,
                text: format!("{} of {} {says}", figure(verdict.taffrail), figure(limit)),
            }
        }
    };
    Some(mark).filter(|mark| mark.ratio.is_finite() && mark.ratio > 0.0)
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
fn row(svg: &mut String, axis: &Axis, mark: &Mark, y: f64) {
    let bound = along(axis, limit(mark.bound));
    let (from, to) = match mark.bound {
        Bound::AtLeast(_) => (bound, RIGHT),
        Bound::AtMost(_) => (LEFT, bound),
    };
    let (low, high) = mark.spread;
    let (low, high) = (along(axis, low), along(axis, high));
    let (x, class) = (along(axis, mark.ratio), if mark.met { "met" } else { "missed" });
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
    put(
        svg,
        format_args!(
            "<text x=\"{}\" y=\"{:.1}\">{}</text>",
            RIGHT + 10.0,
            y + 4.0,
            mark.text
        ),
    );
}

fn put(svg: &mut String, piece: std::fmt::Arguments<'_>) {
    svg.write_fmt(piece).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Metric;

    fn drawn(ratio: Option<f64>, taffrail: f64) -> Option<Mark> {
        let row = Compared {
            name: "row".to_owned(),
            taffrail: Vec::new(),
            peer: Vec::new(),
            verdicts: Vec::new(),
        };
        let verdict = Verdict {
            metric: Metric::Last,
            taffrail,
            against: None,
            other: None,
            ratio,
            spread: (1000.0, 4000.0),
            bound: Some(Bound::AtMost(2000.0)),
            met: Some(false),
        };
        mark((&row, &verdict))
    }

    #[test]
    fn what_is_held_against_nothing_is_drawn_against_its_limit() {
        let mark = drawn(None, 3000.0).expect("a mark");
        assert_eq!(
            (mark.ratio, mark.spread, mark.bound),
            (1.5, (0.5, 2.0), Bound::AtMost(1.0))
        );
        assert_eq!(mark.text, "3000 of 2000 not met");
        assert_eq!(drawn(Some(2.5), 3000.0).expect("a mark").ratio, 2.5);
    }

    #[test]
    fn what_has_no_figure_is_not_drawn() {
        assert!(drawn(None, f64::NAN).is_none() && drawn(Some(f64::INFINITY), 1.0).is_none());
    }
}
