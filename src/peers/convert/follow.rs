//! What a follower hears.

use std::sync::Arc;

use actors::{Followed, Standing};
use model::{Revision, Tally};
use proto::peer as pb;
use proto::peer::followed::Followed as Wire;

use super::effect::{
    alarm_from_wire, alarm_to_wire, effect_from_wire, effect_to_wire, lease_from_wire, lease_to_wire,
};
use super::progress::{progress_from_wire, progress_to_wire};
use super::{WireError, unknown_variant};

pub(in crate::peers) fn followed_to_wire(followed: &Followed) -> pb::Followed {
    let wire = match followed {
        Followed::Continued => Wire::Continued(pb::Continued {}),
        Followed::Reconciled(standing) => Wire::Reconciled(standing_to_wire(standing)),
        Followed::TooFarBehind => Wire::TooFarBehind(pb::TooFarBehind {}),
        Followed::Batch {
            sequence,
            effects,
            lease_clock_ms,
            tally,
        } => Wire::Batch(pb::Batch {
            sequence: *sequence,
            effects: effects.iter().map(effect_to_wire).collect(),
            lease_clock_ms: *lease_clock_ms,
            tally: tally_to_wire(*tally),
        }),
    };
    pb::Followed { followed: Some(wire) }
}

pub(in crate::peers) fn followed_from_wire(wire: pb::Followed) -> Result<Followed, WireError> {
    let wire = wire.followed.ok_or_else(|| unknown_variant("what is followed"))?;
    Ok(match wire {
        Wire::Continued(pb::Continued {}) => Followed::Continued,
        Wire::Reconciled(standing) => Followed::Reconciled(standing_from_wire(standing)?),
        Wire::TooFarBehind(pb::TooFarBehind {}) => Followed::TooFarBehind,
        Wire::Batch(batch) => {
            let effects = batch.effects.into_iter().map(effect_from_wire);
            Followed::Batch {
                sequence: batch.sequence,
                effects: Arc::new(effects.collect::<Result<_, _>>()?),
                lease_clock_ms: batch.lease_clock_ms,
                tally: tally_from_wire(batch.tally),
            }
        }
    })
}

fn standing_to_wire(standing: &Standing) -> pb::Standing {
    pb::Standing {
        compact_revision: standing.compact_revision.0,
        leases: standing.leases.iter().copied().map(lease_to_wire).collect(),
        alarms: standing.alarms.iter().copied().map(alarm_to_wire).collect(),
        lease_clock_ms: standing.lease_clock_ms,
        at: Some(progress_to_wire(standing.at)),
    }
}

fn standing_from_wire(wire: pb::Standing) -> Result<Standing, WireError> {
    let alarms = wire.alarms.into_iter().map(alarm_from_wire);
    Ok(Standing {
        at: progress_from_wire(wire.at)?,
        compact_revision: Revision(wire.compact_revision),
        leases: wire.leases.into_iter().map(lease_from_wire).collect(),
        alarms: alarms.collect::<Result<_, _>>()?,
        lease_clock_ms: wire.lease_clock_ms,
    })
}

/// Mostly a batch only puts, and what it puts is in its effects.
fn tally_to_wire(tally: Tally) -> Option<pb::Tally> {
    (tally != Tally::default()).then_some(pb::Tally {
        ranges: tally.ranges,
        puts: tally.puts,
        deletes: tally.deletes,
        transactions: tally.transactions,
    })
}

/// A leader of an earlier release does not count for its followers.
fn tally_from_wire(wire: Option<pb::Tally>) -> Tally {
    let wire = wire.unwrap_or_default();
    Tally {
        ranges: wire.ranges,
        puts: wire.puts,
        deletes: wire.deletes,
        transactions: wire.transactions,
    }
}
