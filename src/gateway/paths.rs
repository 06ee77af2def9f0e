//! Which path, behind the gateway's prefix, stands for which method: etcd's, where most follow no rule.

/// Every path of the gateway, with the full name of its method.
const PATHS: [(&str, &str); 51] = [
    ("etcdserverpb.KV.Range", "/kv/range"),
    ("etcdserverpb.KV.Put", "/kv/put"),
    ("etcdserverpb.KV.DeleteRange", "/kv/deleterange"),
    ("etcdserverpb.KV.Txn", "/kv/txn"),
    ("etcdserverpb.KV.Compact", "/kv/compaction"),
    ("etcdserverpb.Watch.Watch", "/watch"),
    ("etcdserverpb.Lease.LeaseGrant", "/lease/grant"),
    ("etcdserverpb.Lease.LeaseRevoke", "/lease/revoke"),
    ("etcdserverpb.Lease.LeaseRevoke", "/kv/lease/revoke"),
    ("etcdserverpb.Lease.LeaseKeepAlive", "/lease/keepalive"),
    ("etcdserverpb.Lease.LeaseTimeToLive", "/lease/timetolive"),
    ("etcdserverpb.Lease.LeaseTimeToLive", "/kv/lease/timetolive"),
    ("etcdserverpb.Lease.LeaseLeases", "/lease/leases"),
    ("etcdserverpb.Lease.LeaseLeases", "/kv/lease/leases"),
    ("etcdserverpb.Cluster.MemberAdd", "/cluster/member/add"),
    ("etcdserverpb.Cluster.MemberRemove", "/cluster/member/remove"),
    ("etcdserverpb.Cluster.MemberUpdate", "/cluster/member/update"),
    ("etcdserverpb.Cluster.MemberList", "/cluster/member/list"),
    ("etcdserverpb.Cluster.MemberPromote", "/cluster/member/promote"),
    ("etcdserverpb.Maintenance.Alarm", "/maintenance/alarm"),
    ("etcdserverpb.Maintenance.Status", "/maintenance/status"),
    ("etcdserverpb.Maintenance.Defragment", "/maintenance/defragment"),
    ("etcdserverpb.Maintenance.Hash", "/maintenance/hash"),
    ("etcdserverpb.Maintenance.HashKV", "/maintenance/hashkv"),
    ("etcdserverpb.Maintenance.Snapshot", "/maintenance/snapshot"),
    (
        "etcdserverpb.Maintenance.MoveLeader",
        "/maintenance/transfer-leadership",
    ),
    ("etcdserverpb.Maintenance.Downgrade", "/maintenance/downgrade"),
    ("etcdserverpb.Auth.AuthEnable", "/auth/enable"),
    ("etcdserverpb.Auth.AuthDisable", "/auth/disable"),
    ("etcdserverpb.Auth.AuthStatus", "/auth/status"),
    ("etcdserverpb.Auth.Authenticate", "/auth/authenticate"),
    ("etcdserverpb.Auth.UserAdd", "/auth/user/add"),
    ("etcdserverpb.Auth.UserGet", "/auth/user/get"),
    ("etcdserverpb.Auth.UserList", "/auth/user/list"),
    ("etcdserverpb.Auth.UserDelete", "/auth/user/delete"),
    ("etcdserverpb.Auth.UserChangePassword", "/auth/user/changepw"),
    ("etcdserverpb.Auth.UserGrantRole", "/auth/user/grant"),
    ("etcdserverpb.Auth.UserRevokeRole", "/auth/user/revoke"),
    ("etcdserverpb.Auth.RoleAdd", "/auth/role/add"),
    ("etcdserverpb.Auth.RoleGet", "/auth/role/get"),
    ("etcdserverpb.Auth.RoleList", "/auth/role/list"),
    ("etcdserverpb.Auth.RoleDelete", "/auth/role/delete"),
    ("etcdserverpb.Auth.RoleGrantPermission", "/auth/role/grant"),
    ("etcdserverpb.Auth.RoleRevokePermission", "/auth/role/revoke"),
    ("v3lockpb.Lock.Lock", "/lock/lock"),
    ("v3lockpb.Lock.Unlock", "/lock/unlock"),
    ("v3electionpb.Election.Campaign", "/election/campaign"),
    ("v3electionpb.Election.Proclaim", "/election/proclaim"),
    ("v3electionpb.Election.Leader", "/election/leader"),
    ("v3electionpb.Election.Observe", "/election/observe"),
    ("v3electionpb.Election.Resign", "/election/resign"),
];

/// The paths of a method behind the prefix, by its full name; none for a method that only gRPC has.
pub(super) fn of_method(full_name: &str) -> impl Iterator<Item = &'static str> {
    PATHS
        .iter()
        .filter(move |(method, _)| *method == full_name)
        .map(|(_, path)| *path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::DESCRIPTORS;
    use super::*;

    #[test]
    fn every_method_but_the_streamed_range_has_a_path_and_every_path_a_method() {
        let methods: BTreeSet<String> = DESCRIPTORS
            .services()
            .flat_map(|service| {
                service
                    .methods()
                    .map(|method| method.full_name().to_owned())
                    .collect::<Vec<_>>()
            })
            .collect();
        let known: BTreeSet<String> = PATHS.iter().map(|(method, _)| (*method).to_owned()).collect();
        let without: Vec<&String> = methods.symmetric_difference(&known).collect();
        assert_eq!(without, ["etcdserverpb.KV.RangeStream"]);
    }

    #[test]
    fn paths_begin_behind_the_prefix() {
        assert!(
            PATHS
                .iter()
                .all(|(_, path)| path.starts_with('/') && !path.starts_with("/v3"))
        );
    }

    #[test]
    fn no_path_stands_for_two_methods() {
        let paths: BTreeSet<&str> = PATHS.iter().map(|(_, path)| *path).collect();
        assert_eq!(paths.len(), PATHS.len());
    }
}
