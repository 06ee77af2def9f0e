//! Effects. The store keeps what they hold, so bytes are taken out of the message's buffer.

use bytes::Bytes;
use model::{Alarm, AlarmMember, Effect, Event, Lease, LeaseId, Position, Revision, Version};
use proto::peer as pb;
use proto::peer::effect::Effect as Wire;

use super::{WireError, unknown_number, unknown_variant};

/// A copy of its own. A message packs much; a key that lives on must not keep all of it in memory.
fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

pub(super) fn effect_to_wire(effect: &Effect) -> pb::Effect {
    let wire = match effect {
        Effect::Key(event) => Wire::Key(event_to_wire(event)),
        Effect::LeaseGranted(lease) => Wire::LeaseGranted(lease_to_wire(*lease)),
        Effect::LeaseRenewed(lease) => Wire::LeaseRenewed(lease_to_wire(*lease)),
        Effect::LeaseRevoked(LeaseId(lease_id)) => Wire::LeaseRevoked(pb::LeaseGone { lease_id: *lease_id }),
        Effect::Compacted(Revision(revision)) => Wire::Compacted(pb::Compacted { revision: *revision }),
        Effect::Scrubbed(positions) => Wire::Scrubbed(pb::Scrubbed {
            positions: positions.iter().map(|position| position.0).collect(),
        }),
        Effect::AlarmRaised(alarm) => Wire::AlarmRaised(alarm_to_wire(*alarm)),
        Effect::AlarmCleared(alarm) => Wire::AlarmCleared(alarm_to_wire(*alarm)),
    };
    pb::Effect { effect: Some(wire) }
}

pub(super) fn effect_from_wire(wire: pb::Effect) -> Result<Effect, WireError> {
    let wire = wire.effect.ok_or_else(|| unknown_variant("an effect"))?;
    Ok(match wire {
        Wire::Key(event) => Effect::Key(event_from_wire(&event)),
        Wire::LeaseGranted(lease) => Effect::LeaseGranted(lease_from_wire(lease)),
        Wire::LeaseRenewed(lease) => Effect::LeaseRenewed(lease_from_wire(lease)),
        Wire::LeaseRevoked(gone) => Effect::LeaseRevoked(LeaseId(gone.lease_id)),
        Wire::Compacted(compacted) => Effect::Compacted(Revision(compacted.revision)),
        Wire::Scrubbed(scrubbed) => Effect::Scrubbed(scrubbed.positions.into_iter().map(Position).collect()),
        Wire::AlarmRaised(alarm) => Effect::AlarmRaised(alarm_from_wire(alarm)?),
        Wire::AlarmCleared(alarm) => Effect::AlarmCleared(alarm_from_wire(alarm)?),
    })
}

fn event_to_wire(event: &Event) -> pb::Event {
    pb::Event {
        key: event.key.clone(),
        value: event.value.clone(),
        position: event.version.position.0,
        mod_revision: event.version.mod_revision.0,
        create_revision: event.version.create_revision.0,
        version: event.version.version,
        lease_id: event.version.lease.0,
    }
}

fn event_from_wire(wire: &pb::Event) -> Event {
    Event {
        key: detached(&wire.key),
        value: detached(&wire.value),
        version: Version {
            position: Position(wire.position),
            mod_revision: Revision(wire.mod_revision),
            create_revision: Revision(wire.create_revision),
            version: wire.version,
            lease: LeaseId(wire.lease_id),
        },
    }
}

pub(super) fn lease_to_wire(lease: Lease) -> pb::Lease {
    pb::Lease {
        lease_id: lease.id.0,
        ttl: lease.ttl,
        deadline_ms: lease.deadline_ms,
    }
}

pub(super) fn lease_from_wire(wire: pb::Lease) -> Lease {
    Lease {
        id: LeaseId(wire.lease_id),
        ttl: wire.ttl,
        deadline_ms: wire.deadline_ms,
    }
}

/// With [`alarm_from_wire`] the only code that knows how an alarm travels.
pub(super) fn alarm_to_wire(raised: AlarmMember) -> pb::Alarm {
    let kind = match raised.alarm {
        Alarm::NoSpace => pb::AlarmKind::NoSpace,
        Alarm::Corrupt => pb::AlarmKind::Corrupt,
    };
    pb::Alarm {
        kind: kind.into(),
        member_id: raised.member_id,
    }
}

pub(super) fn alarm_from_wire(wire: pb::Alarm) -> Result<AlarmMember, WireError> {
    let alarm = match pb::AlarmKind::try_from(wire.kind).map_err(unknown_number("a kind of alarm"))? {
        pb::AlarmKind::Unspecified => return Err(unknown_variant("a kind of alarm")),
        pb::AlarmKind::NoSpace => Alarm::NoSpace,
        pb::AlarmKind::Corrupt => Alarm::Corrupt,
    };
    Ok(AlarmMember {
        alarm,
        member_id: wire.member_id,
    })
}
