//! A follower on its way to the live flow, when the recent batches do not reach back to where it stands.

use std::sync::Arc;

use journal::History;
use model::{Effect, Revision, Tally};

use super::{Follow, Replicator};
use crate::cluster::{Feeder, Followed, NotFed, PeerError, Progress, Standing};
use crate::keyspace::{Keyspace, Stand};
use crate::mailbox::Mailbox;
use crate::shared_state::SharedState;

/// Bytes of history read from the log at a time.
const PAGE_BYTES: usize = 1 << 20;

/// What catching up needs.
pub(super) struct CatchUp {
    pub(super) keyspace: Mailbox<Keyspace>,
    pub(super) replicator: Mailbox<Replicator>,
    pub(super) shared: Arc<SharedState>,
}

impl CatchUp {
    /// Tells the follower where the leader stands and the history that leads there, then hands it back to the
    /// replicator. Where the recent batches do not reach by then, it begins again from there.
    pub(super) async fn run(self, feeder: Feeder, progress: Progress) {
        match self.catch_up(&feeder, progress.revision).await {
            Ok(reached) => self.replicator.tell(Follow {
                feeder,
                progress: reached,
            }),
            Err(Failed::Gone) => {}
            Err(Failed::Ended(reason)) => feeder.end(reason),
        }
    }

    async fn catch_up(&self, feeder: &Feeder, from: Revision) -> Result<Progress, Failed> {
        let standing = self.stand().await?;
        let at = standing.at;
        if from > at.revision {
            let ahead = format!("it is at revision {}, the leader at {}", from.0, at.revision.0);
            return Err(Failed::Ended(PeerError::Stranger(ahead)));
        }
        if standing.compact_revision > from {
            return too_far_behind(feeder).await;
        }
        feeder.send(Followed::Reconciled(standing)).await?;
        self.feed_history(feeder, from, at.revision).await?;
        Ok(at)
    }

    async fn stand(&self) -> Result<Standing, Failed> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.keyspace.tell(Stand { answer });
        let standing = answered.await.ok().flatten();
        standing.ok_or_else(|| Failed::Ended(PeerError::NotReady("it leads no more".into())))
    }

    /// Feeds every event behind `from` up to `to`. A page lacks nothing if the log was not compacted behind
    /// `from` when it had been read. Another member may have led since, and have done that.
    async fn feed_history(&self, feeder: &Feeder, from: Revision, to: Revision) -> Result<(), Failed> {
        // Nothing was ever written at the first revision.
        let mut next = from.max(Revision::INITIAL).next();
        while next <= to {
            let mut page = self.read_page(next).await?;
            if page.compact_revision > from {
                return too_far_behind(feeder).await;
            }
            page.events.retain(|event| event.version.mod_revision <= to);
            let Some(last) = page.events.last() else {
                return Err(Failed::Ended(PeerError::NotReady("its log ends early".into())));
            };
            next = last.version.mod_revision.next();
            let tally = Tally::of_history(&page.events);
            let batch = Followed::Batch {
                sequence: 0,
                effects: Arc::new(page.events.into_iter().map(Effect::Key).collect()),
                lease_clock_ms: 0,
                tally,
            };
            feeder.send(batch).await?;
        }
        Ok(())
    }

    async fn read_page(&self, from: Revision) -> Result<History, Failed> {
        let reader = Arc::clone(self.shared.reader());
        let unreadable = |error: String| Failed::Ended(PeerError::NotReady(error));
        tokio::task::spawn_blocking(move || reader.events(from, PAGE_BYTES))
            .await
            .map_err(|error| unreadable(error.to_string()))?
            .map_err(|error| unreadable(error.to_string()))
    }
}

async fn too_far_behind<T>(feeder: &Feeder) -> Result<T, Failed> {
    feeder.send(Followed::TooFarBehind).await?;
    Err(Failed::Ended(PeerError::LeftBehind(
        "history was compacted".into(),
    )))
}

/// Why a follower did not catch up.
enum Failed {
    Gone,
    Ended(PeerError),
}

impl From<NotFed> for Failed {
    fn from(_: NotFed) -> Self {
        Self::Gone
    }
}
