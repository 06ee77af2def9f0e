use std::time::Instant;

use proptest::prelude::*;

use super::generate::{Shape, history};
use super::report::Report;
use super::*;

fn shape() -> impl Strategy<Value = Shape> {
    // Where no watch helps, many lost calls leave more orders than anybody could try.
    (any::<u64>(), 1..10_u32, 1..400_usize, 0..300_u64, 0..4_u64).prop_map(
        |(seed, clients, calls, lost, streams)| Shape {
            seed,
            clients,
            calls,
            lost: if streams == 0 { lost / 6 } else { lost },
            streams,
        },
    )
}

fn assert_holds(report: &Report) {
    assert!(report.holds(), "{report}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_keeps_its_promises_is_accepted(shape in shape()) {
        assert_holds(&check(&history(shape)));
    }
}

#[test]
fn a_hundred_thousand_calls_are_checked_in_a_moment() {
    let history = history(Shape {
        seed: 9,
        clients: 16,
        calls: 100_000,
        lost: 10,
        streams: 4,
    });
    let begun = Instant::now();
    let report = check(&history);
    println!("{} in {:?}", report.amount, begun.elapsed());
    assert_holds(&report);
}
