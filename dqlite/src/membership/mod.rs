//! A node as a member of its cluster: how it gets in, who leads, who else is there, and who votes.
//!
//! This is what go-dqlite's `app` does, with its files: a node begins a cluster or joins one, remembers the
//! members, and knows the leader. While it leads it also promotes and demotes the others (see
//! [`RoleSettings`]). Where go-dqlite would quietly begin a second cluster, or a voter's log was lost, the start is
//! refused by name instead.

mod begin;
mod change;
mod context;
mod error;
mod handover;
mod keeper;
mod leadership;
mod line;
mod manager;
mod roles;
mod vote;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::dial::Dialer;
use crate::node::{NodeError, Options, Raft, Running, Stopped, Targets};
use crate::proxy::NodeSocket;
use crate::store::DataDirectory;
use crate::wire::{Member, Role, Server};

use change::Leader;
use context::Context;
use keeper::Told;
use vote::OwnVote;

pub use error::{ChangeError, StartError};
pub use handover::Handover;

/// How a node becomes a member, and how it behaves as one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that the other members dial, `host:port`. It cannot change later.
    pub address: String,
    /// What to do in an empty data directory.
    pub origin: Origin,
    /// How the node is. `role_management` should stay off if `roles` is set.
    pub node: Options,
    /// How the others are reached.
    pub dialer: Dialer,
    /// Who should vote, decided here while this node leads. None: nobody's role is changed by itself.
    pub roles: Option<RoleSettings>,
    /// How often the local node is asked who leads, if its library does not tell by itself when that changes
    /// (see [`Running::leadership`]).
    pub leader_poll: Duration,
}

impl Settings {
    /// Settings with the values that this crate recommends.
    #[must_use]
    pub fn new(address: impl Into<String>, origin: Origin, dialer: Dialer) -> Self {
        Self {
            address: address.into(),
            origin,
            node: Options::default(),
            dialer,
            roles: Some(RoleSettings::default()),
            leader_poll: Duration::from_millis(50),
        }
    }
}

/// What a node does in an empty data directory. In one that was used before it goes on as what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Begins a cluster of its own, unless one of these nodes, the others that are planned, belongs to a cluster
    /// already: then the data directory was emptied, and the start is refused.
    Bootstrap {
        /// Addresses of nodes that would know.
        others: Vec<String>,
    },
    /// Joins the cluster of these nodes under a new identity.
    Join {
        /// Addresses of members, at least one of them another node's.
        members: Vec<String>,
    },
    /// Refuses to start.
    Nowhere,
}

/// How roles are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleSettings {
    /// How many members are to have which role. Of the others, those who are one too few to
    /// vote in an odd number hold the data, and the rest do nothing.
    pub targets: Targets,
    /// How often the members are asked whether they are there.
    pub poll: Duration,
    /// How long a member may be silent before another takes over its role.
    pub offline_after: Duration,
}

impl Default for RoleSettings {
    fn default() -> Self {
        Self {
            targets: Targets::default(),
            poll: Duration::from_secs(1),
            offline_after: Duration::from_secs(10),
        }
    }
}

/// Where a node stands in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not been added yet; the reason, if the last try failed.
    Joining {
        /// What was in the way.
        obstacle: Option<String>,
    },
    /// It belongs to the cluster, in this role as last heard from the leader.
    Member(Role),
    /// It belonged to the cluster and was removed. It will not come back under its identity.
    Removed,
}

/// A running node as a member of its cluster. Dropped, it is stopped like a [`Running`] node.
#[derive(Debug)]
pub struct Membership {
    context: Arc<Context>,
    leader: watch::Receiver<Option<Server>>,
    standing: watch::Receiver<Standing>,
    vote: OwnVote,
    /// To the leader, for changes.
    line: Mutex<Leader>,
    /// Ends the tasks.
    ending: CancellationToken,
    /// Ends the giving out of roles.
    settled: CancellationToken,
    tasks: JoinSet<()>,
    node: Running,
}

impl Membership {
    /// Starts the node in its data directory. Joining goes on in the background: see [`standing`](Self::standing).
    /// Connections from outside are to be handed to the [`socket`](Self::socket).
    ///
    /// # Errors
    /// When the settings or the files contradict each other, or the node does not start.
    pub async fn start(directory: DataDirectory, settings: Settings) -> Result<Self, StartError> {
        let directory = Arc::new(directory);
        let server = begin::begin(&directory, &settings).await?;
        let stopped = Stopped::new(Arc::clone(&directory), server.clone(), settings.node.clone());
        let node = stopped.start(settings.dialer.clone()).await?;
        let context = Context::new(directory, server, &settings, node.socket());
        let context = Arc::new(context);
        let standing = begin::settle(&context).await?;
        Ok(Self::run(context, settings, standing, node))
    }

    fn run(context: Arc<Context>, settings: Settings, standing: Standing, node: Running) -> Self {
        let (leader_out, leader) = watch::channel(None);
        let (told, standing, before) = Told::begin(standing);
        let (ending, settled) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let seek = leadership::watch(
            Arc::clone(&context),
            node.leadership(),
            settings.leader_poll,
            leader_out,
        );
        let keep = keeper::keep(Arc::clone(&context), leader.clone(), told);
        spawn(&mut tasks, &ending, seek);
        spawn(&mut tasks, &ending, keep);
        if let Some(roles) = settings.roles {
            let manage = manager::manage(Arc::clone(&context), leader.clone(), roles);
            spawn(&mut tasks, &settled, manage);
        }
        Self {
            line: Mutex::new(Leader::new(Arc::clone(&context), leader.clone())),
            vote: OwnVote::new(&context, before, standing.clone()),
            context,
            leader,
            standing,
            ending,
            settled,
            tasks,
            node,
        }
    }

    /// The node's identity and address.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.context.server
    }

    /// Where connections of peers and clients are to be [attached](crate::proxy::attach).
    #[must_use]
    pub fn socket(&self) -> &NodeSocket {
        self.node.socket()
    }

    /// How members are reached, for a [`client`](crate::client): the local node directly, others over the network.
    #[must_use]
    pub fn connector(&self) -> Arc<dyn crate::client::Connector> {
        Arc::clone(&self.context.reach) as _
    }

    /// Who leads, as this node knows it: told at once if the library can (see [`Running::leadership`]), otherwise
    /// within the poll of the settings. A node without data asks one that votes, twice a second.
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Option<Server>> {
        self.leader.clone()
    }

    /// Raft as the local node sees it now, if the library tells.
    #[must_use]
    pub fn raft(&self) -> Option<Raft> {
        self.node.raft()
    }

    /// Whether this node believes that it leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leader
            .borrow()
            .as_ref()
            .is_some_and(|leader| leader.id == self.context.server.id)
    }

    /// Where this node stands in its cluster.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits until this node has been removed from its cluster, and returns why it will not start again.
    pub async fn removed(&self) -> StartError {
        let mut standing = self.standing.clone();
        let removed = standing.wait_for(|standing| *standing == Standing::Removed);
        if removed.await.is_err() {
            std::future::pending::<()>().await;
        }
        StartError::Removed {
            path: self.context.directory.path().to_owned(),
            id: self.context.server.id,
        }
    }

    /// Whether this node votes: as its own configuration says now, if that has changed since the leader was asked last,
    /// otherwise as the [`standing`](Self::standing) says. Needs no leader, and takes half a second at most.
    pub async fn votes(&self) -> bool {
        self.vote.now().await
    }

    /// The members as the leader knows them.
    ///
    /// # Errors
    /// When there is no leader in time.
    pub async fn members(&self, deadline: Duration) -> Result<Vec<Member>, ChangeError> {
        let (mut line, left) = self.line(deadline).await?;
        line.members(left).await
    }

    /// The members last heard of, from the disk: for when there is no leader.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn known_members(&self) -> Result<Vec<Member>, StartError> {
        Ok(self.context.stored_members().await?)
    }

    /// Adds a node, as a spare; it may be promoted soon after. Succeeds also if it is there already.
    ///
    /// # Errors
    /// When the identity or the address is another member's, or there is no leader in time.
    pub async fn add(&self, server: &Server, deadline: Duration) -> Result<(), ChangeError> {
        let (mut line, left) = self.line(deadline).await?;
        line.add(server, left).await
    }

    /// Removes a member, after another took over the leadership if it led. Succeeds also if it is not there.
    ///
    /// # Errors
    /// When it is the only voter, or there is no leader in time.
    pub async fn remove(&self, id: u64, deadline: Duration) -> Result<(), ChangeError> {
        let (mut line, left) = self.line(deadline).await?;
        line.remove(id, left).await
    }

    /// Gives a member a role. A new voter has caught up when this returns. Roles that are managed may be changed
    /// again at once.
    ///
    /// # Errors
    /// When it is no member or cannot catch up, or there is no leader in time.
    pub async fn assign(&self, id: u64, role: Role, deadline: Duration) -> Result<(), ChangeError> {
        let (mut line, left) = self.line(deadline).await?;
        line.assign(id, role, left).await
    }

    /// Makes a member a voter.
    ///
    /// # Errors
    /// As [`assign`](Self::assign).
    pub async fn promote(&self, id: u64, deadline: Duration) -> Result<(), ChangeError> {
        self.assign(id, Role::Voter, deadline).await
    }

    /// Makes a voter the leader.
    ///
    /// # Errors
    /// When it does not vote, or has not taken over in time.
    pub async fn transfer(&self, id: u64, deadline: Duration) -> Result<(), ChangeError> {
        let (mut line, left) = self.line(deadline).await?;
        line.transfer(id, left).await
    }

    /// The line to the leader, and what is left of the time once others are done with it.
    async fn line(&self, time: Duration) -> Result<(MutexGuard<'_, Leader>, Duration), ChangeError> {
        let end = Instant::now() + time;
        let line = timeout_at(end, self.line.lock()).await;
        let line = line.map_err(|_| ChangeError::NotInTime {
            waited: time,
            reason: "what was asked before is not done".to_owned(),
        })?;
        Ok((line, end.saturating_duration_since(Instant::now())))
    }

    /// Gives role and leadership to others, as far as there are any: what a node does before it stops. It
    /// manages nobody's role from then on.
    ///
    /// # Errors
    /// When it takes longer than `deadline`. The node may be stopped all the same.
    pub async fn handover(&self, deadline: Duration) -> Result<Handover, ChangeError> {
        self.settled.cancel();
        let (mut line, left) = self.line(deadline).await?;
        handover::hand_over(&self.context, &mut line, left).await
    }

    /// Gives role and leadership to others, and leaves the cluster for good. The data directory is of no more use.
    ///
    /// # Errors
    /// When this is the only voter, or there is no leader in time.
    pub async fn leave(&self, deadline: Duration) -> Result<(), ChangeError> {
        self.handover(deadline).await?;
        self.remove(self.context.server.id, deadline).await
    }

    /// Stops the node and gives its data directory back. To spare the others an election, hand over first.
    ///
    /// # Errors
    /// When the C library fails to stop; the node is gone then, too.
    pub async fn stop(mut self) -> Result<Stopped, NodeError> {
        self.ending.cancel();
        self.settled.cancel();
        self.tasks.shutdown().await;
        self.context.disk_is_quiet().await;
        self.node.stop().await
    }
}

fn spawn(
    tasks: &mut JoinSet<()>,
    until: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let until = until.clone();
    tasks.spawn(async move {
        until.run_until_cancelled(task).await;
    });
}
