//! What a leader is asked, and what became of it.

use actors::{Ask, AskOutcome, Committed, KeepAliveReply, RequestError, TimeToLiveReply, Told};
use model::{LeaseId, Revision};
use proto::peer as pb;
use proto::peer::call::Ask as WireAsk;
use proto::peer::outcome::Outcome as WireOutcome;

use super::command::{command_from_wire, command_to_wire};
use super::failure::{failure_from_wire, failure_to_wire};
use super::reply::{reply_from_wire, reply_to_wire};
use super::{WireError, unknown_variant};

pub(in crate::peers) fn ask_to_wire(ask: Ask) -> Result<WireAsk, WireError> {
    Ok(match ask {
        Ask::Submit(command) => WireAsk::Submit(command_to_wire(command)?),
        Ask::KeepAlive(LeaseId(lease_id)) => WireAsk::KeepAlive(pb::KeepAlive { lease_id }),
        Ask::TimeToLive { id, keys } => WireAsk::TimeToLive(pb::TimeToLive { lease_id: id.0, keys }),
        Ask::Leases => WireAsk::ListLeases(pb::ListLeases {}),
        Ask::ReadRevision => WireAsk::ReadRevision(pb::ReadRevision {}),
        Ask::CompactPhysically => WireAsk::CompactPhysically(pb::CompactPhysically {}),
    })
}

pub(in crate::peers) fn ask_from_wire(wire: Option<WireAsk>) -> Result<Ask, WireError> {
    Ok(match wire.ok_or_else(|| unknown_variant("what is asked"))? {
        WireAsk::Submit(command) => Ask::Submit(command_from_wire(command)?),
        WireAsk::KeepAlive(asked) => Ask::KeepAlive(LeaseId(asked.lease_id)),
        WireAsk::TimeToLive(asked) => Ask::TimeToLive {
            id: LeaseId(asked.lease_id),
            keys: asked.keys,
        },
        WireAsk::ListLeases(pb::ListLeases {}) => Ask::Leases,
        WireAsk::ReadRevision(pb::ReadRevision {}) => Ask::ReadRevision,
        WireAsk::CompactPhysically(pb::CompactPhysically {}) => Ask::CompactPhysically,
    })
}

/// An answer that cannot travel becomes a failure that says so.
pub(in crate::peers) fn outcome_to_wire(outcome: AskOutcome) -> WireOutcome {
    let told = outcome
        .and_then(|told| told_to_wire(told).map_err(|error| RequestError::Unreadable(error.to_string())));
    told.unwrap_or_else(|error| WireOutcome::Failure(failure_to_wire(&error)))
}

/// An answer of which this release does not know the kind becomes a failure that says so.
pub(in crate::peers) fn outcome_from_wire(wire: Option<WireOutcome>) -> AskOutcome {
    match wire {
        Some(WireOutcome::Failure(failure)) => Err(failure_from_wire(failure)),
        wire => told_from_wire(wire).map_err(|error| RequestError::NotUnderstood(error.to_string())),
    }
}

fn told_to_wire(told: Told) -> Result<WireOutcome, WireError> {
    Ok(match told {
        Told::Committed(committed) => WireOutcome::Committed(pb::Committed {
            revision: committed.revision.0,
            reply: Some(reply_to_wire(committed.reply)?),
        }),
        Told::KeptAlive(reply) => WireOutcome::KeptAlive(pb::KeptAlive {
            revision: reply.revision.0,
            ttl: reply.ttl,
        }),
        Told::TimeToLive(reply) => WireOutcome::TimeLeft(pb::TimeLeft {
            revision: reply.revision.0,
            ttl: reply.ttl,
            granted_ttl: reply.granted_ttl,
            keys: reply.keys,
        }),
        Told::Leases(leases) => WireOutcome::Leases(pb::Leases {
            lease_ids: leases.into_iter().map(|lease| lease.0).collect(),
        }),
        Told::ReadRevision(Revision(revision)) => WireOutcome::RevisionRead(pb::RevisionRead { revision }),
        Told::Done => WireOutcome::Done(pb::Done {}),
    })
}

fn told_from_wire(wire: Option<WireOutcome>) -> Result<Told, WireError> {
    Ok(match wire {
        None | Some(WireOutcome::Failure(_)) => return Err(unknown_variant("what is answered")),
        Some(WireOutcome::Committed(wire)) => Told::Committed(Committed {
            revision: Revision(wire.revision),
            reply: reply_from_wire(wire.reply.ok_or(WireError::Missing("a reply"))?)?,
        }),
        Some(WireOutcome::KeptAlive(wire)) => Told::KeptAlive(KeepAliveReply {
            revision: Revision(wire.revision),
            ttl: wire.ttl,
        }),
        Some(WireOutcome::TimeLeft(wire)) => Told::TimeToLive(TimeToLiveReply {
            revision: Revision(wire.revision),
            ttl: wire.ttl,
            granted_ttl: wire.granted_ttl,
            keys: wire.keys,
        }),
        Some(WireOutcome::Leases(wire)) => Told::Leases(wire.lease_ids.into_iter().map(LeaseId).collect()),
        Some(WireOutcome::RevisionRead(wire)) => Told::ReadRevision(Revision(wire.revision)),
        Some(WireOutcome::Done(pb::Done {})) => Told::Done,
    })
}
