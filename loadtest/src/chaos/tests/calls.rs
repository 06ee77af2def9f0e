//! Planted in what calls are answered: it must leave no order.

use super::*;

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

#[test]
fn a_lease_that_lives_shorter_than_was_asked_is_caught() {
    let shorten = |history: &mut History| {
        let grants = places(history, |call, _| {
            matches!(call.request, Request::LeaseGrant { .. })
        });
        let grant = middle(&grants)?;
        let Body::LeaseGrant { ttl, .. } = &mut answer(&mut history.calls[grant]).body else {
            return None;
        };
        *ttl -= 1;
        Some(())
    };
    caught(shorten, &[]);
}

#[test]
fn a_client_that_calls_two_things_at_a_time_is_caught() {
    let overlap = |history: &mut History| {
        let last = history.calls.len() - 2;
        let client = history.calls[last].client;
        let before = history.calls[..last]
            .iter()
            .rposition(|call| call.client == client)?;
        history.calls[last].invoked = history.calls[before].returned - 1;
        Some(())
    };
    caught(overlap, &[Guarantee::Assumptions]);
}

#[test]
fn a_refusal_that_nothing_deserves_is_caught() {
    let refuse = |history: &mut History| {
        let reads = places(history, |call, _| !call.request.is_write());
        history.calls[middle(&reads)?].outcome = Outcome::Refused(Refusal::Other("no".to_owned()));
        Some(())
    };
    caught(refuse, &[Guarantee::Assumptions]);
}
