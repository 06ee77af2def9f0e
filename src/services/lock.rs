//! The Lock service.

use std::sync::Arc;

use bytes::Bytes;
use model::{Command, DeleteRange, KeyRange, RangeQuery, Revision};
use proto::v3lockpb as pb;
use proto::v3lockpb::lock_server::Lock;
use tonic::{Request, Response, Status};

use super::coordination::{Leaving, Place, enter, queue, read, session_lease, wait_turn};
use super::{Context, status};

/// Locks, held by keys that hang on leases.
pub(super) struct LockService {
    context: Arc<Context>,
}

impl LockService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// Waits until the place is the first, and tells the revision at which it still was there.
    async fn wait(&self, queue: &KeyRange, place: &Place) -> Result<Revision, Status> {
        if place.is_first {
            return Ok(place.revision);
        }
        let leaving = Leaving::unless_kept(self.context.store(), place);
        wait_turn(&self.context, queue, place.created).await?;
        let query = RangeQuery::new(KeyRange::Single(place.key.clone()));
        let reply = read(self.context.store(), query).await?;
        leaving.keep();
        if reply.kvs.is_empty() {
            return Err(Status::unknown("mutex: session is expired"));
        }
        Ok(reply.revision)
    }
}

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let request = request.into_inner();
        let lease = session_lease(&self.context, request.lease).await?;
        let queue = queue(&request.name);
        let place = enter(self.context.store(), &queue, lease, Bytes::new()).await?;
        let held_at = self.wait(&queue, &place).await?;
        Ok(Response::new(pb::LockResponse {
            header: self.context.header(held_at),
            key: place.key,
        }))
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let range = KeyRange::Single(request.into_inner().key);
        let command = Command::DeleteRange(DeleteRange {
            range,
            prev_kv: false,
        });
        let committed = self
            .context
            .store()
            .submit(command)
            .await
            .map_err(status::through_client)?;
        Ok(Response::new(pb::UnlockResponse {
            header: self.context.header(committed.revision),
        }))
    }
}
