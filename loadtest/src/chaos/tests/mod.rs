//! What keeps its promises is accepted, and for every check there is something planted that it must catch.

mod calls;
mod leases;
mod reads;
mod watches;

use std::time::Instant;

use proptest::prelude::*;

use super::generate::{Bug, Shape, history, history_with};
use super::history::{
    Answer, Body, Call, Event, Hash, Outcome, Put, Range, RangeBody, Refusal, Renewal, Request, Stream,
    Watched,
};
use super::report::{Guarantee, Report};
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
            bug: None,
        },
    )
}

fn assert_holds(report: &Report) {
    assert!(report.holds(), "{report}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_keeps_its_promises_is_accepted(shape in shape()) {
        assert_holds(&check(&history(shape)));
    }

    #[test]
    fn a_history_that_was_written_and_read_is_judged_alike(shape in shape()) {
        let mut file = Vec::new();
        let mut history = history(shape);
        history.write(&mut file).expect("written");
        let read = History::read(&file[..]).expect("read");
        history.calls.sort_by_key(|call| call.invoked);
        prop_assert_eq!(&read, &history);
    }
}

#[test]
fn a_hundred_thousand_calls_are_checked_in_a_moment() {
    let history = history(Shape {
        seed: 7,
        clients: 16,
        calls: 100_000,
        lost: 10,
        streams: 4,
        bug: None,
    });
    let begun = Instant::now();
    let report = check(&history);
    println!("{} in {:?}", report.amount, begun.elapsed());
    assert_holds(&report);
}

/// A good history of some size, different for every seed, in which so many of a thousand calls get no answer.
fn good(seed: u64, lost: u64) -> History {
    history(Shape {
        seed,
        clients: 6,
        calls: 300,
        lost,
        streams: 4,
        bug: None,
    })
}

/// Answered calls, and whether a filter wants them.
fn places(history: &History, wanted: impl Fn(&Call, &Answer) -> bool) -> Vec<usize> {
    let wanted = |call: &Call| matches!(&call.outcome, Outcome::Answered(answer) if wanted(call, answer));
    (0..history.calls.len())
        .filter(|place| wanted(&history.calls[*place]))
        .collect()
}

fn answer(call: &mut Call) -> &mut Answer {
    match &mut call.outcome {
        Outcome::Answered(answer) => answer,
        other => panic!("{other:?} is no answer"),
    }
}

/// Responses with events of one watch stream.
fn with_events(history: &History, stream: usize) -> Vec<usize> {
    let responses = &history.streams[stream].responses;
    (0..responses.len())
        .filter(|place| !responses[*place].events.is_empty())
        .collect()
}

fn middle<T: Copy>(all: &[T]) -> Option<T> {
    all.get(all.len() / 2).copied()
}

/// Plants a bug in many good histories, wherever it can be planted, and demands that each is caught, and that the
/// reports name one of the guarantees (or, if none is given, that there is no order).
fn caught(plant: impl Fn(&mut History) -> Option<()>, named: &[Guarantee]) {
    caught_among(30, plant, named);
}

/// The same where every call was answered. Otherwise calls alone may have an order that is not the true one, which is
/// the measure where watches show too much; then the first difference may be another one.
fn caught_among_answers(plant: impl Fn(&mut History) -> Option<()>, named: &[Guarantee]) {
    caught_among(0, plant, named);
}

fn caught_among(lost: u64, plant: impl Fn(&mut History) -> Option<()>, named: &[Guarantee]) {
    let mut planted = 0;
    for seed in 0..40 {
        let mut history = good(seed, lost);
        if plant(&mut history).is_none() {
            continue;
        }
        planted += 1;
        let report = check(&history);
        let is_named = match named {
            [] => matches!(report.verdict, Verdict::NotLinearizable(_)),
            _ => report
                .violations
                .iter()
                .any(|violation| named.contains(&violation.guarantee)),
        };
        assert!(!report.holds() && is_named, "seed {seed}: {report}");
    }
    assert!(planted >= 20, "planted only {planted} times");
}
