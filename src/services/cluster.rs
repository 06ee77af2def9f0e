//! The Cluster service: of a cluster of one here, of several in `cluster_of_several`.

use std::sync::Arc;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::Context;
#[cfg(feature = "dqlite")]
use super::cluster_of_several::Several;

/// Who belongs to the cluster: this server.
pub(super) struct ClusterService {
    context: Arc<Context>,
}

impl ClusterService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    fn member(&self) -> pb::Member {
        let member = self.context.member().clone();
        pb::Member {
            id: self.context.member_id(),
            name: member.name,
            peer_ur_ls: member.peer_urls,
            client_ur_ls: member.client_urls,
            is_learner: false,
        }
    }

    fn check_member(&self, id: u64) -> Result<(), Status> {
        if id == self.context.member_id() {
            Ok(())
        } else {
            Err(Status::not_found("etcdserver: member not found"))
        }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        #[cfg(feature = "dqlite")]
        if let Some(changes) = self.context.cluster() {
            return Several::new(&self.context, changes)
                .member_add(request.into_inner())
                .await;
        }
        let urls = request.into_inner().peer_ur_ls;
        if urls.is_empty() || !urls.iter().all(|url| is_member_url(url)) {
            return Err(Status::invalid_argument(
                "etcdserver: given member URLs are invalid",
            ));
        }
        let known = &self.context.member().peer_urls;
        if urls
            .iter()
            .any(|url| known.iter().any(|known| known == url.trim()))
        {
            return Err(Status::failed_precondition(
                "etcdserver: Peer URLs already exists",
            ));
        }
        Err(Status::unimplemented(
            "taffrail: a server on SQLite is alone and cannot take another member",
        ))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        #[cfg(feature = "dqlite")]
        if let Some(changes) = self.context.cluster() {
            return Several::new(&self.context, changes)
                .member_remove(request.into_inner())
                .await;
        }
        self.check_member(request.into_inner().id)?;
        // etcd's code for this text is Unknown, by an oversight that clients have come to see.
        Err(Status::unknown(
            "etcdserver: re-configuration failed due to not enough started members",
        ))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        #[cfg(feature = "dqlite")]
        if let Some(changes) = self.context.cluster() {
            return Several::new(&self.context, changes)
                .member_update(request.into_inner())
                .await;
        }
        let request = request.into_inner();
        self.check_member(request.id)?;
        if request.peer_ur_ls != self.context.member().peer_urls {
            return Err(Status::unimplemented(
                "taffrail: peer URLs come from --initial-advertise-peer-urls alone",
            ));
        }
        let header = self.context.header_without_revision();
        Ok(Response::new(pb::MemberUpdateResponse {
            header,
            members: vec![self.member()],
        }))
    }

    #[cfg_attr(
        not(feature = "dqlite"),
        expect(unused_variables, reason = "a server that is alone lists itself")
    )]
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        #[cfg(feature = "dqlite")]
        if let Some(changes) = self.context.cluster() {
            return Several::new(&self.context, changes)
                .member_list(request.into_inner())
                .await;
        }
        let header = self.context.header_without_revision();
        Ok(Response::new(pb::MemberListResponse {
            header,
            members: vec![self.member()],
        }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        #[cfg(feature = "dqlite")]
        if let Some(changes) = self.context.cluster() {
            return Several::new(&self.context, changes)
                .member_promote(request.into_inner())
                .await;
        }
        self.check_member(request.into_inner().id)?;
        Err(Status::failed_precondition(
            "etcdserver: can only promote a learner member",
        ))
    }
}

/// Whether etcd takes this as a member's URL: `http` or `https` with host and port and no path, or a socket.
pub(super) fn is_member_url(url: &str) -> bool {
    match url.trim().split_once("://") {
        Some(("http" | "https", rest)) => is_host_and_port(rest.split(['?', '#']).next().unwrap_or_default()),
        Some(("unix" | "unixs", _)) => true,
        _ => false,
    }
}

/// Whether this is a host, in brackets if it has colons, a colon and a port.
fn is_host_and_port(authority: &str) -> bool {
    let Some((host, port)) = authority.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    (bracketed || !host.contains([':', '[', ']']))
        && !host.contains('/')
        && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_urls_are_judged_as_etcd_does() {
        for good in [
            "http://localhost:2380",
            " https://[::1]:2380 ",
            "unix://localhost:1",
            "http://10.0.0.1:1",
        ] {
            assert!(is_member_url(good), "{good}");
        }
        let bad = [
            "",
            "x",
            "http://localhost",
            "http://localhost:1/x",
            "ftp://localhost:1",
            "http://::1:2380",
        ];
        for bad in bad {
            assert!(!is_member_url(bad), "{bad}");
        }
        assert!(!is_member_url("http://localhost:http"));
    }
}
