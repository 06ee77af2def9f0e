//! Line charts as inline SVG. Colours are the page's, by class, so that they follow its light or dark dress.

use std::fmt::Write;

use super::axis::Axis;
use super::escaped;

/// Size of a chart in its own units, which the page scales.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 280.0;
/// What is left for labels: left, right, top and bottom.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 78.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// Least distance between two labels at the ends of lines.
const LABEL_HEIGHT: f64 = 14.0;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// What it is of.
    pub(super) name: String,
    /// Number of its colour.
    pub(super) colour: usize,
    /// Its points.
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: String,
    /// The axis below.
    pub(super) x: Axis,
    /// The axis at the left.
    pub(super) y: Axis,
    /// The lines.
    pub(super) lines: Vec<Line>,
}

impl Chart {
    /// The chart as a figure of the page; nothing if it has no points.
    pub(super) fn figure(&self) -> String {
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return String::new();
        }
        let mut svg = String::new();
        self.grid(&mut svg);
        for line in &self.lines {
            self.line(&mut svg, line);
        }
        self.names(&mut svg);
        format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{}\">{svg}</svg></figure>\n",
            escaped(&self.title),
            escaped(&self.title)
        )
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.position(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.position(y) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, label) in self.y.ticks() {
            let (_, y) = self.at((f64::NAN, value));
            put(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
                ),
            );
            put(
                svg,
                format_args!(
                    "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                    LEFT - 6.0,
                    y + 4.0
                ),
            );
        }
        for (value, label) in self.x.ticks() {
            let (x, _) = self.at((value, f64::NAN));
            put(
                svg,
                format_args!(
                    "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                    bottom + 16.0
                ),
            );
        }
        put(
            svg,
            format_args!(
                "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>"
            ),
        );
        let middle = f64::midpoint(LEFT, right);
        put(
            svg,
            format_args!(
                "<text class=\"name\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - 8.0,
                escaped(&self.x.name)
            ),
        );
    }

    fn line(&self, svg: &mut String, line: &Line) {
        let colour = line.colour;
        let mut path = String::new();
        for (number, point) in line.points.iter().enumerate() {
            let (x, y) = self.at(*point);
            put(
                &mut path,
                format_args!("{}{x:.1} {y:.1}", if number == 0 { "M" } else { "L" }),
            );
        }
        put(svg, format_args!("<path class=\"line c{colour}\" d=\"{path}\"/>"));
        // A curve of many points is drawn as a line; the points of a few measurements are shown.
        if line.points.len() > 12 {
            return;
        }
        for point in &line.points {
            let (x, y) = self.at(*point);
            let tip = format!(
                "{}: {} at {}",
                line.name,
                self.y.text(point.1),
                self.x.text(point.0)
            );
            put(
                svg,
                format_args!(
                    "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
                    escaped(&tip)
                ),
            );
        }
    }

    /// The lines' names at their ends, moved apart where they would lie on each other.
    fn names(&self, svg: &mut String) {
        let mut ends: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| Some((self.at(*line.points.last()?), line)))
            .collect();
        ends.sort_by(|((_, one), _), ((_, other), _)| one.total_cmp(other));
        let mut lowest = TOP - LABEL_HEIGHT;
        for ((x, y), line) in ends {
            lowest = y.max(lowest + LABEL_HEIGHT);
            put(
                svg,
                format_args!(
                    "<text class=\"series c{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    line.colour,
                    x + 8.0,
                    lowest + 4.0,
                    escaped(&line.name)
                ),
            );
        }
    }
}

fn put(svg: &mut String, piece: std::fmt::Arguments<'_>) {
    svg.write_fmt(piece).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::axis::{Scale, Unit};

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line {
            name: name.to_owned(),
            colour: 0,
            points: points.to_vec(),
        }
    }

    fn chart(lines: Vec<Line>) -> Chart {
        let points = || lines.iter().flat_map(|line| line.points.iter().copied());
        Chart {
            title: "a < b".to_owned(),
            x: Axis::new(
                "clients",
                Scale::Logarithmic,
                Unit::Number,
                points().map(|(x, _)| x),
            ),
            y: Axis::new("", Scale::Linear, Unit::Number, points().map(|(_, y)| y)),
            lines,
        }
    }

    #[test]
    fn every_point_is_drawn_within_the_frame() {
        let chart = chart(vec![line("one", &[(1.0, 10.0), (256.0, 90_000.0)])]);
        for point in &chart.lines[0].points {
            let (x, y) = chart.at(*point);
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y));
        }
        let figure = chart.figure();
        assert_eq!(figure.matches("<circle").count(), 2);
        assert!(figure.contains("a &lt; b") && !figure.contains("NaN"), "{figure}");
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let figure = chart(vec![
            line("one", &[(1.0, 10.0), (2.0, 10.0)]),
            line("two", &[(1.0, 11.0), (2.0, 10.0)]),
        ])
        .figure();
        let heights: Vec<f64> = figure
            .split("class=\"series")
            .skip(1)
            .filter_map(|rest| rest.split("y=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(heights.len(), 2);
        assert!((heights[1] - heights[0]).abs() >= LABEL_HEIGHT);
    }

    #[test]
    fn a_chart_without_points_is_left_out() {
        assert_eq!(chart(vec![line("one", &[])]).figure(), "");
    }
}
