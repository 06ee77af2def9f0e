//! A connection that is kept, and made again when it broke.

use std::sync::Arc;

use super::context::Reach;
use crate::client::{Client, Error, Options};

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
}
