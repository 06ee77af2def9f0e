//! Services and methods: the path of a call is made of their names, so each is pinned letter by letter.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, MethodDescriptor};
use proto::{etcdserverpb, v3electionpb, v3lockpb};

const METHODS: &str = "\
/etcdserverpb.Auth/AuthDisable AuthDisableRequest -> AuthDisableResponse
/etcdserverpb.Auth/AuthEnable AuthEnableRequest -> AuthEnableResponse
/etcdserverpb.Auth/AuthStatus AuthStatusRequest -> AuthStatusResponse
/etcdserverpb.Auth/Authenticate AuthenticateRequest -> AuthenticateResponse
/etcdserverpb.Auth/RoleAdd AuthRoleAddRequest -> AuthRoleAddResponse
/etcdserverpb.Auth/RoleDelete AuthRoleDeleteRequest -> AuthRoleDeleteResponse
/etcdserverpb.Auth/RoleGet AuthRoleGetRequest -> AuthRoleGetResponse
/etcdserverpb.Auth/RoleGrantPermission AuthRoleGrantPermissionRequest -> AuthRoleGrantPermissionResponse
/etcdserverpb.Auth/RoleList AuthRoleListRequest -> AuthRoleListResponse
/etcdserverpb.Auth/RoleRevokePermission AuthRoleRevokePermissionRequest -> AuthRoleRevokePermissionResponse
/etcdserverpb.Auth/UserAdd AuthUserAddRequest -> AuthUserAddResponse
/etcdserverpb.Auth/UserChangePassword AuthUserChangePasswordRequest -> AuthUserChangePasswordResponse
/etcdserverpb.Auth/UserDelete AuthUserDeleteRequest -> AuthUserDeleteResponse
/etcdserverpb.Auth/UserGet AuthUserGetRequest -> AuthUserGetResponse
/etcdserverpb.Auth/UserGrantRole AuthUserGrantRoleRequest -> AuthUserGrantRoleResponse
/etcdserverpb.Auth/UserList AuthUserListRequest -> AuthUserListResponse
/etcdserverpb.Auth/UserRevokeRole AuthUserRevokeRoleRequest -> AuthUserRevokeRoleResponse
/etcdserverpb.Cluster/MemberAdd MemberAddRequest -> MemberAddResponse
/etcdserverpb.Cluster/MemberList MemberListRequest -> MemberListResponse
/etcdserverpb.Cluster/MemberPromote MemberPromoteRequest -> MemberPromoteResponse
/etcdserverpb.Cluster/MemberRemove MemberRemoveRequest -> MemberRemoveResponse
/etcdserverpb.Cluster/MemberUpdate MemberUpdateRequest -> MemberUpdateResponse
/etcdserverpb.KV/Compact CompactionRequest -> CompactionResponse
/etcdserverpb.KV/DeleteRange DeleteRangeRequest -> DeleteRangeResponse
/etcdserverpb.KV/Put PutRequest -> PutResponse
/etcdserverpb.KV/Range RangeRequest -> RangeResponse
/etcdserverpb.KV/RangeStream RangeRequest -> stream RangeStreamResponse
/etcdserverpb.KV/Txn TxnRequest -> TxnResponse
/etcdserverpb.Lease/LeaseGrant LeaseGrantRequest -> LeaseGrantResponse
/etcdserverpb.Lease/LeaseKeepAlive stream LeaseKeepAliveRequest -> stream LeaseKeepAliveResponse
/etcdserverpb.Lease/LeaseLeases LeaseLeasesRequest -> LeaseLeasesResponse
/etcdserverpb.Lease/LeaseRevoke LeaseRevokeRequest -> LeaseRevokeResponse
/etcdserverpb.Lease/LeaseTimeToLive LeaseTimeToLiveRequest -> LeaseTimeToLiveResponse
/etcdserverpb.Maintenance/Alarm AlarmRequest -> AlarmResponse
/etcdserverpb.Maintenance/Defragment DefragmentRequest -> DefragmentResponse
/etcdserverpb.Maintenance/Downgrade DowngradeRequest -> DowngradeResponse
/etcdserverpb.Maintenance/Hash HashRequest -> HashResponse
/etcdserverpb.Maintenance/HashKV HashKVRequest -> HashKVResponse
/etcdserverpb.Maintenance/MoveLeader MoveLeaderRequest -> MoveLeaderResponse
/etcdserverpb.Maintenance/Snapshot SnapshotRequest -> stream SnapshotResponse
/etcdserverpb.Maintenance/Status StatusRequest -> StatusResponse
/etcdserverpb.Watch/Watch stream WatchRequest -> stream WatchResponse
/v3electionpb.Election/Campaign CampaignRequest -> CampaignResponse
/v3electionpb.Election/Leader LeaderRequest -> LeaderResponse
/v3electionpb.Election/Observe LeaderRequest -> stream LeaderResponse
/v3electionpb.Election/Proclaim ProclaimRequest -> ProclaimResponse
/v3electionpb.Election/Resign ResignRequest -> ResignResponse
/v3lockpb.Lock/Lock LockRequest -> LockResponse
/v3lockpb.Lock/Unlock UnlockRequest -> UnlockResponse
";

fn line(method: &MethodDescriptor) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!(
        "/{}/{} {}{} -> {}{}",
        method.parent_service().full_name(),
        method.name(),
        stream(method.is_client_streaming()),
        method.input().name(),
        stream(method.is_server_streaming()),
        method.output().name(),
    )
}

/// The embedded descriptors load as they are, and they hold these methods and no others.
#[test]
fn every_method_of_every_service() {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("the embedded descriptors load");
    let methods: Vec<_> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    let found: BTreeSet<String> = methods.iter().map(line).collect();
    let expected: BTreeSet<String> = METHODS.lines().map(str::to_owned).collect();
    println!("{} methods", found.len());
    assert_eq!(found, expected);
}

/// The generated servers answer under the names that the descriptors say.
#[test]
fn every_generated_server() {
    let names = [
        (etcdserverpb::auth_server::SERVICE_NAME, "etcdserverpb.Auth"),
        (etcdserverpb::cluster_server::SERVICE_NAME, "etcdserverpb.Cluster"),
        (etcdserverpb::kv_server::SERVICE_NAME, "etcdserverpb.KV"),
        (etcdserverpb::lease_server::SERVICE_NAME, "etcdserverpb.Lease"),
        (
            etcdserverpb::maintenance_server::SERVICE_NAME,
            "etcdserverpb.Maintenance",
        ),
        (etcdserverpb::watch_server::SERVICE_NAME, "etcdserverpb.Watch"),
        (
            v3electionpb::election_server::SERVICE_NAME,
            "v3electionpb.Election",
        ),
        (v3lockpb::lock_server::SERVICE_NAME, "v3lockpb.Lock"),
    ];
    for (generated, expected) in names {
        println!("{expected}");
        assert_eq!(generated, expected);
    }
}
