//! Changes of the cluster, which the leader makes: found, asked, asked again when leadership moves, and looked
//! after when an answer is lost. All of them may be made twice without harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::ChangeError;
use super::context::{ANSWER, Context};
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
        self.members_by(Deadline::after(time)).await
    }

    pub(super) async fn add(&mut self, server: &Server, time: Duration) -> Result<(), ChangeError> {
        self.make(&Change::Add(server.clone()), Deadline::after(time))
            .await
    }

    pub(super) async fn remove(&mut self, id: u64, time: Duration) -> Result<(), ChangeError> {
        let deadline = Deadline::after(time);
        let members = self.members_by(deadline).await?;
        let mut voters = members.iter().filter(|member| member.role == Role::Voter);
        let heir = voters.clone().find(|member| member.id != id);
        if voters.any(|member| member.id == id) && heir.is_none() {
            return Err(ChangeError::OnlyVoter(id));
        }
        if let Some(heir) = heir.filter(|_| self.leads(id)) {
            self.transfer_by(heir.id, deadline).await?;
        }
        self.make(&Change::Remove(id), deadline).await
    }

    pub(super) async fn assign(&mut self, id: u64, role: Role, time: Duration) -> Result<(), ChangeError> {
        let deadline = Deadline::after(time);
        let members = self.members_by(deadline).await?;
        match members.iter().find(|member| member.id == id) {
            None => Err(ChangeError::NotAMember(id)),
            Some(member) if member.role == role => Ok(()),
            Some(member) => {
                if role != Role::Spare {
                    let line = self.context.line(&member.address, ANSWER);
                    refuse_absent(line, id, deadline).await?;
                }
                self.make(&Change::Assign(id, role), deadline).await
            }
        }
    }

    pub(super) async fn transfer(&mut self, id: u64, time: Duration) -> Result<(), ChangeError> {
        self.transfer_by(id, Deadline::after(time)).await
    }

    /// Whether this node leads now, as far as is known.
    pub(super) fn leads(&self, id: u64) -> bool {
        is(self.known.borrow().as_ref(), id)
    }

    /// Asks for the transfer until the new leader is known to lead.
    async fn transfer_by(&mut self, id: u64, deadline: Deadline) -> Result<(), ChangeError> {
        let mut last = None;
        while !self.leads(id) {
            let asked = deadline.within(self.try_transfer(id)).await?;
            match asked {
                Err(error @ Error::Sqlite { .. }) => return Err(ChangeError::Refused(error)),
                Err(error) => last = Some(self.learn(error)),
                Ok(()) => {}
            }
            let led = self.known.wait_for(|leader| is(leader.as_ref(), id));
            let seen = timeout_at(deadline.soon(), led).await.is_ok();
            if !seen && deadline.is_over() {
                return Err(deadline.missed(last));
            }
        }
        Ok(())
    }

    /// Makes a change until it is made, or certainly refused.
    async fn make(&mut self, change: &Change, deadline: Deadline) -> Result<(), ChangeError> {
        loop {
            let Err(error) = deadline.within(self.try_change(change)).await? else {
                return Ok(());
            };
            let error = self.learn(error);
            let members = self.members_by(deadline).await?;
            match error {
                _ if change.is_made(&members) => return Ok(()),
                error @ (Error::Sqlite { .. } | Error::Misuse(_)) => return Err(ChangeError::Refused(error)),
                error if deadline.is_over() => return Err(deadline.missed(Some(error))),
                error => tracing::debug!(%error, ?change, "a change of the cluster is tried again"),
            }
            sleep(REST).await;
        }
    }

    async fn members_by(&mut self, deadline: Deadline) -> Result<Vec<Member>, ChangeError> {
        loop {
            match deadline.within(self.try_members()).await? {
                Ok(members) => return Ok(members),
                Err(error) if deadline.is_over() => return Err(deadline.missed(Some(error))),
                Err(error) => drop(self.learn(error)),
            }
            sleep(REST).await;
        }
    }

    /// Any node tells the members as it knows them, so this one must say first that it leads still.
    async fn try_members(&mut self) -> Result<Vec<Member>, Error> {
        let client = self.connected().await?;
        let leader = client.leader().await?;
        let members = client.cluster().await?;
        let asked = self.line.as_ref().map(Line::address);
        if leader.as_ref().map(|leader| &*leader.address) == asked {
            return Ok(members);
        }
        Err(Error::NotLeader("the leader of before leads no more".to_owned()))
    }

    async fn try_transfer(&mut self, id: u64) -> Result<(), Error> {
        self.connected().await?.transfer(Some(id)).await
    }

    async fn try_change(&mut self, change: &Change) -> Result<(), Error> {
        let client = self.connected().await?;
        match change {
            Change::Add(server) => client.add(server.id, &server.address).await,
            Change::Remove(id) => client.remove(*id).await,
            Change::Assign(id, role) => client.assign(*id, *role).await,
        }
    }

    /// Looks for another leader next time if this one says that it is none.
    fn learn(&mut self, error: Error) -> Error {
        if matches!(error, Error::NotLeader(_)) {
            self.line = None;
        }
        error
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

/// Refuses to go on if another node is where a member should be, or nobody: the leader would wait for it to catch up,
/// and until then make no other change.
async fn refuse_absent(mut line: Line, id: u64, deadline: Deadline) -> Result<(), ChangeError> {
    match deadline.within(line.somebody_else(id)).await? {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(ChangeError::Refused(error)),
    }
}

fn is(leader: Option<&Server>, id: u64) -> bool {
    leader.is_some_and(|leader| leader.id == id)
}

/// A change of the members.
#[derive(Debug)]
enum Change {
    Add(Server),
    Remove(u64),
    Assign(u64, Role),
}

impl Change {
    /// Whether the members are as they are to be.
    fn is_made(&self, members: &[Member]) -> bool {
        match self {
            Self::Add(server) => members
                .iter()
                .any(|member| member.id == server.id && member.address == server.address),
            Self::Remove(id) => members.iter().all(|member| member.id != *id),
            Self::Assign(id, role) => members
                .iter()
                .any(|member| member.id == *id && member.role == *role),
        }
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

    /// What comes of some work, unless the time is over before.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, ChangeError> {
        timeout_at(self.end, work).await.map_err(|_| self.missed(None))
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
