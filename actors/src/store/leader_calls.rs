//! What only a leader does: done here, or asked of the member that leads.

use std::time::Duration;

use model::LeaseId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Store;
use crate::cluster::{Ask, AskOutcome, Role, Told};
use crate::compactor::WaitCompacted;
use crate::errors::RequestError;
use crate::lease_actor::{KeepAlive, KeepAliveReply, ListLeases, TimeToLive, TimeToLiveReply};

/// How long it is waited before the same leader is asked again, which does not lead yet, or no more.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

impl Store {
    /// Has it done by whoever leads, and while that changes by who leads next: what is asked here may be done
    /// twice.
    async fn ask_leader(&self, ask: Ask) -> AskOutcome {
        let begun = Instant::now();
        loop {
            let failure = match self.ask_once(ask.clone()).await {
                Err(error) if leads_no_more(&error) => error,
                outcome => return outcome,
            };
            let left = self.roles.patience().saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(failure);
            }
            self.roles.changed_within(AGAIN_AFTER.min(left)).await;
        }
    }

    async fn ask_once(&self, ask: Ask) -> AskOutcome {
        match self.roles.settled().await.map_err(nobody_to_ask)? {
            Role::Following { peer, .. } => peer.ask(ask).await,
            _ => self.answer(ask).await,
        }
    }

    /// Does what another member asks of this one as the leader.
    pub(crate) async fn answer(&self, ask: Ask) -> AskOutcome {
        match ask {
            Ask::Submit(command) => self.submit_here(command).await.map(Told::Committed),
            Ask::KeepAlive(id) => self.keep_alive_here(id).await.map(Told::KeptAlive),
            Ask::TimeToLive { id, keys } => self.time_to_live_here(id, keys).await.map(Told::TimeToLive),
            Ask::Leases => self.leases_here().await.map(Told::Leases),
            Ask::ReadRevision => self.confirm_here().await.map(Told::ReadRevision),
            Ask::CompactPhysically => self.compact_physically_here().await.map(|()| Told::Done),
        }
    }

    /// Renews a lease; the answer's time to live is 0 if there is none.
    ///
    /// # Errors
    /// When a renewal that must be stored could not be, or no leader is there to run leases.
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<KeepAliveReply, RequestError> {
        match self.ask_leader(Ask::KeepAlive(id)).await? {
            Told::KeptAlive(reply) => Ok(reply),
            _ => Err(RequestError::TimedOutConnectionLost),
        }
    }

    async fn keep_alive_here(&self, id: LeaseId) -> Result<KeepAliveReply, RequestError> {
        self.roles.office().await?;
        let (answer, answered) = oneshot::channel();
        self.addresses.lease_actor.tell(KeepAlive { id, answer });
        answered.await.map_err(|_| RequestError::Stopped)?
    }

    /// What is left of a lease, with its keys if asked for.
    ///
    /// # Errors
    /// When the server is going down, or no leader is there to run leases.
    pub async fn lease_time_to_live(&self, id: LeaseId, keys: bool) -> Result<TimeToLiveReply, RequestError> {
        match self.ask_leader(Ask::TimeToLive { id, keys }).await? {
            Told::TimeToLive(reply) => Ok(reply),
            _ => Err(RequestError::TimedOutConnectionLost),
        }
    }

    async fn time_to_live_here(&self, id: LeaseId, keys: bool) -> Result<TimeToLiveReply, RequestError> {
        self.confirm_here().await?;
        let (answer, answered) = oneshot::channel();
        self.addresses.lease_actor.tell(TimeToLive { id, keys, answer });
        answered.await.map_err(|_| RequestError::Stopped)?
    }

    /// Every lease, the first to expire first.
    ///
    /// # Errors
    /// When the server is going down, or no leader is there to run leases.
    pub async fn leases(&self) -> Result<Vec<LeaseId>, RequestError> {
        match self.ask_leader(Ask::Leases).await? {
            Told::Leases(leases) => Ok(leases),
            _ => Err(RequestError::TimedOutConnectionLost),
        }
    }

    async fn leases_here(&self) -> Result<Vec<LeaseId>, RequestError> {
        self.confirm_here().await?;
        let (answer, answered) = oneshot::channel();
        self.addresses.lease_actor.tell(ListLeases { answer });
        answered.await.map_err(|_| RequestError::Stopped)?
    }

    /// Waits until the rows of every compaction so far are deleted from the log.
    ///
    /// # Errors
    /// When the server is going down, or no leader is there to delete them.
    pub async fn compact_physically(&self) -> Result<(), RequestError> {
        self.ask_leader(Ask::CompactPhysically).await.map(drop)
    }

    async fn compact_physically_here(&self) -> Result<(), RequestError> {
        self.roles.office().await?;
        let (done, finished) = oneshot::channel();
        self.addresses.compactor.tell(WaitCompacted { done });
        finished.await.map_err(|_| RequestError::Stopped)?
    }
}

/// What is asked of a leader is not done without one.
fn nobody_to_ask(error: RequestError) -> RequestError {
    match error {
        RequestError::TimedOut => RequestError::NoLeader,
        other => other,
    }
}

/// Whether the member that was asked does not lead, or came to lead no more over the question.
fn leads_no_more(error: &RequestError) -> bool {
    matches!(
        error,
        RequestError::NoLeader | RequestError::NotLeader | RequestError::LeaderChanged
    )
}
