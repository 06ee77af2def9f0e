//! Who belongs to the cluster and how that is changed, in the terms of etcd's Cluster service.

use std::sync::Arc;
use std::time::Duration;

use actors::{Peer as _, RequestError};
use dqlite::membership::{ChangeError, Membership};
use dqlite::node::generate_id;
use dqlite::wire::{Member, Role, Server};
use tokio::time::{sleep, timeout};

use super::descriptions::{Descriptions, KnownMember};
use super::members::MemberDirectory;

/// How long a change may take: etcd's request timeout.
const PATIENCE: Duration = Duration::from_secs(7);
/// How long a learner may take to catch up before it is told that it has not.
const PROMOTION: Duration = Duration::from_secs(5);

/// How long a change that was made waits to be known here too.
const KNOWN_HERE: Duration = Duration::from_secs(1);
/// How often it is looked whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The members and their changes. Clones share them.
#[derive(Clone)]
pub(crate) struct ClusterChanges {
    membership: Arc<Membership>,
    directory: Arc<MemberDirectory>,
    member: actors::Member,
    descriptions: Arc<Descriptions>,
    max_learners: usize,
}

/// Why a change of the members was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotChanged {
    /// There is no such member.
    #[error("etcdserver: member not found")]
    NotFound,
    /// Another member is reached there.
    #[error("etcdserver: Peer URLs already exists")]
    AddressTaken,
    /// As many learners as may be are waited for.
    #[error("etcdserver: too many learner members in cluster")]
    TooManyLearners,
    /// The member votes already.
    #[error("etcdserver: can only promote a learner member")]
    NotLearner,
    /// The learner has not caught up.
    #[error("etcdserver: can only promote a learner member which is in sync with leader")]
    NotInSync,
    /// Without the member there would be nobody to decide.
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    TooFewStarted,
    /// There is no leader to make the change, or it has no majority.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl ClusterChanges {
    pub(super) fn new(
        membership: Arc<Membership>,
        directory: Arc<MemberDirectory>,
        member: actors::Member,
        max_learners: usize,
    ) -> Self {
        Self {
            membership,
            directory,
            member,
            descriptions: Arc::default(),
            max_learners,
        }
    }

    /// Every member, in the order of their identities as etcd has it; as the leader knows them, or as this one does.
    ///
    /// # Errors
    /// When there is no leader to ask.
    pub(crate) async fn list(&self, linearizable: bool) -> Result<Vec<KnownMember>, RequestError> {
        let members = if linearizable {
            self.membership
                .members(PATIENCE)
                .await
                .map_err(|_| RequestError::TimedOut)?
        } else {
            self.directory.all()
        };
        if let Ok(own) = self.member.describe().await {
            self.descriptions.hear(own);
        }
        let me = self.membership.server().id;
        let mut known = self.descriptions.complete(&self.directory, me, members).await;
        known.sort_unstable_by_key(|member| member.id);
        Ok(known)
    }

    /// Whether this member has no vote, as its own node says: see [`Membership::votes`].
    pub(crate) async fn is_learner(&self) -> bool {
        !self.membership.votes().await
    }

    /// Adds a member that will be reached at this address, and returns its identity. Whoever asks for a learner may not
    /// have more of them than `--max-learners` waited for, as in etcd; every member begins as one here.
    ///
    /// # Errors
    /// [`NotChanged`].
    pub(crate) async fn add(&self, address: &str, as_learner: bool) -> Result<u64, NotChanged> {
        let members = self.list(true).await;
        let members =
            members.map_err(|error| without_leader(error.into(), RequestError::UnhealthyCluster))?;
        if members.iter().any(|member| member.address == address) {
            return Err(NotChanged::AddressTaken);
        }
        let awaited = members.iter().filter(|member| member.is_awaited()).count();
        if as_learner && awaited >= self.max_learners {
            return Err(NotChanged::TooManyLearners);
        }
        let id = generate_id(address).map_err(|error| RequestError::Unreadable(error.to_string()))?;
        let server = Server {
            id,
            address: address.to_owned(),
        };
        self.membership
            .add(&server, PATIENCE)
            .await
            .map_err(not_changed)?;
        self.known_here(|members| members.iter().any(|member| member.id == id))
            .await;
        Ok(id)
    }

    /// Waits until this member's own list shows a change that was made: as in etcd, whoever asked for it finds it where they
    /// asked.
    async fn known_here(&self, shows: impl Fn(&[Member]) -> bool) {
        let known = async {
            while !shows(&self.directory.all()) {
                sleep(LOOK_AGAIN).await;
            }
        };
        let _anyway = timeout(KNOWN_HERE, known).await;
    }

    /// Removes a member.
    ///
    /// # Errors
    /// [`NotChanged`].
    pub(crate) async fn remove(&self, id: u64) -> Result<(), NotChanged> {
        self.find(id).await?;
        self.membership.remove(id, PATIENCE).await.map_err(not_changed)?;
        // A member that is gone itself is not told.
        if id != self.membership.server().id {
            self.known_here(|members| members.iter().all(|member| member.id != id))
                .await;
        }
        Ok(())
    }

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// [`NotChanged`].
    pub(crate) async fn promote(&self, id: u64) -> Result<(), NotChanged> {
        let found = self.find(id).await;
        let found = found.map_err(|error| without_leader(error, RequestError::NoLeader))?;
        if found.votes {
            return Err(NotChanged::NotLearner);
        }
        match self.membership.assign(id, Role::Voter, PROMOTION).await {
            Err(ChangeError::Refused(_) | ChangeError::NotInTime { .. }) => {
                return Err(NotChanged::NotInSync);
            }
            outcome => outcome.map_err(not_changed)?,
        }
        self.known_here(|members| {
            members
                .iter()
                .any(|member| member.id == id && member.role == Role::Voter)
        })
        .await;
        Ok(())
    }

    /// Makes a voter the leader, if this member is.
    ///
    /// # Errors
    /// [`NotChanged`].
    pub(crate) async fn transfer(&self, to: u64) -> Result<(), NotChanged> {
        let me = self.membership.server().id;
        if !self.membership.leads() {
            return Err(RequestError::NotLeader.into());
        }
        if to == me {
            return Ok(());
        }
        let heir = self.find(to).await.ok().filter(|member| member.votes);
        if heir.is_none() {
            return Err(RequestError::BadTransferee.into());
        }
        self.membership.transfer(to, PATIENCE).await.map_err(not_changed)
    }

    async fn find(&self, id: u64) -> Result<KnownMember, NotChanged> {
        let members = self.list(true).await?;
        members
            .into_iter()
            .find(|member| member.id == id)
            .ok_or(NotChanged::NotFound)
    }
}

/// What etcd says instead where there is no leader to say who the members are.
fn without_leader(error: NotChanged, said: RequestError) -> NotChanged {
    match error {
        NotChanged::Request(RequestError::TimedOut) => said.into(),
        other => other,
    }
}

fn not_changed(error: ChangeError) -> NotChanged {
    match error {
        ChangeError::NotAMember(_) => NotChanged::NotFound,
        ChangeError::OnlyVoter(_) => NotChanged::TooFewStarted,
        ChangeError::NotInTime { .. } => RequestError::TimedOut.into(),
        ChangeError::Refused(reason) => {
            tracing::warn!(%reason, "a change of the members was refused");
            RequestError::UnhealthyCluster.into()
        }
    }
}
