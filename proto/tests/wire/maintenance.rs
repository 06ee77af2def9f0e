//! Alarms, status, hashes, snapshots, downgrades.

use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use proto::etcdserverpb::*;

use crate::{HEADER_BODY, HEADER_FIELD, header, pin, wire};

#[test]
fn alarms() {
    let request = AlarmRequest {
        action: AlarmAction::Deactivate.into(),
        member_id: 1,
        alarm: AlarmType::Corrupt.into(),
    };
    pin(b"\x08\x02\x10\x01\x18\x02", request);

    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x04\x08\x01\x10\x01"];
    let alarms = vec![AlarmMember {
        member_id: 1,
        alarm: AlarmType::Nospace.into(),
    }];
    pin(
        &bytes,
        AlarmResponse {
            header: Some(header()),
            alarms,
        },
    );
}

#[test]
fn alarm_actions_and_types() {
    let actions = [AlarmAction::Get, AlarmAction::Activate, AlarmAction::Deactivate];
    assert_eq!(actions.map(|action| action as i32), [0, 1, 2]);
    let types = [AlarmType::None, AlarmType::Nospace, AlarmType::Corrupt];
    assert_eq!(types.map(|alarm| alarm as i32), [0, 1, 2]);
}

fn status() -> StatusResponse {
    StatusResponse {
        header: Some(header()),
        version: "3.7.1".into(),
        db_size: 300,
        leader: 1,
        raft_index: 5,
        raft_term: 6,
        raft_applied_index: 7,
        errors: vec!["x".into(), "y".into()],
        db_size_in_use: 150,
        is_learner: true,
        storage_version: "3.7.0".into(),
        db_size_quota: 4660,
        downgrade_info: Some(DowngradeInfo {
            enabled: true,
            target_version: "3.6.0".into(),
        }),
    }
}

/// Fields 11 to 13 came with etcd 3.6.
#[test]
fn status_response_with_every_field() {
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x12\x053.7.1",
        b"\x18\xac\x02",
        b"\x20\x01",
        b"\x28\x05",
        b"\x30\x06",
        b"\x38\x07",
        b"\x42\x01x",
        b"\x42\x01y",
        b"\x48\x96\x01",
        b"\x50\x01",
        b"\x5a\x053.7.0",
        b"\x60\xb4\x24",
        b"\x6a\x09\x08\x01\x12\x053.6.0",
    ];
    pin(b"", StatusRequest {});
    pin(&bytes, status());
}

#[test]
fn hash_of_the_database() {
    pin(b"", HashRequest {});
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x10\xff\xff\xff\xff\x0f"];
    pin(
        &bytes,
        HashResponse {
            header: Some(header()),
            hash: u32::MAX,
        },
    );
}

/// Field 4 came with etcd 3.6.
#[test]
fn hash_of_the_keys() {
    pin(b"\x08\xac\x02", HashKvRequest { revision: 300 });
    let minus_one = b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x10\x01", minus_one, b"\x20\xac\x02"];
    let response = HashKvResponse {
        header: Some(header()),
        hash: 1,
        compact_revision: -1,
        hash_revision: 300,
    };
    pin(&bytes, response);
}

/// Field 4 came with etcd 3.6.
#[test]
fn snapshot() {
    pin(b"", SnapshotRequest {});
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x10\xac\x02",
        b"\x1a\x02\xff\x00",
        b"\x22\x053.7.0"
    ];
    let response = SnapshotResponse {
        header: Some(header()),
        remaining_bytes: 300,
        blob: vec![0xff, 0x00].into(),
        version: "3.7.0".into(),
    };
    pin(&bytes, response);
}

#[test]
fn defragment_and_move_leader() {
    pin(b"", DefragmentRequest {});
    pin(b"\x08\x01", MoveLeaderRequest { target_id: 1 });
    let bytes = wire![HEADER_FIELD, HEADER_BODY];
    pin(
        &bytes,
        DefragmentResponse {
            header: Some(header()),
        },
    );
    pin(
        &bytes,
        MoveLeaderResponse {
            header: Some(header()),
        },
    );
}

#[test]
fn downgrade() {
    let actions = [
        DowngradeAction::Validate,
        DowngradeAction::Enable,
        DowngradeAction::Cancel,
    ];
    assert_eq!(actions.map(|action| action as i32), [0, 1, 2]);

    let version = "3.6".to_string();
    let request = DowngradeRequest {
        action: DowngradeAction::Enable.into(),
        version: version.clone(),
    };
    pin(b"\x08\x01\x12\x033.6", request);
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x033.6"];
    pin(
        &bytes,
        DowngradeResponse {
            header: Some(header()),
            version,
        },
    );
}
