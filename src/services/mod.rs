//! etcd's gRPC services: the only code that sees proto types.
//!
//! Each service translates a request, asks the [`Store`](actors::Store), and translates the answer; what a
//! request means is decided behind the store. [`routes`] puts all of them behind the checks that etcd's interceptors make.

mod auth;
mod cluster;
#[cfg(feature = "dqlite")]
mod cluster_of_several;
mod context;
mod convert;
mod coordination;
mod election;
mod health;
mod interceptor;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod request_size;
mod status;
pub mod streams;
mod watch;

use std::sync::Arc;

use proto::etcdserverpb as pb;
use proto::{v3electionpb, v3lockpb};
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

pub use context::{Context, MemberInfo, RequestLimits};

/// The release of etcd whose interface and behaviour this server has: what `Status` and `/version` say.
pub const ETCD_VERSION: &str = "3.7.3";

/// The version of the cluster that a member of [`ETCD_VERSION`] forms alone.
pub const CLUSTER_VERSION: &str = "3.7.0";

/// The version of etcd's storage format that goes with [`ETCD_VERSION`], as far as clients can see one.
pub const STORAGE_VERSION: &str = "3.7.0";

/// A service that takes messages of the permitted size and gzip, as etcd's does. The interceptor sees to it
/// that only those get gzip who sent it.
macro_rules! served {
    ($server:path, $service:expr, $context:expr) => {{
        use $server as Server;
        Server::from_arc(Arc::new($service))
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size($context.limits().max_message_bytes())
            .max_encoding_message_size(usize::MAX)
    }};
}

/// All gRPC services of the server, ready to be added to what else listens on the port.
///
/// Leftovers of snapshots that an earlier process did not finish are removed from the data directory.
pub fn routes(context: Context) -> Routes {
    maintenance::clear_leftovers(context.data_dir());
    let shared = Arc::new(context);
    let context = || Arc::clone(&shared);
    let routes = Routes::new(served!(
        pb::kv_server::KvServer,
        kv::KvService::new(context()),
        shared
    ))
    .add_service(served!(
        pb::watch_server::WatchServer,
        watch::WatchService::new(context()),
        shared
    ))
    .add_service(served!(
        pb::lease_server::LeaseServer,
        lease::LeaseService::new(context()),
        shared
    ))
    .add_service(served!(
        pb::cluster_server::ClusterServer,
        cluster::ClusterService::new(context()),
        shared
    ))
    .add_service(served!(
        pb::maintenance_server::MaintenanceServer,
        maintenance::MaintenanceService::new(context()),
        shared
    ))
    .add_service(served!(
        pb::auth_server::AuthServer,
        auth::AuthService::new(context()),
        shared
    ))
    .add_service(served!(
        v3lockpb::lock_server::LockServer,
        lock::LockService::new(context()),
        shared
    ))
    .add_service(served!(
        v3electionpb::election_server::ElectionServer,
        election::ElectionService::new(context()),
        shared
    ))
    .add_service(health::service(shared.shutdown().clone()));
    let store = shared.store().clone();
    let has_leader = Arc::new(move || store.leader_id().is_some());
    let interceptor = interceptor::InterceptorLayer::new(has_leader);
    Routes::from(routes.into_axum_router().layer(interceptor)).prepare()
}
