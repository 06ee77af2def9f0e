//! Where a value lies on an axis, and what is written beside it.

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By their logarithm.
    Logarithmic,
    /// Shares of a whole by how many nines they have: 0, 90 %, 99 %, 99.9 %, 99.99 %.
    Nines,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Plain numbers.
    Number,
    /// Microseconds.
    Microseconds,
    /// MiB.
    Mebibytes,
    /// Shares of a whole.
    Share,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// What it shows.
    pub(super) name: String,
    scale: Scale,
    unit: Unit,
    low: f64,
    high: f64,
    /// What is written at the axis, if that is not left to the scale.
    marks: Vec<f64>,
}

/// Least distance between two marks, as a share of the axis.
const APART: f64 = 0.1;

impl Axis {
    /// An axis on which all of these values have room.
    pub(super) fn new(name: &str, scale: Scale, unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = match scale {
            Scale::Linear => (0.0, high.max(f64::MIN_POSITIVE) * 1.06),
            Scale::Logarithmic => {
                let low = low.max(f64::MIN_POSITIVE);
                (low / 1.15, high.max(low) * 1.15)
            }
            Scale::Nines => (0.0, 0.9999),
        };
        Self {
            name: name.to_owned(),
            scale,
            unit,
            low,
            high,
            marks: Vec::new(),
        }
    }

    /// The same with these values written at it, as far as there is room between them.
    pub(super) fn marked(mut self, values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let mut last = f64::NEG_INFINITY;
        values.retain(|value| {
            let position = self.position(*value);
            let room = position - last >= APART;
            if room {
                last = position;
            }
            room
        });
        self.marks = values;
        self
    }

    /// Where the value lies: 0 at the beginning, 1 at the end.
    pub(super) fn position(&self, value: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(self.low).ln(),
            Scale::Nines => -(1.0 - value.min(self.high)).log10(),
        };
        let (low, high) = (along(self.low), along(self.high));
        ((along(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The values that are written at the axis, and how.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let values = match self.scale {
            _ if !self.marks.is_empty() => self.marks.clone(),
            Scale::Linear => even(self.high),
            Scale::Logarithmic => within_decades(self.low, self.high),
            Scale::Nines => vec![0.0, 0.9, 0.99, 0.999, 0.9999],
        };
        values
            .into_iter()
            .map(|value| (value, self.text(value)))
            .collect()
    }

    /// A value as people read it.
    pub(super) fn text(&self, value: f64) -> String {
        match self.unit {
            Unit::Number => short(value),
            Unit::Microseconds if value >= 1e6 => format!("{} s", short(value / 1e6)),
            Unit::Microseconds if value >= 1e3 => format!("{} ms", short(value / 1e3)),
            Unit::Microseconds => format!("{} us", short(value)),
            Unit::Mebibytes => format!("{} MiB", short(value)),
            Unit::Share => format!("{} %", trimmed(value * 100.0, 2)),
        }
    }
}

/// Four or five even steps from 0.
fn even(high: f64) -> Vec<f64> {
    let rough = high / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let count = (high / step).floor() as usize;
    (0..=count).map(|number| number as f64 * step).collect()
}

/// Powers of ten, and 2 and 5 between them where there are few.
fn within_decades(low: f64, high: f64) -> Vec<f64> {
    let decades = (low.log10().floor() as i32..=high.log10().ceil() as i32).map(|power| 10_f64.powi(power));
    let wide = (high / low).log10() > 2.2;
    let between: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
    decades
        .flat_map(|decade| between.iter().map(move |step| step * decade))
        .filter(|value| (low..=high).contains(value))
        .collect()
}

fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1e6 => format!("{}M", trimmed(value / 1e6, 1)),
        middle if middle >= 1e3 => format!("{}k", trimmed(value / 1e3, 1)),
        small if small >= 10.0 => trimmed(value, 0),
        _ => trimmed(value, 2),
    }
}

/// The number with so many decimals at most.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, unit: Unit, values: &[f64]) -> Axis {
        Axis::new("", scale, unit, values.iter().copied())
    }

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn an_even_axis_begins_at_nothing() {
        let axis = axis(Scale::Linear, Unit::Number, &[12_000.0, 38_000.0]);
        assert_eq!(labels(&axis), ["0", "20k", "40k"]);
        assert_eq!(axis.position(0.0), 0.0);
        assert!(axis.position(38_000.0) < 1.0);
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten_or_more() {
        let wide = axis(Scale::Logarithmic, Unit::Number, &[1000.0, 1_000_000.0]);
        assert_eq!(labels(&wide), ["1k", "10k", "100k", "1M"]);
        let narrow = axis(Scale::Logarithmic, Unit::Microseconds, &[300.0, 3000.0]);
        assert_eq!(labels(&narrow), ["500 us", "1 ms", "2 ms"]);
        assert!((narrow.position(948.7) - 0.5).abs() < 0.01);
    }

    #[test]
    fn nines_are_as_far_apart_as_they_are_hard_to_reach() {
        let axis = axis(Scale::Nines, Unit::Share, &[]);
        assert_eq!(labels(&axis), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert!((axis.position(0.99) - 0.5).abs() < 1e-9);
        assert_eq!(axis.position(1.0), 1.0);
    }

    #[test]
    fn marks_are_written_where_there_is_room() {
        let clients = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 4.0];
        let axis = axis(Scale::Logarithmic, Unit::Number, &clients).marked(clients.into_iter());
        assert_eq!(labels(&axis), ["1", "4", "16", "64", "128", "256"]);
        let close = axis.marked([100.0, 101.0, 1.0].into_iter());
        assert_eq!(labels(&close), ["1", "100"]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.25, 7.5, 64.0, 1500.0, 2e6].map(short),
            ["0.25", "7.5", "64", "1.5k", "2M"]
        );
    }
}
