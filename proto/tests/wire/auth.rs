//! Users, roles and permissions.

use proto::authpb::permission::Type;
use proto::authpb::{Permission, UserAddOptions};
use proto::etcdserverpb::*;

use crate::{HEADER_BODY, HEADER_FIELD, header, pin, wire};

#[test]
fn requests_without_fields() {
    pin(b"", AuthEnableRequest {});
    pin(b"", AuthDisableRequest {});
    pin(b"", AuthStatusRequest {});
    pin(b"", AuthUserListRequest {});
    pin(b"", AuthRoleListRequest {});
}

#[test]
fn responses_with_only_a_header() {
    let bytes = wire![HEADER_FIELD, HEADER_BODY];
    let header = Some(header());
    pin(&bytes, AuthEnableResponse { header });
    pin(&bytes, AuthDisableResponse { header });
    pin(&bytes, AuthUserAddResponse { header });
    pin(&bytes, AuthUserDeleteResponse { header });
    pin(&bytes, AuthUserChangePasswordResponse { header });
    pin(&bytes, AuthUserGrantRoleResponse { header });
    pin(&bytes, AuthUserRevokeRoleResponse { header });
    pin(&bytes, AuthRoleAddResponse { header });
    pin(&bytes, AuthRoleDeleteResponse { header });
    pin(&bytes, AuthRoleGrantPermissionResponse { header });
    pin(&bytes, AuthRoleRevokePermissionResponse { header });
}

#[test]
fn status_and_token() {
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x10\x01", b"\x18\x03"];
    pin(
        &bytes,
        AuthStatusResponse {
            header: Some(header()),
            enabled: true,
            auth_revision: 3,
        },
    );

    pin(
        b"\x0a\x01u\x12\x01p",
        AuthenticateRequest {
            name: "u".into(),
            password: "p".into(),
        },
    );
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x01t"];
    pin(
        &bytes,
        AuthenticateResponse {
            header: Some(header()),
            token: "t".into(),
        },
    );
}

#[test]
fn user_add() {
    let request = AuthUserAddRequest {
        name: "u".into(),
        password: "p".into(),
        options: Some(UserAddOptions { no_password: true }),
        hashed_password: "h".into(),
    };
    pin(b"\x0a\x01u\x12\x01p\x1a\x02\x08\x01\x22\x01h", request);
}

#[test]
fn users() {
    let user = || "u".to_string();
    let role = || "r".to_string();
    pin(b"\x0a\x01u", AuthUserGetRequest { name: user() });
    pin(b"\x0a\x01u", AuthUserDeleteRequest { name: user() });
    pin(
        b"\x0a\x01u\x12\x01r",
        AuthUserGrantRoleRequest {
            user: user(),
            role: role(),
        },
    );
    pin(
        b"\x0a\x01u\x12\x01r",
        AuthUserRevokeRoleRequest {
            name: user(),
            role: role(),
        },
    );
    let change = AuthUserChangePasswordRequest {
        name: user(),
        password: "p".into(),
        hashed_password: "h".into(),
    };
    pin(b"\x0a\x01u\x12\x01p\x1a\x01h", change);

    let header = Some(header());
    let names = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x01x", b"\x12\x01y"];
    let list = || vec!["x".to_string(), "y".to_string()];
    pin(
        &names,
        AuthUserGetResponse {
            header,
            roles: list(),
        },
    );
    pin(
        &names,
        AuthUserListResponse {
            header,
            users: list(),
        },
    );
    pin(
        &names,
        AuthRoleListResponse {
            header,
            roles: list(),
        },
    );
}

fn permission() -> Permission {
    Permission {
        perm_type: Type::Readwrite.into(),
        key: "a".into(),
        range_end: "b".into(),
    }
}

#[test]
fn permission_types() {
    assert_eq!(
        [Type::Read, Type::Write, Type::Readwrite].map(|kind| kind as i32),
        [0, 1, 2]
    );
}

#[test]
fn roles() {
    let role = || "r".to_string();
    pin(b"\x0a\x01r", AuthRoleAddRequest { name: role() });
    pin(b"\x0a\x01r", AuthRoleGetRequest { role: role() });
    pin(b"\x0a\x01r", AuthRoleDeleteRequest { role: role() });
    let grant = AuthRoleGrantPermissionRequest {
        name: role(),
        perm: Some(permission()),
    };
    pin(b"\x0a\x01r\x12\x08\x08\x02\x12\x01a\x1a\x01b", grant);
    let revoke = AuthRoleRevokePermissionRequest {
        role: role(),
        key: "a".into(),
        range_end: "b".into(),
    };
    pin(b"\x0a\x01r\x12\x01a\x1a\x01b", revoke);

    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x08\x08\x02\x12\x01a\x1a\x01b"];
    pin(
        &bytes,
        AuthRoleGetResponse {
            header: Some(header()),
            perm: vec![permission()],
        },
    );
}
