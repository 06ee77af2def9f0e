//! Members.

use proto::etcdserverpb::*;

use crate::{HEADER_BODY, HEADER_FIELD, header, pin, wire};

fn member() -> Member {
    Member {
        id: 1,
        name: "n".into(),
        peer_ur_ls: vec!["p".into(), "q".into()],
        client_ur_ls: vec!["c".into()],
        is_learner: true,
    }
}

const MEMBER_BODY: &[u8; 16] = b"\x08\x01\x12\x01n\x1a\x01p\x1a\x01q\x22\x01c\x28\x01";

#[test]
fn members() {
    pin(MEMBER_BODY, member());
}

#[test]
fn add() {
    pin(
        b"\x0a\x01p\x10\x01",
        MemberAddRequest {
            peer_ur_ls: vec!["p".into()],
            is_learner: true,
        },
    );
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x12\x10",
        MEMBER_BODY,
        b"\x1a\x10",
        MEMBER_BODY
    ];
    let response = MemberAddResponse {
        header: Some(header()),
        member: Some(member()),
        members: vec![member()],
    };
    pin(&bytes, response);
}

#[test]
fn requests_by_id() {
    pin(b"\x08\x01", MemberRemoveRequest { id: 1 });
    pin(
        b"\x08\x01\x12\x01p",
        MemberUpdateRequest {
            id: 1,
            peer_ur_ls: vec!["p".into()],
        },
    );
    pin(b"\x08\x01", MemberListRequest { linearizable: true });
    pin(b"\x08\x01", MemberPromoteRequest { id: 1 });
}

#[test]
fn responses_with_all_members() {
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x10", MEMBER_BODY];
    let (header, members) = (Some(header()), vec![member()]);
    pin(
        &bytes,
        MemberRemoveResponse {
            header,
            members: members.clone(),
        },
    );
    pin(
        &bytes,
        MemberUpdateResponse {
            header,
            members: members.clone(),
        },
    );
    pin(
        &bytes,
        MemberListResponse {
            header,
            members: members.clone(),
        },
    );
    pin(&bytes, MemberPromoteResponse { header, members });
}
