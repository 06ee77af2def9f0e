//! The Cluster service of a cluster of several members.

use proto::etcdserverpb as pb;
use tonic::{Code, Response, Status};

use super::cluster::is_member_url;
use super::{Context, status};
use crate::cluster::{ClusterChanges, KnownMember, NotChanged};

/// The calls, for one of them.
pub(super) struct Several<'a> {
    context: &'a Context,
    changes: &'a ClusterChanges,
}

type Answer<T> = Result<Response<T>, Status>;

impl<'a> Several<'a> {
    pub(super) fn new(context: &'a Context, changes: &'a ClusterChanges) -> Self {
        Self { context, changes }
    }

    pub(super) async fn member_add(&self, request: pb::MemberAddRequest) -> Answer<pb::MemberAddResponse> {
        let invalid = || Status::invalid_argument("etcdserver: given member URLs are invalid");
        let [url] = request.peer_ur_ls.as_slice() else {
            return Err(invalid());
        };
        let address = address_of(url).ok_or_else(invalid)?;
        let added = self.changes.add(address, request.is_learner);
        let id = added.await.map_err(not_changed)?;
        let members = self.members(true).await?;
        let added = members.iter().find(|member| member.id == id).cloned();
        Ok(Response::new(pb::MemberAddResponse {
            header: self.context.header_without_revision(),
            member: added,
            members,
        }))
    }

    pub(super) async fn member_remove(
        &self,
        request: pb::MemberRemoveRequest,
    ) -> Answer<pb::MemberRemoveResponse> {
        self.changes.remove(request.id).await.map_err(not_changed)?;
        Ok(Response::new(pb::MemberRemoveResponse {
            header: self.context.header_without_revision(),
            members: self.members(true).await?,
        }))
    }

    /// The address of a member is its identity in the log: it leaves and joins again to change it.
    pub(super) async fn member_update(
        &self,
        request: pb::MemberUpdateRequest,
    ) -> Answer<pb::MemberUpdateResponse> {
        let members = self.members(true).await?;
        let member = members.iter().find(|member| member.id == request.id);
        let member = member.ok_or_else(|| not_changed(NotChanged::NotFound))?;
        if member.peer_ur_ls != request.peer_ur_ls {
            return Err(Status::unimplemented(
                "taffrail: a member's peer URL does not change; remove the member and add it again",
            ));
        }
        Ok(Response::new(pb::MemberUpdateResponse {
            header: self.context.header_without_revision(),
            members,
        }))
    }

    pub(super) async fn member_list(&self, request: pb::MemberListRequest) -> Answer<pb::MemberListResponse> {
        Ok(Response::new(pb::MemberListResponse {
            header: self.context.header_without_revision(),
            members: self.members(request.linearizable).await?,
        }))
    }

    pub(super) async fn member_promote(
        &self,
        request: pb::MemberPromoteRequest,
    ) -> Answer<pb::MemberPromoteResponse> {
        self.changes.promote(request.id).await.map_err(not_changed)?;
        Ok(Response::new(pb::MemberPromoteResponse {
            header: self.context.header_without_revision(),
            members: self.members(true).await?,
        }))
    }

    async fn members(&self, linearizable: bool) -> Result<Vec<pb::Member>, Status> {
        let members = self.changes.list(linearizable).await.map_err(status::status)?;
        Ok(members.into_iter().map(|member| self.shown(member)).collect())
    }

    fn shown(&self, member: KnownMember) -> pb::Member {
        let own = &self.context.member().peer_urls;
        let secure = own.first().is_some_and(|url| url.starts_with("https://"));
        let scheme = if secure { "https" } else { "http" };
        pb::Member {
            id: member.id,
            name: member.name,
            peer_ur_ls: vec![format!("{scheme}://{}", member.address)],
            client_ur_ls: member.client_urls,
            is_learner: !member.votes,
        }
    }
}

/// The `host:port` of a peer URL, if a member can be reached there.
fn address_of(url: &str) -> Option<&str> {
    let url = url.trim();
    let (scheme, address) = url.split_once("://")?;
    (matches!(scheme, "http" | "https") && is_member_url(url)).then_some(address)
}

/// etcd's codes; the one for too few started members is Unknown by an oversight that clients have come to see.
pub(super) fn not_changed(error: NotChanged) -> Status {
    let code = match &error {
        NotChanged::Request(request) => return status::status(request.clone()),
        NotChanged::NotFound => Code::NotFound,
        NotChanged::AddressTaken
        | NotChanged::TooManyLearners
        | NotChanged::NotLearner
        | NotChanged::NotInSync => Code::FailedPrecondition,
        NotChanged::TooFewStarted => Code::Unknown,
    };
    Status::new(code, error.to_string())
}
