//! Following the leader: its batches are this member's batches.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::{Position, Rest, Revision};
use thiserror::Error;
use tokio::sync::watch;

use super::catching_up::NotCaughtUp;
use super::{Ended, Leadership, left, stops};
use crate::cluster::{Followed, Following, Peer, PeerError, Progress, Role, Standing};

/// Why following ended.
#[derive(Debug, Error)]
enum NotFollowed {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    NotCaughtUp(#[from] NotCaughtUp),
    #[error("batch {found} came after batch {expected}")]
    Gap { expected: u64, found: u64 },
}

/// Where a follower is in the leader's stream.
enum Place {
    /// Exactly at its progress.
    Live,
    /// On the way to where the leader was when it was asked.
    CatchingUp(Progress),
}

impl Leadership {
    /// Follows this member until another one leads.
    pub(super) async fn follow(
        &mut self,
        leader_id: u64,
        leader: &mut watch::Receiver<Option<u64>>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Ended {
        let Some(peer) = self.members.peer(leader_id) else {
            self.plays(Role::Waiting);
            return Ended::Failed;
        };
        self.plays(Role::Following {
            leader: leader_id,
            peer: Arc::clone(&peer),
        });
        tokio::select! {
            failure = self.follow_stream(peer.as_ref()) => {
                tracing::debug!(leader = format!("{leader_id:x}"), %failure, "following was interrupted");
                Ended::Failed
            }
            () = left(leader, Some(leader_id)) => Ended::LeaderChanged,
            () = stops(stopping) => Ended::Stopping,
        }
    }

    /// What was applied is exactly what was handed to the keyspace, so this may be given up at any point.
    async fn follow_stream(&mut self, peer: &dyn Peer) -> NotFollowed {
        self.all_applied().await;
        self.progress.revision = self.shared.revision();
        let mut following = peer.follow(self.members.me(), self.progress);
        let mut place = Place::Live;
        loop {
            let step = async {
                let followed = following.next().await?;
                self.take(followed, &mut place, peer).await
            };
            if let Err(failure) = step.await {
                return failure;
            }
            self.acknowledge(&following, &place);
        }
    }

    fn acknowledge(&self, following: &Following, place: &Place) {
        if matches!(place, Place::Live) {
            following.acknowledge(Progress {
                revision: self.shared.revision(),
                ..self.progress
            });
        }
    }

    async fn take(
        &mut self,
        followed: Followed,
        place: &mut Place,
        peer: &dyn Peer,
    ) -> Result<(), NotFollowed> {
        match followed {
            Followed::Continued => self.arrive(place),
            Followed::Reconciled(standing) => *place = self.set_out(standing).await?,
            Followed::TooFarBehind => {
                self.progress = Progress::default();
                self.begin_from_replica(peer).await?;
            }
            Followed::Batch {
                sequence,
                effects,
                lease_clock_ms,
                tally,
            } => {
                // What is counted must be handed over: nothing may be waited for in between.
                let room = self.room().await?;
                if matches!(place, Place::Live) {
                    self.count(sequence)?;
                    self.clock.align(lease_clock_ms);
                }
                self.apply(effects, tally, room);
            }
        }
        Ok(())
    }

    /// Until history has come, this member stands nowhere in particular.
    async fn set_out(&mut self, standing: Standing) -> Result<Place, NotFollowed> {
        self.progress = Progress::default();
        self.meter.takes_part_in(standing.at.epoch);
        self.clock.align(standing.lease_clock_ms);
        self.reconcile(Rest {
            compact_revision: standing.compact_revision,
            leases: standing.leases,
            alarms: standing.alarms,
        })
        .await?;
        Ok(Place::CatchingUp(standing.at))
    }

    fn arrive(&mut self, place: &mut Place) {
        if let Place::CatchingUp(at) = place {
            self.progress = Progress {
                position: Position::default(),
                revision: Revision::default(),
                ..*at
            };
            *place = Place::Live;
        }
    }

    fn count(&mut self, sequence: u64) -> Result<(), NotFollowed> {
        let expected = self.progress.sequence + 1;
        if sequence != expected {
            let found = sequence;
            self.progress = Progress::default();
            return Err(NotFollowed::Gap { expected, found });
        }
        self.progress.sequence = sequence;
        Ok(())
    }
}
