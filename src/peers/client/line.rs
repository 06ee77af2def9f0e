//! The line to a member: a connection when one is needed, and one for all who need it.

use std::time::Instant;

use actors::PeerError;
use tokio::sync::Mutex;

use super::channel::{Channel, Client};
use crate::peers::{Connector, Introduction, Patience};

/// Where a member is, who calls it, and the connection to it while there is one.
pub(super) struct Line {
    connector: Connector,
    pub(super) introduction: Introduction,
    pub(super) patience: Patience,
    state: Mutex<State>,
}

/// What came of the last try to connect.
enum State {
    Idle,
    Open(Channel),
    Failed { at: Instant, error: PeerError },
}

impl Line {
    pub(super) fn new(connector: Connector, introduction: Introduction, patience: Patience) -> Self {
        Self {
            connector,
            introduction,
            patience,
            state: Mutex::new(State::Idle),
        }
    }

    /// The service at the other end, on the connection that all share. Who comes while a connection is being
    /// made, or shortly after that failed, shares what came of it.
    pub(super) async fn client(&self) -> Result<Client, PeerError> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        match &*state {
            State::Open(channel) if !channel.is_closed() => return Ok(channel.clone().client()),
            State::Failed { at, error } if *at >= asked || at.elapsed() < self.patience.pause => {
                return Err(error.clone());
            }
            _ => {}
        }
        let opened = Channel::open(&self.connector, self.patience).await;
        *state = match &opened {
            Ok(channel) => State::Open(channel.clone()),
            Err(error) => State::Failed {
                at: Instant::now(),
                error: error.clone(),
            },
        };
        opened.map(Channel::client)
    }

    /// The service at the other end, on a connection of its own.
    pub(super) async fn client_alone(&self) -> Result<Client, PeerError> {
        Channel::open(&self.connector, self.patience)
            .await
            .map(Channel::client)
    }
}
