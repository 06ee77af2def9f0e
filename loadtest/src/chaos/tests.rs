use std::time::Instant;

use proptest::prelude::*;

use super::generate::{Bug, Shape, history, history_with};
use super::history::{Answer, Body, Call, Event, Hash, Outcome, Request, Watched};
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

/// A good history of some size, different for every seed.
fn good(seed: u64) -> History {
    history(Shape {
        seed,
        clients: 6,
        calls: 300,
        lost: 30,
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
    let mut planted = 0;
    for seed in 0..40 {
        let mut history = good(seed);
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

/// Has the cluster itself do something wrong, and demands that calls show it, with so many of a thousand lost and so
/// many watches.
fn caught_in_calls(bug: Bug, lost: u64, streams: u64) {
    let mut planted = 0;
    for seed in 0..60 {
        let shape = Shape {
            seed,
            clients: 6,
            calls: 300,
            lost,
            streams,
            bug: Some(bug),
        };
        let Some(history) = history_with(shape) else {
            continue;
        };
        planted += 1;
        let report = check(&history);
        assert!(
            matches!(report.verdict, Verdict::NotLinearizable(_)),
            "seed {seed}: {report}"
        );
    }
    assert!(planted >= 30, "planted only {planted} times");
}

#[test]
fn a_lost_acknowledgement_is_caught() {
    caught_in_calls(Bug::LostWrite, 0, 0);
    caught_in_calls(Bug::LostWrite, 20, 1);
}

#[test]
fn a_doubled_write_is_caught() {
    // Without a watch, the second write may pass for another one whose answer was lost.
    caught_in_calls(Bug::DoubledWrite, 0, 0);
    caught_in_calls(Bug::DoubledWrite, 20, 1);
}

#[test]
fn a_stale_read_is_caught() {
    caught_in_calls(Bug::StaleRead, 0, 0);
    caught_in_calls(Bug::StaleRead, 20, 1);
}

#[test]
fn a_revision_that_goes_back_is_caught() {
    caught_in_calls(Bug::Rollback, 20, 0);
}

#[test]
fn a_swallowed_event_is_caught() {
    let swallow = |history: &mut History| {
        let place = middle(&with_events(history, 0))?;
        history.streams[0].responses[place].events.pop()?;
        Some(())
    };
    caught(
        swallow,
        &[Guarantee::Reliable, Guarantee::Bookmarkable, Guarantee::Settled],
    );
}

#[test]
fn a_first_event_that_is_swallowed_is_caught() {
    let swallow = |history: &mut History| {
        let place = *with_events(history, 0).first()?;
        history.streams[0].responses.remove(place);
        Some(())
    };
    caught(swallow, &[Guarantee::Resumable]);
}

#[test]
fn a_last_event_that_is_swallowed_is_caught() {
    let swallow = |history: &mut History| {
        let place = *with_events(history, 0).last()?;
        history.streams[0].responses.truncate(place);
        Some(())
    };
    caught(swallow, &[Guarantee::Settled]);
}

#[test]
fn a_notice_of_progress_that_is_sent_early_is_caught() {
    let notify = |history: &mut History| {
        let place = middle(&with_events(history, 0))?;
        let responses = &mut history.streams[0].responses;
        let early = Watched {
            at: responses[place].at,
            revision: responses[place].revision,
            ..Watched::default()
        };
        responses.insert(place, early);
        Some(())
    };
    caught(notify, &[Guarantee::Bookmarkable]);
}

#[test]
fn events_out_of_order_are_caught() {
    let swap = |history: &mut History| {
        let places = with_events(history, 0);
        let place = middle(&places)?;
        let next = *places.iter().find(|other| **other > place)?;
        let responses = &mut history.streams[0].responses;
        responses.swap(place, next);
        Some(())
    };
    caught(swap, &[Guarantee::Ordered]);
}

#[test]
fn an_event_that_comes_twice_is_caught() {
    let repeat = |history: &mut History| {
        let place = middle(&with_events(history, 0))?;
        let responses = &mut history.streams[0].responses;
        let event = responses[place].events[0].clone();
        responses[place].events.insert(0, event);
        Some(())
    };
    caught(repeat, &[Guarantee::Unique]);
}

/// One revision is told in two responses.
#[test]
fn a_split_revision_is_caught() {
    let split = |history: &mut History| {
        let responses = &mut history.streams[0].responses;
        let place = responses.iter().position(|response| response.events.len() > 1)?;
        let rest = responses[place].events.split_off(1);
        let second = Watched {
            events: rest,
            ..responses[place].clone()
        };
        responses.insert(place + 1, second);
        Some(())
    };
    caught(split, &[Guarantee::Atomic]);
}

/// Two writes were answered with one revision.
#[test]
fn a_revision_that_two_writes_made_is_caught() {
    let share = |history: &mut History| {
        let writes = places(history, |_, answer| answer.body.tells_change());
        let [first, second] = [writes[writes.len() / 2], *writes.last()?];
        let revision = answer(&mut history.calls[first]).revision;
        answer(&mut history.calls[second]).revision = revision;
        Some(())
    };
    caught(share, &[]);
}

#[test]
fn a_wrong_pair_before_is_caught() {
    let falsify = |history: &mut History| {
        let stream = history
            .streams
            .iter_mut()
            .find(|stream| stream.watches.values().all(|watch| watch.prev_kv))?;
        let mut events = stream
            .responses
            .iter_mut()
            .flat_map(|response| &mut response.events);
        let event: &mut Event = events.find(|event| event.previous.is_some())?;
        event.previous.as_mut()?.value = "something else".into();
        Some(())
    };
    caught(falsify, &[Guarantee::PrevKv]);
}

#[test]
fn an_event_that_lies_about_creation_is_caught() {
    let lie = |history: &mut History| {
        let events = history.streams[0]
            .responses
            .iter_mut()
            .flat_map(|response| &mut response.events);
        let mut updates = events.filter(|event| !event.delete && event.pair.version > 1);
        let event = updates.next()?;
        event.pair.create_revision = event.pair.mod_revision;
        Some(())
    };
    caught(lie, &[Guarantee::IsCreate]);
}

#[test]
fn an_event_outside_the_range_is_caught() {
    let stray = |history: &mut History| {
        let place = middle(&with_events(history, 0))?;
        history.streams[0].responses[place].events[0].pair.key = "other".into();
        Some(())
    };
    caught(stray, &[Guarantee::Filter]);
}

#[test]
fn unequal_hashes_are_caught() {
    let differ = |history: &mut History| {
        for member in 0..3 {
            history.hashes.push(Hash {
                member,
                revision: 9,
                compact_revision: 3,
                hash: 77 + member / 2,
            });
        }
        Some(())
    };
    caught(differ, &[Guarantee::HashKv]);
}

/// A member that had shown a revision shows an older one.
#[test]
fn a_member_that_goes_back_is_caught() {
    let go_back = |history: &mut History| {
        let alone = places(history, |call, answer| {
            !call.request.is_linearizable() && answer.revision < 20
        });
        let old = history.calls[*alone.first()?].clone();
        let late = places(history, |call, answer| {
            !call.request.is_linearizable() && call.member == old.member && answer.revision > 40
        });
        let late = &mut history.calls[*late.last()?];
        (late.request, late.outcome) = (old.request, old.outcome);
        Some(())
    };
    caught(go_back, &[Guarantee::SerializableReads]);
}

#[test]
fn a_serializable_read_of_what_never_was_is_caught() {
    let lie = |history: &mut History| {
        let reads = places(history, |call, answer| {
            let values =
                matches!(&call.request, Request::Range(range) if range.serializable && !range.keys_only);
            values && matches!(&answer.body, Body::Range(found) if !found.pairs.is_empty())
        });
        let read = middle(&reads)?;
        let Body::Range(found) = &mut answer(&mut history.calls[read]).body else {
            return None;
        };
        found.pairs[0].value = "never written".into();
        Some(())
    };
    let mut seen = 0;
    for seed in 0..20 {
        let mut history = good(seed);
        if lie(&mut history).is_some() {
            seen += 1;
            assert!(!check(&history).holds(), "seed {seed}");
        }
    }
    assert!(seen > 10, "planted only {seen} times");
}

/// An explanation comes with a piece of the history that fails by itself, and is short.
#[test]
fn a_failure_is_explained_by_a_short_piece() {
    let shape = Shape {
        seed: 3,
        clients: 6,
        calls: 2000,
        lost: 20,
        streams: 0,
        bug: Some(Bug::LostWrite),
    };
    let history = history_with(shape).expect("an occasion for the bug");
    let Verdict::NotLinearizable(explanation) = check(&history).verdict else {
        panic!("a write was lost");
    };
    println!("{explanation}");
    let window = explanation.window.expect("a window");
    assert!(window.calls.len() < 60, "{} calls", window.calls.len());
    assert!(matches!(
        linearizability::check(&window, &Sightings::of_calls(&window)),
        Verdict::NotLinearizable(_)
    ));
}
