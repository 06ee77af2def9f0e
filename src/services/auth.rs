//! The Auth service of a server that has no users: what etcd answers while authentication is off.
//!
//! Every question about a user or a role is answered as by an etcd that has none. Making one is refused: a
//! server that took users and could not check them would promise a protection that is not there.

use std::sync::Arc;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_server::Auth;
use tonic::{Request, Response, Status};

use super::Context;

/// Counts the changes of users and roles in etcd, beginning with one. Here there never is a change.
const AUTH_REVISION: u64 = 1;

/// Users, roles and what they may do: there are none.
pub(super) struct AuthService {
    context: Arc<Context>,
}

impl AuthService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

fn not_enabled<T>() -> Result<Response<T>, Status> {
    Err(Status::failed_precondition(
        "etcdserver: authentication is not enabled",
    ))
}

fn no_such_user<T>() -> Result<Response<T>, Status> {
    Err(Status::failed_precondition("etcdserver: user name not found"))
}

fn no_such_role<T>() -> Result<Response<T>, Status> {
    Err(Status::failed_precondition("etcdserver: role name not found"))
}

#[tonic::async_trait]
impl Auth for AuthService {
    async fn auth_enable(
        &self,
        _: Request<pb::AuthEnableRequest>,
    ) -> Result<Response<pb::AuthEnableResponse>, Status> {
        Err(Status::failed_precondition(
            "etcdserver: root user does not exist",
        ))
    }

    async fn auth_disable(
        &self,
        _: Request<pb::AuthDisableRequest>,
    ) -> Result<Response<pb::AuthDisableResponse>, Status> {
        Ok(Response::new(pb::AuthDisableResponse {
            header: self.context.header_now(),
        }))
    }

    async fn auth_status(
        &self,
        _: Request<pb::AuthStatusRequest>,
    ) -> Result<Response<pb::AuthStatusResponse>, Status> {
        let header = self.context.header_now();
        Ok(Response::new(pb::AuthStatusResponse {
            header,
            enabled: false,
            auth_revision: AUTH_REVISION,
        }))
    }

    async fn authenticate(
        &self,
        _: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        not_enabled()
    }

    async fn user_add(
        &self,
        request: Request<pb::AuthUserAddRequest>,
    ) -> Result<Response<pb::AuthUserAddResponse>, Status> {
        if request.into_inner().name.is_empty() {
            return Err(Status::invalid_argument("etcdserver: user name is empty"));
        }
        not_enabled()
    }

    async fn user_get(
        &self,
        _: Request<pb::AuthUserGetRequest>,
    ) -> Result<Response<pb::AuthUserGetResponse>, Status> {
        no_such_user()
    }

    async fn user_list(
        &self,
        _: Request<pb::AuthUserListRequest>,
    ) -> Result<Response<pb::AuthUserListResponse>, Status> {
        Ok(Response::new(pb::AuthUserListResponse {
            header: self.context.header_now(),
            users: Vec::new(),
        }))
    }

    async fn user_delete(
        &self,
        _: Request<pb::AuthUserDeleteRequest>,
    ) -> Result<Response<pb::AuthUserDeleteResponse>, Status> {
        no_such_user()
    }

    async fn user_change_password(
        &self,
        _: Request<pb::AuthUserChangePasswordRequest>,
    ) -> Result<Response<pb::AuthUserChangePasswordResponse>, Status> {
        no_such_user()
    }

    async fn user_grant_role(
        &self,
        _: Request<pb::AuthUserGrantRoleRequest>,
    ) -> Result<Response<pb::AuthUserGrantRoleResponse>, Status> {
        no_such_user()
    }

    async fn user_revoke_role(
        &self,
        _: Request<pb::AuthUserRevokeRoleRequest>,
    ) -> Result<Response<pb::AuthUserRevokeRoleResponse>, Status> {
        no_such_user()
    }

    async fn role_add(
        &self,
        request: Request<pb::AuthRoleAddRequest>,
    ) -> Result<Response<pb::AuthRoleAddResponse>, Status> {
        if request.into_inner().name.is_empty() {
            return Err(Status::invalid_argument("etcdserver: role name is empty"));
        }
        not_enabled()
    }

    async fn role_get(
        &self,
        _: Request<pb::AuthRoleGetRequest>,
    ) -> Result<Response<pb::AuthRoleGetResponse>, Status> {
        no_such_role()
    }

    async fn role_list(
        &self,
        _: Request<pb::AuthRoleListRequest>,
    ) -> Result<Response<pb::AuthRoleListResponse>, Status> {
        Ok(Response::new(pb::AuthRoleListResponse {
            header: self.context.header_now(),
            roles: Vec::new(),
        }))
    }

    async fn role_delete(
        &self,
        _: Request<pb::AuthRoleDeleteRequest>,
    ) -> Result<Response<pb::AuthRoleDeleteResponse>, Status> {
        no_such_role()
    }

    async fn role_grant_permission(
        &self,
        request: Request<pb::AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<pb::AuthRoleGrantPermissionResponse>, Status> {
        if request.into_inner().perm.is_none() {
            return Err(Status::invalid_argument("etcdserver: permission not given"));
        }
        no_such_role()
    }

    async fn role_revoke_permission(
        &self,
        _: Request<pb::AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<pb::AuthRoleRevokePermissionResponse>, Status> {
        no_such_role()
    }
}
