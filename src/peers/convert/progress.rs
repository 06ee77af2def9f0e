//! How far a follower is.

use actors::{Epoch, Progress};
use model::{Position, Revision};
use proto::peer as pb;

use super::WireError;

pub(in crate::peers) fn progress_to_wire(progress: Progress) -> pb::Progress {
    pb::Progress {
        epoch: progress.epoch.0,
        sequence: progress.sequence,
        position: progress.position.0,
        revision: progress.revision.0,
    }
}

pub(in crate::peers) fn progress_from_wire(wire: Option<pb::Progress>) -> Result<Progress, WireError> {
    let wire = wire.ok_or(WireError::Missing("a progress"))?;
    Ok(Progress {
        epoch: Epoch(wire.epoch),
        sequence: wire.sequence,
        position: Position(wire.position),
        revision: Revision(wire.revision),
    })
}
