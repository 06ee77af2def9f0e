//! The cluster: who is in it, who leads it, and changes of both.

use super::{Client, Error};
use crate::wire::{Member, Request, Response, Role, Server};

/// What a node says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The failure domain that its owner gave it.
    pub failure_domain: u64,
    /// Its weight: of members that could take a role, the lightest is preferred.
    pub weight: u64,
}

impl Client {
    /// Who leads, as far as this node knows. Nodes that do not vote never know.
    pub async fn leader(&mut self) -> Result<Option<Server>, Error> {
        match self.ask(&Request::Leader).await? {
            Response::Server(server) => Ok(Some(server).filter(|server| !server.address.is_empty())),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Tells the node a number for this client, as go-dqlite does.
    pub async fn register(&mut self, id: u64) -> Result<(), Error> {
        match self.ask(&Request::Client { id }).await? {
            Response::Welcome { .. } => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The members of the cluster as this node knows them.
    pub async fn cluster(&mut self) -> Result<Vec<Member>, Error> {
        match self.ask(&Request::Cluster { roles: true }).await? {
            Response::Servers(list) => list.members().map_err(Error::from),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Adds a node to the cluster, as a spare. The leader only.
    pub async fn add(&mut self, id: u64, address: &str) -> Result<(), Error> {
        let address = address.into();
        self.ask_for_nothing(&Request::Add { id, address }).await
    }

    /// Gives a member a role, and waits until it has caught up if it is to vote. The leader only.
    pub async fn assign(&mut self, id: u64, role: Role) -> Result<(), Error> {
        self.ask_for_nothing(&Request::Assign { id, role }).await
    }

    /// Removes a member. The leader only.
    pub async fn remove(&mut self, id: u64) -> Result<(), Error> {
        self.ask_for_nothing(&Request::Remove { id }).await
    }

    /// Makes another voter the leader, or any if none is named. The leader only.
    pub async fn transfer(&mut self, to: Option<u64>) -> Result<(), Error> {
        let id = to.unwrap_or(0);
        self.ask_for_nothing(&Request::Transfer { id }).await
    }

    /// What the node says about itself.
    pub async fn describe(&mut self) -> Result<Metadata, Error> {
        match self.ask(&Request::Describe).await? {
            Response::Metadata {
                failure_domain,
                weight,
            } => Ok(Metadata {
                failure_domain,
                weight,
            }),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Sets the node's weight, until it ends.
    pub async fn set_weight(&mut self, weight: u64) -> Result<(), Error> {
        self.ask_for_nothing(&Request::Weight { weight }).await
    }
}
