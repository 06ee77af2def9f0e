//! Short words for responses, so that a test reads like what a client sees.

use model::{KeyValue, Value};

use crate::watch::{CancelReason, WatchEvent, WatchResponse};

/// A response in short: `3: 7 put a=1 | delete b`, where 3 is the watch and 7 the header's revision.
pub(super) fn short(response: &WatchResponse) -> String {
    match response {
        WatchResponse::Created { watch_id, revision } => format!("{watch_id}: {} created", revision.0),
        WatchResponse::Canceled {
            watch_id,
            revision,
            reason,
        } => {
            format!("{watch_id}: {} canceled{}", revision.0, short_reason(reason))
        }
        WatchResponse::Events {
            watch_id,
            revision,
            events,
            ..
        } => {
            let events: Vec<String> = events.iter().map(short_event).collect();
            format!("{watch_id}: {} {}", revision.0, events.join(" | "))
        }
        WatchResponse::Progress { watch_id, revision } => format!("{watch_id}: {} progress", revision.0),
    }
}

fn short_reason(reason: &CancelReason) -> String {
    match reason {
        CancelReason::Requested => String::new(),
        CancelReason::Compacted(revision) => format!(", compacted {}", revision.0),
        CancelReason::Refused(text) => format!(", refused: {text}"),
    }
}

fn short_event(event: &WatchEvent) -> String {
    let key = String::from_utf8_lossy(&event.event.key);
    let change = if event.event.is_delete() {
        format!("delete {key}")
    } else {
        format!("put {key}={}", String::from_utf8_lossy(&event.event.value))
    };
    event.prev_kv.as_ref().map_or(change.clone(), |pair| {
        format!("{change} (was {})", value_of(pair))
    })
}

fn value_of(pair: &KeyValue) -> String {
    match &pair.value {
        Value::Resident(value) => format!(
            "{}@{}",
            String::from_utf8_lossy(value),
            pair.version.mod_revision.0
        ),
        Value::Stored(position) => format!("stored at {}", position.0),
    }
}

pub(super) fn shorts(responses: &[WatchResponse]) -> Vec<String> {
    responses.iter().map(short).collect()
}
