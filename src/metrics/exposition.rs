//! The text that Prometheus reads, format 0.0.4.
//!
//! Written by hand and not by a client library, since the names are etcd's: some of its counters end in
//! `_total` and some do not, and the values come from snapshots that the pipeline keeps anyway.

use std::fmt::{Display, Write};

use actors::HistogramSnapshot;

/// A page being written. Families must be written one after the other, each with all its samples.
#[derive(Default)]
pub(crate) struct Exposition {
    text: String,
}

/// A name and a value, in braces behind a metric's name.
pub(crate) type Label<'a> = (&'a str, &'a str);

impl Exposition {
    /// The finished page.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// Begins a family of this kind: counter, gauge or histogram.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _infallible = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family.
    pub(crate) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.text.push_str(name);
        self.labels(labels);
        let _infallible = writeln!(self.text, " {value}");
    }

    /// A family of one gauge.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A family of one counter.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A histogram of durations, in seconds.
    pub(crate) fn durations(&mut self, name: &str, labels: &[Label<'_>], snapshot: &HistogramSnapshot) {
        self.scaled(name, labels, snapshot, 1e9);
    }

    /// A histogram of durations in a unit of this many nanoseconds.
    pub(crate) fn scaled(
        &mut self,
        name: &str,
        labels: &[Label<'_>],
        snapshot: &HistogramSnapshot,
        unit: f64,
    ) {
        let (bucket_name, last) = (format!("{name}_bucket"), snapshot.buckets.len().saturating_sub(1));
        let mut seen = 0;
        for (exponent, count) in snapshot.buckets.iter().enumerate() {
            seen += count;
            let bound = if exponent == last {
                "+Inf".to_owned()
            } else {
                (nanos_of_bucket(exponent) / unit).to_string()
            };
            self.sample(&bucket_name, &with(labels, ("le", &bound)), seen);
        }
        #[expect(clippy::cast_precision_loss, reason = "a sum of durations needs no more")]
        self.sample(&format!("{name}_sum"), labels, snapshot.sum_nanos as f64 / unit);
        self.sample(&format!("{name}_count"), labels, snapshot.count);
    }

    /// A histogram of counts by powers of two, in which bucket `n` counts what is below `2^n`.
    pub(crate) fn sizes(&mut self, name: &str, buckets: &[u64], sum: u64) {
        let (bucket_name, last) = (format!("{name}_bucket"), buckets.len().saturating_sub(1));
        let mut seen = 0;
        for (exponent, count) in buckets.iter().enumerate() {
            seen += count;
            let bound = if exponent == last {
                "+Inf".to_owned()
            } else {
                ((1_u64 << exponent) - 1).to_string()
            };
            self.sample(&bucket_name, &[("le", &bound)], seen);
        }
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], seen);
    }

    fn labels(&mut self, labels: &[Label<'_>]) {
        for (index, (name, value)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _infallible = write!(self.text, "{open}{name}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
    }
}

fn with<'a>(labels: &[Label<'a>], last: Label<'a>) -> Vec<Label<'a>> {
    labels.iter().copied().chain(std::iter::once(last)).collect()
}

/// The upper bound of a bucket of the pipeline's histograms, which go by powers of two of a microsecond.
fn nanos_of_bucket(exponent: usize) -> f64 {
    1e3 * 2_f64.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut page = Exposition::default();
        page.counter("c_total", "Counts.", 3);
        page.family("g", "gauge", "Gauges.");
        page.sample("g", &[("a", "x\"y"), ("b", "")], 1.5);
        let expected = "# HELP c_total Counts.\n# TYPE c_total counter\nc_total 3\n\
                        # HELP g Gauges.\n# TYPE g gauge\ng{a=\"x\\\"y\",b=\"\"} 1.5\n";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn histograms_are_cumulative_and_end_in_infinity() {
        let snapshot = HistogramSnapshot {
            buckets: vec![1, 0, 2],
            sum_nanos: 5_000_000_000,
            count: 3,
        };
        let mut page = Exposition::default();
        page.durations("d_seconds", &[("x", "y")], &snapshot);
        let expected = "d_seconds_bucket{x=\"y\",le=\"0.000001\"} 1\nd_seconds_bucket{x=\"y\",le=\"0.000002\"} 1\n\
                        d_seconds_bucket{x=\"y\",le=\"+Inf\"} 3\nd_seconds_sum{x=\"y\"} 5\nd_seconds_count{x=\"y\"} 3\n";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn sizes_are_bounded_inclusively() {
        let mut page = Exposition::default();
        page.sizes("s", &[0, 4, 1], 7);
        let expected =
            "s_bucket{le=\"0\"} 0\ns_bucket{le=\"1\"} 4\ns_bucket{le=\"+Inf\"} 5\ns_sum 7\ns_count 5\n";
        assert_eq!(page.finish(), expected);
    }
}
