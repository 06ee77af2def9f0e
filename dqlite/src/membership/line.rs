//! A connection that is kept, and made again when it broke.

use std::io;
use std::sync::Arc;

use super::context::Reach;
use crate::client::{Client, Error, Metadata, Options};

/// Who answers at a member's address.
#[derive(Debug)]
pub(super) enum Described {
    /// The member, or a node that does not know better.
    Member(Metadata),
    /// A node that takes itself for another: why it is not the member.
    StandIn(Error),
}

/// A line to the node at one address.
#[derive(Debug)]
pub(super) struct Line {
    reach: Arc<Reach>,
    address: String,
    options: Options,
    client: Option<Client>,
}

impl Line {
    pub(super) fn new(reach: Arc<Reach>, address: &str, options: Options) -> Self {
        Self {
            reach,
            address: address.to_owned(),
            options,
            client: None,
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The client, connected now if it was not. After a call that broke the connection the next one makes another.
    pub(super) async fn client(&mut self) -> Result<&mut Client, Error> {
        let usable = self.client.take().filter(Client::is_usable);
        let client = match usable {
            Some(client) => client,
            None => Client::connect(&*self.reach, &self.address, self.options).await?,
        };
        Ok(self.client.insert(client))
    }

    /// What the node at a member's address says of itself.
    pub(super) async fn describe(&mut self, id: u64) -> Result<Described, Error> {
        match self.somebody_else(id).await? {
            Some(error) => Ok(Described::StandIn(error)),
            None => Ok(Described::Member(self.client().await?.describe().await?)),
        }
    }

    /// Why the node at this address is not the member `id`, as far as it knows: it takes itself for another, as a member
    /// does that was removed and is started again where a new one is to be. Raft ignores what it says. But were the new
    /// one given a role for it, it could not begin without a log any more, and it has none yet. It knows nobody at its
    /// address itself until it has the log that says so; unless it was there early enough to be sent what was meant for
    /// its predecessor.
    pub(super) async fn somebody_else(&mut self, id: u64) -> Result<Option<Error>, Error> {
        let members = self.client().await?.cluster().await?;
        let here = members.iter().find(|member| member.address == self.address);
        let other = here.filter(|member| member.id != id);
        Ok(other.map(|other| {
            let (other, address) = (other.id, &self.address);
            let said = format!("node {other:x} is at {address}, where node {id:x} should be");
            io::Error::other(said).into()
        }))
    }
}
