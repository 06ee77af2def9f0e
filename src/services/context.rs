//! What all services share.

use std::path::{Path, PathBuf};

use actors::Store;
use model::{LeaseId, Revision};
use proto::etcdserverpb::ResponseHeader;
use tokio_util::sync::CancellationToken;

use super::lease_ids::LeaseIds;
#[cfg(feature = "dqlite")]
use crate::cluster::ClusterChanges;
use crate::company::Company;

/// How this server presents itself in a member list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberInfo {
    /// The name (`--name`).
    pub name: String,
    /// Where other members would reach it (`--initial-advertise-peer-urls`).
    pub peer_urls: Vec<String>,
    /// Where clients reach it (`--advertise-client-urls`).
    pub client_urls: Vec<String>,
}

/// The bounds that are checked before a request reaches the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The largest write request, bytes (`--max-request-bytes`).
    pub max_request_bytes: usize,
    /// The space quota that `Status` reports, bytes (`--quota-backend-bytes`); none if it is off.
    pub quota_bytes: Option<u64>,
}

impl RequestLimits {
    /// What a gRPC message may be larger than a request, bytes: etcd's allowance for the envelope.
    const MESSAGE_OVERHEAD: usize = 512 * 1024;

    /// The largest message that is read, and the size from which a watch response is split, bytes.
    #[must_use]
    pub fn max_message_bytes(&self) -> usize {
        self.max_request_bytes.saturating_add(Self::MESSAGE_OVERHEAD)
    }
}

/// What the services need to know and to hold.
pub struct Context {
    store: Store,
    member: MemberInfo,
    limits: RequestLimits,
    data_dir: PathBuf,
    shutdown: CancellationToken,
    company: Company,
    cluster_id: u64,
    member_id: u64,
    lease_ids: LeaseIds,
}

impl Context {
    /// The context of one server. Cancelling `shutdown` ends every stream and every wait for a lock.
    #[must_use]
    pub fn new(
        store: Store,
        member: MemberInfo,
        limits: RequestLimits,
        data_dir: PathBuf,
        shutdown: CancellationToken,
    ) -> Self {
        let identity = store.identity();
        let (cluster_id, member_id) = (identity.cluster_id, identity.member_id);
        Self {
            store,
            member,
            limits,
            data_dir,
            shutdown,
            company: Company::default(),
            cluster_id,
            member_id,
            lease_ids: LeaseIds::new(),
        }
    }

    /// The context of a server in this company.
    #[must_use]
    pub fn with_company(self, company: Company) -> Self {
        Self { company, ..self }
    }

    /// Where the members are listed and changed; none where this server is the only one there can be.
    #[cfg(feature = "dqlite")]
    pub(super) fn cluster(&self) -> Option<&ClusterChanges> {
        self.company.changes()
    }

    pub(super) fn company(&self) -> &Company {
        &self.company
    }

    /// An identity for a lease that is to be granted, in case its client names none.
    pub(super) fn draw_lease_id(&self) -> LeaseId {
        self.lease_ids.draw()
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn member(&self) -> &MemberInfo {
        &self.member
    }

    pub(super) fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// Where files may be made for a moment.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    pub(super) fn member_id(&self) -> u64 {
        self.member_id
    }

    /// The election term that every answer carries. A server that is alone stays in its first.
    pub(super) fn raft_term(&self) -> u64 {
        self.store.epoch().0.unsigned_abs()
    }

    /// The header of an answer given at this revision.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "every message holds its header as an option"
    )]
    pub(super) fn header(&self, revision: Revision) -> Option<ResponseHeader> {
        Some(ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision: revision.0,
            raft_term: self.raft_term(),
        })
    }

    /// The header of an answer given at the newest revision.
    pub(super) fn header_now(&self) -> Option<ResponseHeader> {
        self.header(self.store.revision())
    }

    /// The header of an answer that is not about the store, and of a watch that compaction ended: no revision.
    pub(super) fn header_without_revision(&self) -> Option<ResponseHeader> {
        self.header(Revision(0))
    }
}
