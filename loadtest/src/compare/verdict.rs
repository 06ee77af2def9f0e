//! Medians, ratios, their spread, and whether they are good enough.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::sample::{Metric, Sample};

/// A limit on a figure or a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(limit) => figure >= limit,
            Self::AtMost(limit) => figure <= limit,
        }
    }
}

/// What a figure of Taffrail's is divided by before it is held against its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Against {
    /// The peer's figure of the same row.
    Peer,
    /// Taffrail's own figure of another row.
    Row(&'static str),
    /// Nothing.
    Nothing,
}

/// A bound on one figure of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Requirement {
    /// The figure.
    pub(crate) metric: Metric,
    /// What it is divided by.
    pub(crate) against: Against,
    /// Its bound.
    pub(crate) bound: Bound,
}

/// One figure, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// The figure.
    pub(crate) metric: Metric,
    /// Median of Taffrail's runs; NaN if there is none.
    #[serde(deserialize_with = "number")]
    pub(crate) taffrail: f64,
    /// What it is compared with: a row of Taffrail's own, if not the peer.
    pub(crate) against: Option<String>,
    /// Median of what it is compared with.
    pub(crate) other: Option<f64>,
    /// Taffrail's median divided by the other one.
    pub(crate) ratio: Option<f64>,
    /// The smallest and the largest ratio of two runs that followed each other; of the figure itself, if there is nothing
    /// to compare with.
    #[serde(deserialize_with = "numbers")]
    pub(crate) spread: (f64, f64),
    /// What is required.
    pub(crate) bound: Option<Bound>,
    /// Whether it is met, where something is required.
    pub(crate) met: Option<bool>,
}

/// JSON has no NaN and no infinity: both are written as null.
fn number<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

fn numbers<'a, D: Deserializer<'a>>(from: D) -> Result<(f64, f64), D::Error> {
    let (low, high) = <(Option<f64>, Option<f64>)>::deserialize(from)?;
    Ok((low.unwrap_or(f64::NAN), high.unwrap_or(f64::NAN)))
}

/// The samples of one row on both sides, and Taffrail's of the rows before.
pub(crate) struct Evidence<'a> {
    /// Taffrail's.
    pub(crate) taffrail: &'a [Sample],
    /// The peer's, each taken right after Taffrail's; none if there is no peer.
    pub(crate) peer: &'a [Sample],
    /// Taffrail's of other rows.
    pub(crate) own: &'a BTreeMap<&'static str, Vec<Sample>>,
}

/// These are told only where something is required of them: for most rows they say nothing.
const ON_DEMAND: [Metric; 2] = [Metric::Growth, Metric::PeakGrowth];

/// Judges what is required of a row, and tells the other figures that both sides have. A row in which something failed
/// meets nothing, and neither does a figure that is missing.
pub(crate) fn verdicts(required: &[Requirement], evidence: &Evidence<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let told = evidence.taffrail.iter().flat_map(|sample| sample.figures.keys());
    let mut metrics: Vec<Metric> = told
        .chain(required.iter().map(|requirement| &requirement.metric))
        .copied()
        .collect();
    metrics.sort();
    metrics.dedup();
    for metric in metrics {
        let mut judged = required
            .iter()
            .filter(|requirement| requirement.metric == metric)
            .peekable();
        if judged.peek().is_none() && !ON_DEMAND.contains(&metric) {
            verdicts.extend(told_only(metric, evidence));
        }
        verdicts.extend(judged.map(|requirement| judge(requirement, evidence)));
    }
    verdicts
}

/// A figure of which nothing is required.
fn told_only(metric: Metric, evidence: &Evidence<'_>) -> Option<Verdict> {
    let taffrail = figures(metric, evidence.taffrail)?;
    let other = match evidence.peer {
        [] => None,
        peer => Some(figures(metric, peer)?),
    };
    Some(compared(metric, &taffrail, other.as_deref()))
}

fn judge(requirement: &Requirement, evidence: &Evidence<'_>) -> Verdict {
    let Requirement {
        metric,
        against,
        bound,
    } = *requirement;
    let nothing: &[Sample] = &[];
    let other = match against {
        Against::Peer => Some(evidence.peer),
        Against::Row(name) => Some(evidence.own.get(name).map_or(nothing, Vec::as_slice)),
        Against::Nothing => None,
    };
    let sound = evidence
        .taffrail
        .iter()
        .chain(other.into_iter().flatten())
        .all(|sample| sample.errors.is_empty());
    let missing = || vec![f64::NAN];
    let taffrail = figures(metric, evidence.taffrail).unwrap_or_else(missing);
    let other = other.map(|samples| figures(metric, samples).unwrap_or_else(missing));
    let verdict = compared(metric, &taffrail, other.as_deref());
    let judged = verdict.ratio.unwrap_or(verdict.taffrail);
    Verdict {
        against: match against {
            Against::Row(name) => Some(name.to_owned()),
            _ => None,
        },
        bound: Some(bound),
        met: Some(sound && bound.holds(judged)),
        ..verdict
    }
}

/// The figures of all samples; `None` if one has none, or there are no samples.
fn figures(metric: Metric, samples: &[Sample]) -> Option<Vec<f64>> {
    let figures = samples.iter().map(|sample| sample.figures.get(&metric).copied());
    figures
        .collect::<Option<Vec<_>>>()
        .filter(|figures| !figures.is_empty())
}

fn compared(metric: Metric, taffrail: &[f64], other: Option<&[f64]>) -> Verdict {
    let spread = |ratios: &mut dyn Iterator<Item = f64>| {
        ratios.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), ratio| {
            (low.min(ratio), high.max(ratio))
        })
    };
    Verdict {
        metric,
        taffrail: median(taffrail),
        against: None,
        other: other.map(median),
        ratio: other.map(|other| median(taffrail) / median(other)),
        spread: match other {
            Some(other) => spread(&mut taffrail.iter().zip(other).map(|(ours, theirs)| ours / theirs)),
            None => spread(&mut taffrail.iter().copied()),
        },
        bound: None,
        met: None,
    }
}

/// The middle figure, or the mean of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(metric: Metric, figures: &[f64]) -> Vec<Sample> {
        let sample = |figure: &f64| Sample::default().with(metric, *figure);
        figures.iter().map(sample).collect()
    }

    fn requirement(against: Against, bound: Bound) -> Requirement {
        Requirement {
            metric: Metric::ServerCpu,
            against,
            bound,
        }
    }

    /// Whether the requirement is met with these figures of Taffrail's, the peer's, and of the row `fresh`.
    fn met(requirement: Requirement, taffrail: f64, peer: f64, fresh: f64) -> Option<bool> {
        let of = |figure: f64| samples(Metric::ServerCpu, &[figure]);
        let (taffrail, peer, own) = (of(taffrail), of(peer), BTreeMap::from([("fresh", of(fresh))]));
        let evidence = Evidence {
            taffrail: &taffrail,
            peer: &peer,
            own: &own,
        };
        verdicts(&[requirement], &evidence)[0].met
    }

    #[test]
    fn the_median_is_not_moved_by_one_bad_run() {
        assert_eq!(median(&[900.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_ratio_is_of_medians_and_the_spread_of_pairs() {
        let verdict = compared(Metric::Throughput, &[30.0, 20.0, 10.0], Some(&[10.0, 10.0, 20.0]));
        assert_eq!(
            (verdict.taffrail, verdict.other, verdict.ratio),
            (20.0, Some(10.0), Some(2.0))
        );
        assert_eq!(verdict.spread, (0.5, 3.0));
    }

    #[test]
    fn bounds_include_their_limit() {
        let least = requirement(Against::Peer, Bound::AtLeast(1.5));
        let most = requirement(Against::Peer, Bound::AtMost(0.5));
        assert_eq!(
            (met(least, 15.0, 10.0, 1.0), met(least, 14.9, 10.0, 1.0)),
            (Some(true), Some(false))
        );
        assert_eq!(
            (met(most, 5.0, 10.0, 1.0), met(most, 5.1, 10.0, 1.0)),
            (Some(true), Some(false))
        );
    }

    #[test]
    fn a_figure_may_be_held_against_another_row_or_against_nothing() {
        let own = requirement(Against::Row("fresh"), Bound::AtMost(1.2));
        assert_eq!(
            (met(own, 12.0, 1.0, 10.0), met(own, 12.1, 99.0, 10.0)),
            (Some(true), Some(false))
        );
        let absent = requirement(Against::Row("absent"), Bound::AtMost(1.2));
        assert_eq!(met(absent, 1.0, 1.0, 1.0), Some(false));
        let alone = requirement(Against::Nothing, Bound::AtMost(4.0));
        assert_eq!(
            (met(alone, 4.0, 0.1, 0.1), met(alone, 4.1, 99.0, 99.0)),
            (Some(true), Some(false))
        );
    }

    #[test]
    fn failed_operations_and_missing_figures_meet_nothing() {
        let most = requirement(Against::Peer, Bound::AtMost(0.5));
        assert_eq!(met(most, 0.0, 0.0, 1.0), Some(false));
        let mut taffrail = samples(Metric::ServerCpu, &[1.0]);
        let (peer, none) = (samples(Metric::ServerCpu, &[10.0]), BTreeMap::new());
        let judged = |taffrail: &[Sample]| {
            let evidence = Evidence {
                taffrail,
                peer: &peer,
                own: &none,
            };
            verdicts(&[most], &evidence)[0].met
        };
        assert_eq!(judged(&taffrail), Some(true));
        assert_eq!(judged(&[]), Some(false));
        assert_eq!(judged(&samples(Metric::P50, &[1.0])), Some(false));
        taffrail[0].errors.insert("a key is missing".to_owned(), 1);
        assert_eq!(judged(&taffrail), Some(false));
    }

    #[test]
    fn a_missing_figure_survives_being_written_down() {
        let verdict = compared(Metric::P50, &[f64::NAN], Some(&[2.0]));
        let text = serde_json::to_string(&verdict).expect("JSON");
        let read: Verdict = serde_json::from_str(&text).expect("a verdict");
        assert!(read.taffrail.is_nan() && read.other == Some(2.0) && read.ratio.is_none());
    }

    #[test]
    fn figures_that_say_little_are_told_only_when_they_are_asked_for() {
        let taffrail = vec![
            Sample::default()
                .with(Metric::P50, 1.0)
                .with(Metric::PeakGrowth, 3.0),
        ];
        let evidence = Evidence {
            taffrail: &taffrail,
            peer: &[],
            own: &BTreeMap::new(),
        };
        let told = |required: &[Requirement]| verdicts(required, &evidence).len();
        let asked = Requirement {
            metric: Metric::PeakGrowth,
            ..requirement(Against::Nothing, Bound::AtMost(4.0))
        };
        assert_eq!((told(&[]), told(&[asked])), (1, 2));
    }
}
