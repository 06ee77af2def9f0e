//! The Maintenance service.

mod alarm;
mod downgrade;
mod snapshot;

use std::sync::Arc;

use actors::RequestError;
use model::{AlarmMember, Command, LeaseId, Reply, Revision};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::maintenance_server::Maintenance;
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status};

use self::alarm::Asked;
pub(super) use self::snapshot::clear_leftovers;
#[cfg(feature = "dqlite")]
use super::cluster_of_several::not_changed;
use super::kv::mismatched;
use super::streams::{Answers, Session};
use super::{CLUSTER_VERSION, Context, ETCD_VERSION, STORAGE_VERSION, status};

/// Care of this server.
pub(super) struct MaintenanceService {
    context: Arc<Context>,
}

impl MaintenanceService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// Carries an alarm action out, and tells whether it changed anything, and the store's revision then.
    async fn change_alarm(&self, command: Command) -> Result<(bool, Revision), Status> {
        let committed = self
            .context
            .store()
            .submit(command)
            .await
            .map_err(status::status)?;
        match committed.reply {
            Reply::Alarm(changed) => Ok((changed, committed.revision)),
            other => Err(mismatched(&other)),
        }
    }

    async fn hash_at(&self, revision: Revision) -> Result<model::HashKv, Status> {
        self.context
            .store()
            .hash_kv(revision)
            .await
            .map_err(status::status)
    }

    /// What is wrong with this member, for `Status`.
    fn errors(&self) -> Vec<String> {
        let store = self.context.store();
        let leaderless = store
            .leader_id()
            .is_none()
            .then(|| RequestError::NoLeader.to_string());
        let alarms = store.alarms().into_iter();
        let alarms = alarms.map(alarm::described);
        leaderless.into_iter().chain(alarms).collect()
    }
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        let store = self.context.store();
        let (alarms, revision) = match Asked::from_wire(&request.into_inner()) {
            Asked::List(kind) => (alarm::listed(kind, &store.alarms()), store.revision()),
            Asked::Nothing => (Vec::new(), store.revision()),
            Asked::Change(action) => {
                let (changed, revision) = self.change_alarm(Command::Alarm(action)).await?;
                (alarm::affected(action, changed), revision)
            }
        };
        Ok(Response::new(pb::AlarmResponse {
            header: self.context.header(revision),
            alarms,
        }))
    }

    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let store = self.context.store();
        let (revision, size) = (store.revision(), store.size().await.map_err(status::status)?);
        let index = u64::try_from(revision.0).unwrap_or_default();
        Ok(Response::new(pb::StatusResponse {
            header: self.context.header(revision),
            version: ETCD_VERSION.into(),
            db_size: signed(size.allocated),
            leader: store.leader_id().unwrap_or(0),
            raft_index: index,
            raft_term: self.context.raft_term(),
            raft_applied_index: index,
            errors: self.errors(),
            db_size_in_use: signed(size.in_use),
            is_learner: self.context.company().is_learner().await,
            storage_version: STORAGE_VERSION.into(),
            db_size_quota: self.context.limits().quota_bytes.map_or(-1, signed),
            downgrade_info: Some(pb::DowngradeInfo::default()),
        }))
    }

    async fn defragment(
        &self,
        _: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        self.context.store().defragment().await.map_err(status::status)?;
        Ok(Response::new(pb::DefragmentResponse { header: None }))
    }

    async fn hash(&self, _: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let keys = self.hash_at(Revision(0)).await?;
        let leases = self.context.store().leases().await.map_err(status::status)?;
        let hash = whole_hash(&keys, leases, &self.context.store().alarms());
        Ok(Response::new(pb::HashResponse {
            header: self.context.header(keys.revision),
            hash,
        }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        let hashed = self.hash_at(Revision(request.into_inner().revision)).await?;
        Ok(Response::new(pb::HashKvResponse {
            header: self.context.header(hashed.revision),
            hash: hashed.hash,
            compact_revision: hashed.compact_revision.0,
            hash_revision: hashed.hash_revision.0,
        }))
    }

    type SnapshotStream = Answers<pb::SnapshotResponse>;

    async fn snapshot(
        &self,
        _: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Ok(Response::new(snapshot::take(&self.context).await?.answers()))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        #[cfg(feature = "dqlite")]
        if let Some(changes) = self.context.cluster() {
            let target = request.into_inner().target_id;
            changes.transfer(target).await.map_err(not_changed)?;
            return Ok(Response::new(pb::MoveLeaderResponse { header: None }));
        }
        if request.into_inner().target_id != self.context.member_id() {
            return Err(Status::failed_precondition("etcdserver: bad leader transferee"));
        }
        Ok(Response::new(pb::MoveLeaderResponse { header: None }))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        downgrade::check(&request.into_inner(), CLUSTER_VERSION)?;
        let version = downgrade::without_patch(CLUSTER_VERSION).into();
        Ok(Response::new(pb::DowngradeResponse {
            header: self.context.header_now(),
            version,
        }))
    }
}

/// A hash of all that the store holds. etcd hashes its database file, which no other server can have.
fn whole_hash(keys: &model::HashKv, mut leases: Vec<LeaseId>, alarms: &[AlarmMember]) -> u32 {
    leases.sort_unstable();
    let mut digest = Sha256::new();
    digest.update(keys.hash.to_be_bytes());
    digest.update(keys.compact_revision.0.to_be_bytes());
    leases
        .iter()
        .for_each(|lease| digest.update(lease.0.to_be_bytes()));
    alarms
        .iter()
        .for_each(|alarm| digest.update(format!("{alarm:?}")));
    let digest: [u8; 32] = digest.finalize().into();
    let [a, b, c, d, ..] = digest;
    u32::from_be_bytes([a, b, c, d])
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
