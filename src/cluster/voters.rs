//! Who votes, as this member's own node says, and how fresh that is.

use std::time::Duration;

use dqlite::client::{Client, Options, PlainConnector};
use dqlite::wire::Member;
use parking_lot::RwLock;
use tokio::time::{Instant, sleep};

/// How often the node is asked.
const POLL: Duration = Duration::from_millis(100);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_millis(500);

/// The members as the local node knows them.
///
/// A leader's node knows of every change of the members before anybody else does, and nobody can be elected
/// under a change before an election timeout has passed since. So a list that is younger than that tells
/// whose majority it takes to have been overtaken.
#[derive(Debug)]
pub(super) struct KnownMembers {
    list: RwLock<(Vec<Member>, Option<Instant>)>,
    fresh_for: Duration,
}

impl KnownMembers {
    /// Nothing is known yet; what will be counts as fresh for this long.
    pub(super) fn new(fresh_for: Duration, known: Vec<Member>) -> Self {
        Self {
            list: RwLock::new((known, None)),
            fresh_for,
        }
    }

    /// The members, however old the news of them are.
    pub(super) fn all(&self) -> Vec<Member> {
        self.list.read().0.clone()
    }

    /// The members, if nobody can have been elected under a newer list.
    pub(super) fn fresh(&self) -> Option<Vec<Member>> {
        let list = self.list.read();
        let heard = list.1?;
        (heard.elapsed() < self.fresh_for).then(|| list.0.clone())
    }

    /// Asks the node at this abstract socket for as long as it is polled.
    pub(super) async fn keep_fresh(&self, node: &str) {
        let mut client = None;
        loop {
            if let Err(error) = self.refresh(node, &mut client).await {
                tracing::debug!(%error, "the node does not say who its members are");
                client = None;
            }
            sleep(POLL).await;
        }
    }

    /// The answer is as old as the question.
    async fn refresh(&self, node: &str, client: &mut Option<Client>) -> Result<(), dqlite::client::Error> {
        let asked = Instant::now();
        let kept = match client.take() {
            Some(kept) => kept,
            None => {
                let options = Options {
                    timeout: ANSWER,
                    ..Options::default()
                };
                Client::connect(&PlainConnector, node, options).await?
            }
        };
        let members = client.insert(kept).cluster().await?;
        *self.list.write() = (members, Some(asked));
        Ok(())
    }
}
