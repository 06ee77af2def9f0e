//! The Election service.

mod observe;

use std::sync::Arc;

use bytes::Bytes;
use model::{KeyRange, LeaseId, Operation, Put, Revision, Txn};
use proto::v3electionpb as pb;
use proto::v3electionpb::election_server::Election;
use tonic::{Request, Response, Status};

use self::observe::ObserveSession;
use super::coordination::{
    Leaving, Place, created_at, enter, leave, oldest, queue, read, session_lease, submit, wait_turn,
};
use super::streams::{Answers, Session};
use super::{Context, convert};

/// Elections, held by keys that hang on leases.
pub(super) struct ElectionService {
    context: Arc<Context>,
}

impl ElectionService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// Lets the holder of a key say something else, and tells the revision of that.
    async fn say(&self, leader: &pb::LeaderKey, value: Bytes) -> Result<Revision, Status> {
        let lease = LeaseId(leader.lease);
        let put = Put {
            key: leader.key.clone(),
            value,
            lease,
            ..Put::default()
        };
        let txn = Txn {
            compare: vec![created_at(&leader.key, Revision(leader.rev))],
            success: vec![Operation::Put(put)],
            failure: Vec::new(),
        };
        let (revision, reply) = submit(self.context.store(), txn).await?;
        if reply.succeeded {
            Ok(revision)
        } else {
            Err(Status::unknown("election: not leader"))
        }
    }

    /// Waits until the place is the first. A candidate that had it already first says what it says now.
    async fn win(
        &self,
        queue: &KeyRange,
        place: &Place,
        leader: &pb::LeaderKey,
        value: Bytes,
    ) -> Result<(), Status> {
        let leaving = Leaving::unless_kept(self.context.store(), place);
        if place.found.as_ref().is_some_and(|found| *found != value) {
            self.say(leader, value).await?;
        }
        wait_turn(&self.context, queue, place.created).await?;
        leaving.keep();
        Ok(())
    }
}

/// The proof of a leadership that a request must bring.
fn required(leader: Option<pb::LeaderKey>) -> Result<pb::LeaderKey, Status> {
    leader.ok_or_else(|| Status::unknown("\"leader\" field must be provided"))
}

#[tonic::async_trait]
impl Election for ElectionService {
    async fn campaign(
        &self,
        request: Request<pb::CampaignRequest>,
    ) -> Result<Response<pb::CampaignResponse>, Status> {
        let request = request.into_inner();
        let lease = session_lease(&self.context, request.lease).await?;
        let queue = queue(&request.name);
        let place = enter(self.context.store(), &queue, lease, request.value.clone()).await?;
        let (key, rev) = (place.key.clone(), place.created.0);
        let leader = pb::LeaderKey {
            name: request.name,
            key,
            rev,
            lease: lease.0,
        };
        self.win(&queue, &place, &leader, request.value).await?;
        let header = self.context.header(place.revision);
        Ok(Response::new(pb::CampaignResponse {
            header,
            leader: Some(leader),
        }))
    }

    async fn proclaim(
        &self,
        request: Request<pb::ProclaimRequest>,
    ) -> Result<Response<pb::ProclaimResponse>, Status> {
        let request = request.into_inner();
        let leader = required(request.leader)?;
        session_lease(&self.context, leader.lease).await?;
        let revision = self.say(&leader, request.value).await?;
        Ok(Response::new(pb::ProclaimResponse {
            header: self.context.header(revision),
        }))
    }

    async fn leader(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<pb::LeaderResponse>, Status> {
        let query = oldest(&queue(&request.into_inner().name));
        let reply = read(self.context.store(), query).await?;
        let leader = reply
            .kvs
            .into_iter()
            .next()
            .ok_or_else(|| Status::unknown("election: no leader"))?;
        let header = self.context.header(reply.revision);
        Ok(Response::new(pb::LeaderResponse {
            header,
            kv: Some(convert::key_value(leader)),
        }))
    }

    type ObserveStream = Answers<pb::LeaderResponse>;

    async fn observe(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let queue = queue(&request.into_inner().name);
        Ok(Response::new(
            ObserveSession::new(Arc::clone(&self.context), queue).answers(),
        ))
    }

    async fn resign(
        &self,
        request: Request<pb::ResignRequest>,
    ) -> Result<Response<pb::ResignResponse>, Status> {
        let leader = required(request.into_inner().leader)?;
        let (revision, _) = submit(self.context.store(), leave(&leader.key, Revision(leader.rev))).await?;
        Ok(Response::new(pb::ResignResponse {
            header: self.context.header(revision),
        }))
    }
}
