//! What can be seen of a watch without knowing what was written: Filter, Ordered, Unique, Atomic, the sequence of
//! notices, and the end.

use std::collections::HashSet;

use super::view::View;
use crate::chaos::history::{Event, Watched};
use crate::chaos::report::{Guarantee, Violation};

pub(super) fn check(view: &View) -> Vec<Violation> {
    let mut violations = Vec::new();
    violations.extend(filter(view));
    violations.extend(ordered(view));
    violations.extend(unique(view));
    violations.extend(atomic(view));
    violations.extend(notices(view));
    violations.extend(headers(view));
    violations.extend(end(view));
    violations
}

fn filter(view: &View) -> Option<Violation> {
    let (response, event) = view.events().find(|(_, event)| !view.wants(event))?;
    let text = format!("{:?} is not in its range", event.pair.key);
    Some(view.violation(Guarantee::Filter, response.at, &text))
}

fn ordered(view: &View) -> Option<Violation> {
    let mut newest = 0;
    for (response, event) in view.events() {
        if event.revision() < newest {
            let text = format!("revision {} came after {newest}", event.revision());
            return Some(view.violation(Guarantee::Ordered, response.at, &text));
        }
        newest = event.revision();
    }
    None
}

fn unique(view: &View) -> Option<Violation> {
    let mut known = HashSet::new();
    let (response, event) = view
        .events()
        .find(|(_, event)| !known.insert((event.revision(), &event.pair.key)))?;
    let text = format!("{:?} at revision {} came twice", event.pair.key, event.revision());
    Some(view.violation(Guarantee::Unique, response.at, &text))
}

/// A response never goes on with the revision that the one before ended with, unless that said so.
fn atomic(view: &View) -> Option<Violation> {
    let mut last: Option<(i64, bool)> = None;
    for response in view
        .responses
        .iter()
        .filter(|response| !response.events.is_empty())
    {
        let first = response.events.first().map(Event::revision);
        if let (Some((revision, false)), Some(first)) = (last, first)
            && revision == first
        {
            let text = format!("revision {revision} came in two responses");
            return Some(view.violation(Guarantee::Atomic, response.at, &text));
        }
        last = response
            .events
            .last()
            .map(|event| (event.revision(), response.fragment));
    }
    None
}

/// Notices never go back, are never behind an event, and no event comes behind them.
fn notices(view: &View) -> Option<Violation> {
    let (mut event, mut notice) = (0, 0);
    for response in &view.responses {
        if response.is_progress() {
            if response.revision < notice.max(event) {
                let text = format!(
                    "a notice of revision {} came after event {event} and notice {notice}",
                    response.revision
                );
                return Some(view.violation(Guarantee::Bookmarkable, response.at, &text));
            }
            notice = response.revision;
        }
        for late in &response.events {
            event = event.max(late.revision());
            if late.revision() <= notice {
                let text = format!("event {} came after notice {notice}", late.revision());
                return Some(view.violation(Guarantee::Bookmarkable, response.at, &text));
            }
        }
    }
    None
}

/// A response's header is never behind its events.
fn headers(view: &View) -> Option<Violation> {
    let behind = |response: &&&Watched| {
        response
            .events
            .last()
            .is_some_and(|event| event.revision() > response.revision)
    };
    let response = view.responses.iter().find(behind)?;
    let text = format!("the header says {}, behind its events", response.revision);
    Some(view.violation(Guarantee::Bookmarkable, response.at, &text))
}

/// A watch ends once, and only because of a compaction: traffic cancels none.
fn end(view: &View) -> Option<Violation> {
    let place = view.responses.iter().position(|response| response.canceled)?;
    let response = view.responses[place];
    if response.compact_revision == 0 {
        let text = format!("it was cancelled: {:?}", response.cancel_reason);
        return Some(view.violation(Guarantee::Lasting, response.at, &text));
    }
    let after = view.responses[place + 1..]
        .iter()
        .find(|response| response.watch != -1)?;
    Some(view.violation(
        Guarantee::Lasting,
        after.at,
        "something came after it was cancelled",
    ))
}
