//! The Lease service.

use std::sync::Arc;

use model::{Command, LeaseGrant, LeaseId, Reply};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::lease_server::Lease;
use tonic::{Request, Response, Status, Streaming};

use super::kv::mismatched;
use super::streams::{Answers, LeaderLost, Session, Shutdown, on_leader_lost, on_shutdown};
use super::{Context, status};

/// Promises of time that keys can be attached to.
pub(super) struct LeaseService {
    context: Arc<Context>,
}

impl LeaseService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

/// A grant that arrives now, with an identity drawn in case it names none.
pub(super) fn grant_command(context: &Context, id: LeaseId, ttl: i64) -> Command {
    Command::LeaseGrant(LeaseGrant {
        id,
        chosen: context.draw_lease_id(),
        ttl,
        now_ms: context.store().lease_clock_ms(),
    })
}

#[tonic::async_trait]
impl Lease for LeaseService {
    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let request = request.into_inner();
        let command = grant_command(&self.context, LeaseId(request.id), request.ttl);
        let committed = self
            .context
            .store()
            .submit(command)
            .await
            .map_err(status::status)?;
        let Reply::LeaseGrant(granted) = committed.reply else {
            return Err(mismatched(&committed.reply));
        };
        Ok(Response::new(pb::LeaseGrantResponse {
            header: self.context.header(committed.revision),
            id: granted.id.0,
            ttl: granted.ttl,
            error: String::new(),
        }))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        let command = Command::LeaseRevoke(LeaseId(request.into_inner().id));
        let committed = self
            .context
            .store()
            .submit(command)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::LeaseRevokeResponse {
            header: self.context.header(committed.revision),
        }))
    }

    type LeaseKeepAliveStream = Answers<pb::LeaseKeepAliveResponse>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let session = KeepAliveSession {
            context: Arc::clone(&self.context),
            leader_lost: on_leader_lost(self.context.store(), request.metadata()),
            shutdown: on_shutdown(self.context.shutdown()),
            inbound: request.into_inner(),
        };
        Ok(Response::new(session.answers()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let request = request.into_inner();
        let store = self.context.store();
        let left = store
            .lease_time_to_live(LeaseId(request.id), request.keys)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::LeaseTimeToLiveResponse {
            header: self.context.header(left.revision),
            id: request.id,
            ttl: left.ttl,
            granted_ttl: left.granted_ttl,
            keys: left.keys,
        }))
    }

    async fn lease_leases(
        &self,
        _: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        let leases = self.context.store().leases().await.map_err(status::status)?;
        Ok(Response::new(pb::LeaseLeasesResponse {
            header: self.context.header_now(),
            leases: leases
                .into_iter()
                .map(|id| pb::LeaseStatus { id: id.0 })
                .collect(),
        }))
    }
}

/// One stream of keep-alives: answers in the order of the requests, until the client has no more of them.
struct KeepAliveSession {
    context: Arc<Context>,
    inbound: Streaming<pb::LeaseKeepAliveRequest>,
    shutdown: Shutdown,
    leader_lost: LeaderLost,
}

async fn renew(context: &Context, id: i64) -> Result<pb::LeaseKeepAliveResponse, Status> {
    let renewed = context
        .store()
        .lease_keep_alive(LeaseId(id))
        .await
        .map_err(status::status)?;
    Ok(pb::LeaseKeepAliveResponse {
        header: context.header(renewed.revision),
        id,
        ttl: renewed.ttl,
    })
}

impl Session for KeepAliveSession {
    type Answer = pb::LeaseKeepAliveResponse;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        let received = tokio::select! {
            biased;
            () = &mut self.shutdown => return Some(Err(status::stopped())),
            () = &mut self.leader_lost => return Some(Err(status::no_leader())),
            received = self.inbound.message() => received,
        };
        match received {
            Ok(Some(request)) => Some(renew(&self.context, request.id).await),
            Ok(None) => None,
            Err(broken) => Some(Err(status::of_received(broken))),
        }
    }
}
