//! What the tests of the log share.
#![allow(dead_code, reason = "every test file uses a part of it")]

use bytes::Bytes;
use journal::Reader;
use model::{Alarm, AlarmMember, Effect, Event, Lease, LeaseId, Position, Revision, Version};

/// A put that creates its key.
pub(crate) fn created(position: i64, revision: i64, key: &str, value: &[u8]) -> Event {
    Event {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value),
        version: Version {
            position: Position(position),
            mod_revision: Revision(revision),
            create_revision: Revision(revision),
            version: 1,
            lease: LeaseId::NONE,
        },
    }
}

/// A put of a key that exists.
pub(crate) fn updated(position: i64, revision: i64, before: &Event, value: &[u8]) -> Event {
    let version = Version {
        position: Position(position),
        mod_revision: Revision(revision),
        version: before.version.version + 1,
        ..before.version
    };
    Event {
        key: before.key.clone(),
        value: Bytes::copy_from_slice(value),
        version,
    }
}

/// A delete.
pub(crate) fn deleted(position: i64, revision: i64, key: &str) -> Event {
    let version = Version {
        position: Position(position),
        mod_revision: Revision(revision),
        ..Version::default()
    };
    Event {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::new(),
        version,
    }
}

/// The same event, attached to a lease.
pub(crate) fn leased(mut event: Event, lease: i64) -> Event {
    event.version.lease = LeaseId(lease);
    event
}

pub(crate) fn lease(id: i64, ttl: i64, deadline_ms: i64) -> Lease {
    Lease {
        id: LeaseId(id),
        ttl,
        deadline_ms,
    }
}

pub(crate) fn raised(alarm: Alarm, member_id: u64) -> AlarmMember {
    AlarmMember { alarm, member_id }
}

pub(crate) fn keys(events: &[Event]) -> Vec<Effect> {
    events.iter().cloned().map(Effect::Key).collect()
}

pub(crate) fn replayed(reader: &dyn Reader) -> Vec<Effect> {
    let mut effects = Vec::new();
    reader
        .replay(&mut |effect| effects.push(effect))
        .expect("the log replays");
    effects
}

pub(crate) fn replayed_events(reader: &dyn Reader) -> Vec<Event> {
    let event = |effect| match effect {
        Effect::Key(event) => Some(event),
        _ => None,
    };
    replayed(reader).into_iter().filter_map(event).collect()
}
