//! Runs the schedule of automatic compaction.

use std::sync::Arc;

use model::{Command, Refusal, Revision};
use tokio::time::{Instant, sleep};

use super::CompactorMeter;
use crate::auto_compaction::AutoCompaction;
use crate::errors::RequestError;
use crate::shared_state::SharedState;
use crate::store::Store;

/// Compacts by schedule for as long as it is polled; at once done if there is none.
pub(super) async fn compact_automatically(
    auto: AutoCompaction,
    shared: Arc<SharedState>,
    store: Store,
    compactions: Arc<CompactorMeter>,
) {
    let begun = Instant::now();
    let Some(mut schedule) = auto.begin(begun.elapsed(), shared.revision()) else {
        return;
    };
    loop {
        sleep(schedule.interval()).await;
        let Some(revision) = schedule.due(begun.elapsed(), shared.revision()) else {
            continue;
        };
        match compact(&store, revision).await {
            Ok(()) => {
                compactions.compacted_automatically();
                schedule.compacted(begun.elapsed(), revision);
            }
            Err(error) => tracing::warn!(%error, revision = revision.0, "automatic compaction failed"),
        }
    }
}

/// That somebody else compacted that far already is as good, and where another member leads it will.
async fn compact(store: &Store, revision: Revision) -> Result<(), RequestError> {
    match store.submit_own(Command::Compact(revision)).await {
        Ok(_) => {
            tracing::info!(revision = revision.0, "compacted automatically");
            Ok(())
        }
        Err(RequestError::Refused(Refusal::Compacted) | RequestError::NotLeader) => Ok(()),
        Err(error) => Err(error),
    }
}
