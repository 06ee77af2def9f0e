//! What only a leader does: done here, or asked of the member that leads.

use std::sync::Arc;

use model::LeaseId;
use tokio::sync::oneshot;

use super::Store;
use crate::cluster::{Ask, Peer, Role, Told};
use crate::compactor::WaitCompacted;
use crate::errors::RequestError;
use crate::lease_actor::{KeepAlive, KeepAliveReply, ListLeases, TimeToLive, TimeToLiveReply};

impl Store {
    /// Who does what only a leader does: this member, or the one it follows.
    async fn leader(&self) -> Result<Option<Arc<dyn Peer>>, RequestError> {
        match self.roles.settled().await? {
            Role::Following { peer, .. } => Ok(Some(peer)),
            _ => Ok(None),
        }
    }

    /// Renews a lease; the answer's time to live is 0 if there is none.
    ///
    /// # Errors
    /// When a renewal that must be stored could not be, or no leader is there to run leases.
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<KeepAliveReply, RequestError> {
        let Some(leader) = self.leader().await? else {
            return self.keep_alive_here(id).await;
        };
        match leader.ask(Ask::KeepAlive(id)).await? {
            Told::KeptAlive(reply) => Ok(reply),
            _ => Err(RequestError::TimedOutConnectionLost),
        }
    }

    pub(crate) async fn keep_alive_here(&self, id: LeaseId) -> Result<KeepAliveReply, RequestError> {
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
        let Some(leader) = self.leader().await? else {
            return self.time_to_live_here(id, keys).await;
        };
        match leader.ask(Ask::TimeToLive { id, keys }).await? {
            Told::TimeToLive(reply) => Ok(reply),
            _ => Err(RequestError::TimedOutConnectionLost),
        }
    }

    pub(crate) async fn time_to_live_here(
        &self,
        id: LeaseId,
        keys: bool,
    ) -> Result<TimeToLiveReply, RequestError> {
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
        let Some(leader) = self.leader().await? else {
            return self.leases_here().await;
        };
        match leader.ask(Ask::Leases).await? {
            Told::Leases(leases) => Ok(leases),
            _ => Err(RequestError::TimedOutConnectionLost),
        }
    }

    pub(crate) async fn leases_here(&self) -> Result<Vec<LeaseId>, RequestError> {
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
        let Some(leader) = self.leader().await? else {
            return self.compact_physically_here().await;
        };
        leader.ask(Ask::CompactPhysically).await.map(drop)
    }

    pub(crate) async fn compact_physically_here(&self) -> Result<(), RequestError> {
        self.roles.office().await?;
        let (done, finished) = oneshot::channel();
        self.addresses.compactor.tell(WaitCompacted { done });
        finished.await.map_err(|_| RequestError::Stopped)
    }
}
