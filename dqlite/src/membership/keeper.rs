//! Joining, and keeping the members on disk up to date.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;

use super::change::Leader;
use super::context::Context;
use super::vote::OwnConfiguration;
use super::{ChangeError, Standing};
use crate::client::leader::Finder;
use crate::store::{Pending, StoreError};
use crate::wire::{Member, Server};

/// How often the leader is asked for the members. Go-dqlite asks every 30 s, over a new connection each time.
const EVERY: Duration = Duration::from_secs(1);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);

/// Why the keeper has to try again.
#[derive(Debug, Error)]
enum Obstacle {
    #[error(transparent)]
    Cluster(#[from] ChangeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where others read what the keeper hears.
pub(super) struct Told {
    standing: watch::Sender<Standing>,
    /// Whether the node voted by its own configuration before the leader was asked for `standing`.
    before: watch::Sender<Option<bool>>,
}

impl Told {
    /// What is told at first, and where it is read.
    pub(super) fn begin(
        standing: Standing,
    ) -> (Self, watch::Receiver<Standing>, watch::Receiver<Option<bool>>) {
        let (standing, standing_seen) = watch::channel(standing);
        let (before, before_seen) = watch::channel(None);
        (Self { standing, before }, standing_seen, before_seen)
    }
}

/// Joins if that is to be done, and looks after the members, for ever.
pub(super) async fn keep(context: Arc<Context>, leader: watch::Receiver<Option<Server>>, told: Told) {
    let mut changes = leader.clone();
    let mut keeper = Keeper {
        leader: Leader::new(Arc::clone(&context), leader),
        finder: context.finder(),
        joining: None,
        stored: Vec::new(),
        own: OwnConfiguration::new(&context),
        context,
        told,
    };
    // Whatever the node is sent from here on is news.
    keeper.told.before.send_replace(keeper.own.votes().await);
    loop {
        if let Err(obstacle) = keeper.look().await {
            keeper.face(&obstacle).await;
        }
        if let Ok(Err(_)) = timeout(EVERY, changes.changed()).await {
            return;
        }
    }
}

struct Keeper {
    context: Arc<Context>,
    leader: Leader,
    finder: Finder,
    /// Whether the node has yet to be added; not known before the disk was asked.
    joining: Option<bool>,
    /// The members that are known to be on disk.
    stored: Vec<Member>,
    own: OwnConfiguration,
    told: Told,
}

impl Keeper {
    /// Looks once.
    async fn look(&mut self) -> Result<(), Obstacle> {
        let joining = self.is_joining().await?;
        let before = self.own.votes().await;
        let mut members = self.leader.members(TRY).await?;
        if joining && self.context.own_role(&members).is_none() {
            self.leader.add(&self.context.server, TRY).await?;
            members = self.leader.members(TRY).await?;
        }
        if members != self.stored {
            self.context.store_members(members.clone()).await?;
            self.stored = members.clone();
        }
        if joining {
            let settle = self.context.on_disk(|directory| directory.settle(Pending::Join));
            settle.await?;
            self.joining = Some(false);
        }
        self.stand(&members);
        if before.is_some() {
            self.told.before.send_replace(before);
        }
        Ok(())
    }

    async fn is_joining(&mut self) -> Result<bool, StoreError> {
        if let Some(joining) = self.joining {
            return Ok(joining);
        }
        let asked = self
            .context
            .on_disk(|directory| Ok(directory.is_pending(Pending::Join)));
        let joining = asked.await?;
        self.joining = Some(joining);
        Ok(joining)
    }

    fn stand(&self, members: &[Member]) {
        let standing = match self.context.own_role(members) {
            Some(role) => Standing::Member(role),
            None => Standing::Removed,
        };
        self.told.standing.send_if_modified(|known| {
            let changed = *known != standing;
            if changed {
                tracing::info!(?standing, "this node in its cluster");
                *known = standing;
            }
            changed
        });
    }

    async fn face(&mut self, obstacle: &Obstacle) {
        self.explain(obstacle);
        if matches!(*self.told.standing.borrow(), Standing::Joining { .. }) {
            return;
        }
        if let Some(members) = self.ask_others().await
            && self.context.own_role(&members).is_none()
        {
            if let Err(error) = self.context.store_members(members.clone()).await {
                tracing::warn!(%error, "the next start will not know that this node was removed");
            }
            self.stand(&members);
        }
    }

    /// The members as the leader knows them that others name. A node that was removed while it was away takes
    /// itself for a voter, and the leader does not speak to it any more.
    async fn ask_others(&mut self) -> Option<Vec<Member>> {
        let others = self.context.other_members().await.ok()?;
        let mut led = self.finder.round(&others).await.ok()?;
        led.client.cluster().await.ok()
    }

    fn explain(&self, obstacle: &Obstacle) {
        self.told.standing.send_if_modified(|standing| match standing {
            Standing::Joining { obstacle: known } => {
                let text = Some(obstacle.to_string());
                let changed = *known != text;
                if changed {
                    tracing::warn!(%obstacle, "this node has not joined its cluster yet");
                    *known = text;
                }
                changed
            }
            _ => false,
        });
    }
}
