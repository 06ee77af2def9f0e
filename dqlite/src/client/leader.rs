//! Finding the node that leads.
//!
//! As go-dqlite does it: the leader last known is asked first, then all nodes at once, voters before
//! the others. Whoever is named as leader must say so itself.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Client, Connector, Error, Options};
use crate::wire::{Member, Server};

/// Nodes that are asked at the same time.
const AT_ONCE: usize = 10;

/// How the search goes on.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long to wait for one node: to connect, and for each answer.
    pub node: Duration,
    /// How long all nodes together may take in one round.
    pub round: Duration,
    /// How long to rest after the first round without a leader; twice as long after each further one.
    pub least_rest: Duration,
    /// How long to rest at most.
    pub most_rest: Duration,
}

impl Default for Patience {
    /// The times of go-dqlite.
    fn default() -> Self {
        Self {
            node: Duration::from_secs(5),
            round: Duration::from_secs(15),
            least_rest: Duration::from_millis(100),
            most_rest: Duration::from_secs(1),
        }
    }
}

/// There was no leader to be found in time.
#[derive(Debug, Error)]
#[error("no leader found: {}", describe(.0))]
pub struct NoLeader(
    /// The nodes that were asked last and what came of it.
    pub Vec<(String, Error)>,
);

fn describe(reasons: &[(String, Error)]) -> String {
    let one = |(address, reason): &(String, Error)| format!("{address}: {reason}");
    match reasons {
        [] => "no node was asked".to_owned(),
        some => some.iter().map(one).collect::<Vec<_>>().join("; "),
    }
}

/// A connection to the leader.
#[derive(Debug)]
pub struct Led {
    /// Connected and registered, without a database.
    pub client: Client,
    /// Who leads.
    pub leader: Server,
}

/// Finds leaders, and remembers the last.
pub struct Finder {
    connector: Arc<dyn Connector>,
    options: Options,
    patience: Patience,
    /// The number that clients are registered with.
    id: u64,
    last: Option<String>,
}

impl Finder {
    /// A finder whose clients get these options.
    #[must_use]
    pub fn new(connector: Arc<dyn Connector>, options: Options, patience: Patience) -> Self {
        let id = u64::from(std::process::id());
        Self {
            connector,
            options,
            patience,
            id,
            last: None,
        }
    }

    /// Searches until there is a leader, or the time is over.
    pub async fn find(&mut self, members: &[Member], time: Duration) -> Result<Led, NoLeader> {
        let deadline = Instant::now() + time;
        let mut rest = self.patience.least_rest;
        let mut reasons = Vec::new();
        loop {
            match timeout_at(deadline, self.round(members)).await {
                Ok(Ok(led)) => return Ok(led),
                Ok(Err(NoLeader(why))) => reasons = why,
                Err(_) => return Err(NoLeader(reasons)),
            }
            if timeout_at(deadline, sleep(rest)).await.is_err() {
                return Err(NoLeader(reasons));
            }
            rest = (rest * 2).min(self.patience.most_rest);
        }
    }

    /// Asks the last leader, then everybody, once.
    pub async fn round(&mut self, members: &[Member]) -> Result<Led, NoLeader> {
        let found = match self.ask_last().await {
            Some(led) => Ok(led),
            None => self.ask_all(members).await,
        };
        self.last = found.as_ref().ok().map(|led| led.leader.address.clone());
        found
    }

    async fn ask_last(&self) -> Option<Led> {
        let probe = self.probe(self.last.clone()?);
        match timeout(self.patience.round, probe.ask()).await {
            Ok(Ok(led)) => Some(led),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the last leader does not lead any more");
                None
            }
            Err(_) => None,
        }
    }

    async fn ask_all(&self, members: &[Member]) -> Result<Led, NoLeader> {
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_by_key(|member| member.role);
        let mut waiting = sorted
            .into_iter()
            .map(|member| self.probe(member.address.clone()));
        // Probes that are not needed any more are given up when the set is dropped.
        let mut asked = JoinSet::new();
        waiting
            .by_ref()
            .take(AT_ONCE)
            .for_each(|probe| probe.start(&mut asked));
        let mut reasons = Vec::new();
        let answers = async {
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok((_, Ok(led))) => return Some(led),
                    Ok((address, Err(error))) => reasons.push((address, error)),
                    Err(error) => tracing::error!(%error, "a search for the leader ended"),
                }
                waiting.by_ref().take(1).for_each(|probe| probe.start(&mut asked));
            }
            None
        };
        let found = timeout(self.patience.round, answers).await.unwrap_or_default();
        found.ok_or(NoLeader(reasons))
    }

    fn probe(&self, address: String) -> Probe {
        let connector = Arc::clone(&self.connector);
        let timeout = self.patience.node;
        Probe {
            connector,
            address,
            options: Options {
                timeout,
                ..self.options
            },
            timeout_after: self.options.timeout,
            id: self.id,
        }
    }
}

/// One node to be asked.
struct Probe {
    connector: Arc<dyn Connector>,
    address: String,
    options: Options,
    /// The time limit that the client gets once it is found.
    timeout_after: Duration,
    id: u64,
}

impl Probe {
    fn start(self, asked: &mut JoinSet<(String, Result<Led, Error>)>) {
        asked.spawn(async move {
            let outcome = self.ask().await;
            (self.address, outcome)
        });
    }

    /// Asks the node who leads, and whomever it names.
    async fn ask(&self) -> Result<Led, Error> {
        let (mut client, mut leader) = self.ask_node(&self.address).await?;
        if leader.address != self.address {
            let named = leader.address.clone();
            (client, leader) = self.ask_node(&named).await?;
            if leader.address != named {
                return Err(Error::NotLeader(format!(
                    "{named}, which names {}",
                    leader.address
                )));
            }
        }
        client.register(self.id).await?;
        client.set_timeout(self.timeout_after);
        Ok(Led { client, leader })
    }

    async fn ask_node(&self, address: &str) -> Result<(Client, Server), Error> {
        let mut client = Client::connect(&*self.connector, address, self.options).await?;
        let leader = client.leader().await?;
        let leader = leader.ok_or_else(|| Error::NotLeader(format!("{address} knows no leader")))?;
        Ok((client, leader))
    }
}
