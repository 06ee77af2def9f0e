//! Changes of the cluster, which the leader makes: found, asked, asked again when leadership moves, and looked
//! after when an answer is lost. All of them may be made twice without harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::ChangeError;
use super::context::Context;
use super::line::Line;
use crate::client::{Client, Error};
use crate::wire::{Member, Role, Server};

/// How long a call to the leader may take: a new voter has its log sent first.
const CATCH_UP: Duration = Duration::from_secs(120);
/// The rest before a change is tried again.
const REST: Duration = Duration::from_millis(50);

/// The leader, whoever it is.
#[derive(Debug)]
pub(super) struct Leader {
    context: Arc<Context>,
    known: watch::Receiver<Option<Server>>,
    line: Option<Line>,
}

impl Leader {
    pub(super) fn new(context: Arc<Context>, known: watch::Receiver<Option<Server>>) -> Self {
        Self {
            context,
            known,
            line: None,
        }
    }

    pub(super) async fn members(&mut self, time: Duration) -> Result<Vec<Member>, ChangeError> {
        self.ask(Deadline::after(time), async |client| client.cluster().await)
            .await
    }

    pub(super) async fn add(&mut self, server: &Server, time: Duration) -> Result<(), ChangeError> {
        let there = |members: &[Member]| {
            members
                .iter()
                .any(|it| it.id == server.id && it.address == server.address)
        };
        let add = async |client: &mut Client| client.add(server.id, &server.address).await;
        self.change(Deadline::after(time), there, add).await
    }

    pub(super) async fn remove(&mut self, id: u64, time: Duration) -> Result<(), ChangeError> {
        let deadline = Deadline::after(time);
        let members = self.ask(deadline, async |client| client.cluster().await).await?;
        let mut voters = members.iter().filter(|member| member.role == Role::Voter);
        let heir = voters.clone().find(|member| member.id != id);
        if voters.any(|member| member.id == id) && heir.is_none() {
            return Err(ChangeError::OnlyVoter(id));
        }
        if let Some(heir) = heir.filter(|_| self.leads(id)) {
            self.transfer_by(heir.id, deadline).await?;
        }
        let gone = |members: &[Member]| members.iter().all(|member| member.id != id);
        self.change(deadline, gone, async |client| client.remove(id).await)
            .await
    }

    pub(super) async fn assign(&mut self, id: u64, role: Role, time: Duration) -> Result<(), ChangeError> {
        let deadline = Deadline::after(time);
        let members = self.ask(deadline, async |client| client.cluster().await).await?;
        match members.iter().find(|member| member.id == id) {
            None => Err(ChangeError::NotAMember(id)),
            Some(member) if member.role == role => Ok(()),
            Some(_) => {
                let so = |members: &[Member]| members.iter().any(|it| it.id == id && it.role == role);
                self.change(deadline, so, async |client| client.assign(id, role).await)
                    .await
            }
        }
    }

    pub(super) async fn transfer(&mut self, id: u64, time: Duration) -> Result<(), ChangeError> {
        self.transfer_by(id, Deadline::after(time)).await
    }

    /// Whether this node leads now, as far as is known.
    pub(super) fn leads(&self, id: u64) -> bool {
        self.known.borrow().as_ref().is_some_and(|leader| leader.id == id)
    }

    /// Asks for the transfer until the new leader is known to lead.
    async fn transfer_by(&mut self, id: u64, deadline: Deadline) -> Result<(), ChangeError> {
        let mut last = None;
        while !self.leads(id) {
            let asked = self
                .try_once(deadline, async |client| client.transfer(Some(id)).await)
                .await;
            match asked? {
                Err(error @ Error::Sqlite { .. }) => return Err(ChangeError::Refused(error)),
                Err(error) => last = Some(error),
                Ok(()) => {}
            }
            let led = self
                .known
                .wait_for(|leader| leader.as_ref().is_some_and(|leader| leader.id == id));
            if timeout_at(deadline.soon(), led).await.is_err() && deadline.is_over() {
                return Err(deadline.missed(last));
            }
        }
        Ok(())
    }

    /// Makes a change until it is made, or certainly refused.
    async fn change(
        &mut self,
        deadline: Deadline,
        done: impl Fn(&[Member]) -> bool,
        what: impl AsyncFn(&mut Client) -> Result<(), Error>,
    ) -> Result<(), ChangeError> {
        loop {
            let Err(error) = self.try_once(deadline, &what).await? else {
                return Ok(());
            };
            let members = self.ask(deadline, async |client| client.cluster().await).await?;
            match error {
                _ if done(&members) => return Ok(()),
                error @ (Error::Sqlite { .. } | Error::Misuse(_)) => return Err(ChangeError::Refused(error)),
                error if deadline.is_over() => return Err(deadline.missed(Some(error))),
                error => tracing::debug!(%error, "a change of the cluster is tried again"),
            }
            sleep(REST).await;
        }
    }

    /// Asks for something that may be asked again, until there is an answer.
    async fn ask<T>(
        &mut self,
        deadline: Deadline,
        what: impl AsyncFn(&mut Client) -> Result<T, Error>,
    ) -> Result<T, ChangeError> {
        loop {
            match self.try_once(deadline, &what).await? {
                Ok(answer) => return Ok(answer),
                Err(error) if deadline.is_over() => return Err(deadline.missed(Some(error))),
                Err(_) => sleep(REST).await,
            }
        }
    }

    /// Asks the leader of now. The outer error is that the time is over.
    async fn try_once<T>(
        &mut self,
        deadline: Deadline,
        what: impl AsyncFn(&mut Client) -> Result<T, Error>,
    ) -> Result<Result<T, Error>, ChangeError> {
        let asking = async {
            let client = self.connected().await?;
            what(client).await
        };
        match timeout_at(deadline.end, asking).await {
            Ok(answer) => {
                if matches!(answer, Err(Error::NotLeader(_))) {
                    self.line = None;
                }
                Ok(answer)
            }
            Err(_) => Err(deadline.missed(None)),
        }
    }

    /// Waits until there is a leader, and connects to it.
    async fn connected(&mut self) -> Result<&mut Client, Error> {
        let known = self
            .known
            .wait_for(Option::is_some)
            .await
            .map(|leader| leader.clone());
        let address = known.ok().flatten().map(|leader| leader.address);
        let address = address.ok_or_else(|| Error::NotLeader("the membership has ended".to_owned()))?;
        let kept = self.line.take().filter(|line| line.address() == address);
        let line = kept.unwrap_or_else(|| self.context.line(&address, CATCH_UP));
        self.line.insert(line).client().await
    }
}

/// When to give up.
#[derive(Clone, Copy)]
struct Deadline {
    time: Duration,
    end: Instant,
}

impl Deadline {
    fn after(time: Duration) -> Self {
        Self {
            time,
            end: Instant::now() + time,
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// When to look again.
    fn soon(&self) -> Instant {
        self.end.min(Instant::now() + 10 * REST)
    }

    fn missed(&self, last: Option<Error>) -> ChangeError {
        ChangeError::NotInTime {
            waited: self.time,
            reason: last.map_or_else(|| "nobody answers".to_owned(), |error| error.to_string()),
        }
    }
}
