//! Planted in what watches see.

use super::*;

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

/// The watch of another stream than the first, from which all events are known, and a place with events in it.
fn other_events(history: &mut History) -> Option<&mut Vec<Event>> {
    let stream = (1..history.streams.len()).find(|stream| !with_events(history, *stream).is_empty())?;
    let place = middle(&with_events(history, stream))?;
    Some(&mut history.streams[stream].responses[place].events)
}

#[test]
fn an_event_with_another_value_is_caught() {
    let falsify = |history: &mut History| {
        let mut events = other_events(history)?.iter_mut();
        let event = events.find(|event| !event.delete)?;
        event.pair.value = "never written".into();
        Some(())
    };
    caught(falsify, &[Guarantee::Truthful]);
}

#[test]
fn an_event_that_says_deleted_for_put_is_caught() {
    let falsify = |history: &mut History| {
        let mut events = other_events(history)?.iter_mut();
        let event = events.find(|event| !event.delete)?;
        event.delete = true;
        event.pair.value = "".into();
        Some(())
    };
    caught(falsify, &[Guarantee::Truthful]);
}

#[test]
fn an_event_that_nobody_made_is_caught() {
    let invent = |history: &mut History| {
        let place = *with_events(history, 0).last()?;
        let responses = &mut history.streams[0].responses;
        let mut event = responses[place].events.last()?.clone();
        let end = responses.len();
        event.pair.mod_revision = responses[end - 1].revision + 1;
        let response = Watched {
            revision: event.pair.mod_revision,
            events: vec![event],
            ..responses[place].clone()
        };
        responses.push(response);
        Some(())
    };
    caught_among_answers(invent, &[Guarantee::Reliable]);
}

fn first_with(history: &mut History, prev_kv: bool) -> Option<&mut Stream> {
    let mut streams = history.streams.iter_mut();
    streams.find(|stream| stream.watches.values().all(|watch| watch.prev_kv == prev_kv))
}

#[test]
fn a_pair_before_that_nobody_asked_for_is_caught() {
    let tell = |history: &mut History| {
        let name = |event: &Event| (event.revision(), event.pair.key.clone());
        let asked: Vec<_> = first_with(history, true)?
            .responses
            .iter()
            .flat_map(|response| response.events.clone())
            .collect();
        let stream = first_with(history, false)?;
        let events = stream
            .responses
            .iter_mut()
            .flat_map(|response| &mut response.events);
        for event in events {
            let mut same = asked.iter().filter(|other| name(other) == name(event));
            if let Some(previous) = same.find_map(|other| other.previous.clone()) {
                event.previous = Some(previous);
                return Some(());
            }
        }
        None
    };
    caught(tell, &[Guarantee::PrevKv]);
}

#[test]
fn a_pair_before_that_is_missing_is_caught() {
    let withhold = |history: &mut History| {
        let compacted = history.calls.iter().filter_map(|call| match call.request {
            Request::Compact { revision } => Some(revision),
            _ => None,
        });
        let compacted = compacted.max().unwrap_or(0);
        let stream = first_with(history, true)?;
        let mut events = stream
            .responses
            .iter_mut()
            .flat_map(|response| &mut response.events);
        let event = events.find(|event| event.previous.is_some() && event.revision() > compacted)?;
        event.previous = None;
        Some(())
    };
    caught(withhold, &[Guarantee::PrevKv]);
}

#[test]
fn a_notice_of_progress_that_goes_back_is_caught() {
    let go_back = |history: &mut History| {
        let responses = &mut history.streams[0].responses;
        let last = responses.last()?.clone();
        responses.push(Watched {
            revision: last.revision - 1,
            ..last
        });
        Some(())
    };
    caught(go_back, &[Guarantee::Bookmarkable]);
}

#[test]
fn a_notice_of_a_revision_that_nobody_made_is_caught() {
    let invent = |history: &mut History| {
        history.streams[0].responses.last_mut()?.revision += 1;
        Some(())
    };
    caught_among_answers(invent, &[Guarantee::Bookmarkable]);
}

#[test]
fn a_header_behind_its_events_is_caught() {
    let lower = |history: &mut History| {
        let place = middle(&with_events(history, 0))?;
        history.streams[0].responses[place].revision -= 1;
        Some(())
    };
    caught(lower, &[Guarantee::Bookmarkable]);
}

/// The message that ends a watch.
fn end(compact_revision: i64, history: &History) -> Watched {
    let last = history.streams[0].responses.last();
    Watched {
        at: last.map_or(0, |response| response.at),
        canceled: true,
        compact_revision,
        ..Watched::default()
    }
}

/// The oldest revision that somebody compacted and that a watch from the beginning had not come to.
fn compacted(history: &History) -> Option<i64> {
    let compactions = places(history, |call, _| matches!(call.request, Request::Compact { .. }));
    let revisions = compactions
        .iter()
        .filter_map(|call| match history.calls[*call].request {
            Request::Compact { revision } => Some(revision),
            _ => None,
        });
    revisions.filter(|revision| *revision > 1).min()
}

#[test]
fn a_watch_that_ends_for_no_reason_is_caught() {
    let cancel = |history: &mut History| {
        let end = end(0, history);
        history.streams[0].responses.push(end);
        Some(())
    };
    caught(cancel, &[Guarantee::Lasting]);
}

#[test]
fn a_watch_that_ends_by_a_compaction_that_nobody_made_is_caught() {
    let cancel = |history: &mut History| {
        let end = end(100_000, history);
        history.streams[0].responses.push(end);
        Some(())
    };
    caught(cancel, &[Guarantee::Lasting]);
}

#[test]
fn a_watch_that_ends_by_a_compaction_behind_it_is_caught() {
    let cancel = |history: &mut History| {
        let end = end(compacted(history)?, history);
        history.streams[0].responses.push(end);
        Some(())
    };
    caught(cancel, &[Guarantee::Lasting]);
}

#[test]
fn a_watch_that_goes_on_after_its_end_is_caught() {
    let cancel = |history: &mut History| {
        let end = end(compacted(history)?, history);
        history.streams[0].responses.insert(1, end);
        Some(())
    };
    caught(cancel, &[Guarantee::Lasting]);
}

/// Nothing comes any more from the middle on, neither events nor notices.
#[test]
fn a_watch_that_falls_silent_is_caught() {
    let silence = |history: &mut History| {
        let places = with_events(history, 0);
        history.streams[0].responses.truncate(middle(&places)?);
        Some(())
    };
    caught(silence, &[Guarantee::Settled]);
}
