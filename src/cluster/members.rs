//! The directory of members: who votes, who leads, and the way to each of them.

use std::collections::HashMap;
use std::sync::Arc;

use actors::{Members, Peer};
use dqlite::dial::Dialer;
use dqlite::wire::{Member, Role, Server};
use journal::Identity;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Foundation;
use super::voters::KnownMembers;
use crate::peers::{Connector, Introduction, Patience, RemotePeer, Wire};

/// The other members, as this one knows them.
pub(super) struct MemberDirectory {
    identity: Identity,
    dialer: Dialer,
    members: Arc<KnownMembers>,
    leader: watch::Receiver<Option<Server>>,
    leader_id: watch::Receiver<Option<u64>>,
    /// The ways to other members, by identity and address.
    peers: Mutex<HashMap<(u64, String), Arc<RemotePeer>>>,
    runtime: tokio::runtime::Handle,
}

impl MemberDirectory {
    /// Begins to follow who the members are and who leads, until `stopping`.
    pub(super) fn start(foundation: &Foundation, stopping: &CancellationToken) -> Self {
        let membership = &foundation.membership;
        let members = Arc::new(KnownMembers::new(
            foundation.settings.election_timeout / 2,
            Vec::new(),
        ));
        let (node, known) = (membership.socket().address(), Arc::clone(&members));
        let leader = membership.leader();
        let (told, leader_id) = watch::channel(None);
        let seen = leader.clone();
        spawn_until(stopping, async move { known.keep_fresh(&node).await });
        spawn_until(stopping, tell_ids(seen, told));
        Self {
            identity: foundation.identity,
            dialer: foundation.dialer.clone(),
            members,
            leader,
            leader_id,
            peers: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// Where the leader is reached; none if nobody is known to lead.
    pub(super) fn leader_address(&self) -> Option<String> {
        self.leader.borrow().as_ref().map(|leader| leader.address.clone())
    }

    /// Every member that was heard of.
    pub(super) fn all(&self) -> Vec<Member> {
        self.members.all()
    }

    /// The way to a member at an address.
    pub(super) fn way_to(&self, member: u64, address: &str) -> Arc<RemotePeer> {
        let mut peers = self.peers.lock();
        let key = (member, address.to_owned());
        let way = peers.entry(key).or_insert_with(|| {
            let _on_it = self.runtime.enter();
            let introduction = Introduction {
                caller: self.identity,
                called: member,
            };
            let connector = connector(&self.dialer, address);
            Arc::new(RemotePeer::new(connector, introduction, Patience::default()))
        });
        Arc::clone(way)
    }

    fn address_of(&self, member: u64) -> Option<String> {
        let listed = self.all().into_iter().find(|listed| listed.id == member);
        let leader = || self.leader.borrow().clone().filter(|leader| leader.id == member);
        listed
            .map(|listed| listed.address)
            .or_else(|| leader().map(|leader| leader.address))
    }
}

impl Members for MemberDirectory {
    fn me(&self) -> u64 {
        self.identity.member_id
    }

    fn voters(&self) -> Option<Vec<u64>> {
        let fresh = self.members.fresh()?;
        let voters = fresh.into_iter().filter(|member| member.role == Role::Voter);
        Some(voters.map(|voter| voter.id).collect())
    }

    fn peer(&self, member: u64) -> Option<Arc<dyn Peer>> {
        let address = self.address_of(member)?;
        Some(self.way_to(member, &address))
    }

    fn leader(&self) -> watch::Receiver<Option<u64>> {
        self.leader_id.clone()
    }
}

async fn tell_ids(mut leader: watch::Receiver<Option<Server>>, told: watch::Sender<Option<u64>>) {
    loop {
        let id = leader.borrow_and_update().as_ref().map(|leader| leader.id);
        told.send_replace(id);
        if leader.changed().await.is_err() {
            return;
        }
    }
}

fn spawn_until(stopping: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    let stopping = stopping.clone();
    tokio::spawn(async move { stopping.run_until_cancelled(task).await });
}

/// Makes connections to the member at an address.
pub(super) fn connector(dialer: &Dialer, address: &str) -> Connector {
    let (dialer, address) = (dialer.clone(), address.to_owned());
    Arc::new(move || {
        let (dialer, address) = (dialer.clone(), address.clone());
        Box::pin(async move {
            let wire: Box<dyn Wire> = Box::new(dialer.dial(&address).await?);
            Ok(wire)
        })
    })
}
