//! Bringing the state to where the log, or a leader, is.

use std::sync::Arc;

use bytes::Bytes;
use journal::{Claim, History, ReadError};
use model::{Effect, Rest, Revision, State, Tally};
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

use super::{BATCHES_UNDER_WAY, Leadership};
use crate::cluster::{Peer, PeerError};
use crate::keyspace::{ApplyFollowed, Rebuild, Reconcile};

/// Bytes of events read from the log at a time.
const PAGE_BYTES: usize = 4 << 20;
/// Why the state did not get where it was to be.
#[derive(Debug, Error)]
pub(crate) enum NotCaughtUp {
    #[error("the log cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    #[error("the leader's replica did not come: {0}")]
    NoReplica(#[from] PeerError),
    #[error("this member's replica ends at revision {0:?}, its state is further")]
    ReplicaBehind(Revision),
    #[error("a later leader has compacted the log")]
    Overtaken,
    #[error("the server is stopping")]
    Stopped,
}

impl Leadership {
    /// Brings the state of a new leader to the end of the log, which nobody else writes any more.
    pub(super) async fn read_to_the_end(&self, claim: &Claim) -> Result<(), NotCaughtUp> {
        if claim.compact_revision > self.shared.revision() {
            // Deletes that this member never heard of may be scrubbed: only a whole replica tells.
            let state = self.replay_own().await?;
            self.rebuild(state).await?;
        }
        self.reconcile(Rest {
            compact_revision: claim.compact_revision,
            leases: claim.leases.clone(),
            alarms: claim.alarms.clone(),
        })
        .await?;
        self.apply_the_rest(claim).await
    }

    /// Nothing is compacted under another's claim: if something was all the same, this one holds no more, and
    /// what was read may lack rows.
    async fn apply_the_rest(&self, claim: &Claim) -> Result<(), NotCaughtUp> {
        let mut from = self.shared.revision().next();
        loop {
            let page = self.read_events(from).await?;
            if page.compact_revision > claim.compact_revision {
                return Err(NotCaughtUp::Overtaken);
            }
            let Some(last) = page.events.last() else { break };
            from = last.version.mod_revision.next();
            let tally = Tally::of_history(&page.events);
            let effects = Arc::new(page.events.into_iter().map(Effect::Key).collect());
            self.apply(effects, tally, self.room().await?);
        }
        self.all_applied().await;
        Ok(())
    }

    async fn read_events(&self, from: Revision) -> Result<History, NotCaughtUp> {
        let reader = Arc::clone(self.shared.reader());
        let read = tokio::task::spawn_blocking(move || reader.events(from, PAGE_BYTES)).await;
        Ok(read.map_err(|_| NotCaughtUp::Stopped)??)
    }

    /// Room for one more thing before the keyspace.
    pub(super) async fn room(&self) -> Result<OwnedSemaphorePermit, NotCaughtUp> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        room.map_err(|_| NotCaughtUp::Stopped)
    }

    /// Has effects applied that are durable.
    pub(super) fn apply(&self, effects: Arc<Vec<Effect>>, tally: Tally, room: OwnedSemaphorePermit) {
        let followed = ApplyFollowed { effects, tally, room };
        self.subordinates.keyspace.tell(followed);
    }

    /// Waits until the keyspace has done everything it was given.
    pub(super) async fn all_applied(&self) {
        let _all_the_room = self.room.acquire_many(BATCHES_UNDER_WAY).await;
    }

    pub(super) async fn reconcile(&self, rest: Rest) -> Result<(), NotCaughtUp> {
        let room = self.room().await?;
        self.subordinates.keyspace.tell(Reconcile { rest, room });
        self.all_applied().await;
        Ok(())
    }

    async fn rebuild(&self, state: State) -> Result<(), NotCaughtUp> {
        if state.revision() < self.shared.revision() {
            return Err(NotCaughtUp::ReplicaBehind(state.revision()));
        }
        tracing::info!(
            revision = state.revision().0,
            "the state was rebuilt from a replica"
        );
        let room = self.room().await?;
        let state = Box::new(state);
        self.subordinates.keyspace.tell(Rebuild { state, room });
        self.all_applied().await;
        Ok(())
    }

    /// Begins again from a replica, when the history behind this member's state is compacted: from its own if
    /// that is newer than the state, otherwise from the leader's.
    pub(super) async fn begin_from_replica(&self, leader: &dyn Peer) -> Result<(), NotCaughtUp> {
        let own = self.replay_own().await;
        match own {
            Ok(state) if state.revision() > self.shared.revision() => self.rebuild(state).await,
            _ => {
                let image = leader.image().collect().await?;
                let state = self.replay_image(image).await?;
                self.rebuild(state).await
            }
        }
    }

    async fn replay_own(&self) -> Result<State, NotCaughtUp> {
        let (reader, cache) = (Arc::clone(self.shared.reader()), self.value_cache_bytes);
        let replay = move || build_state(cache, |sink| reader.replay(sink));
        let replayed = tokio::task::spawn_blocking(replay).await;
        Ok(replayed.map_err(|_| NotCaughtUp::Stopped)??)
    }

    async fn replay_image(&self, image: Vec<Bytes>) -> Result<State, NotCaughtUp> {
        let (log, cache) = (Arc::clone(&self.log), self.value_cache_bytes);
        let replay = move || build_state(cache, |sink| log.replay_image(image, sink));
        let replayed = tokio::task::spawn_blocking(replay).await;
        Ok(replayed.map_err(|_| NotCaughtUp::Stopped)??)
    }
}

/// The state that these effects add up to, with as many values in memory as the budget allows.
pub(crate) fn build_state(
    value_cache_bytes: usize,
    replay: impl FnOnce(&mut dyn FnMut(Effect)) -> Result<(), ReadError>,
) -> Result<State, ReadError> {
    let mut state = State::default();
    replay(&mut |effect| {
        state.apply(&effect);
        state.index_mut().evict(value_cache_bytes, 256);
    })?;
    Ok(state)
}
