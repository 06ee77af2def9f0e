//! etcd's gRPC services: the only code that sees proto types.
//!
//! Each service translates a request, asks the [`Store`](actors::Store), and translates the answer; what a
//! request means is decided behind the store. [`Services`] puts all of them behind the checks that etcd's interceptors make.

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
mod lease_ids;
mod lock;
mod maintenance;
mod prepared;
mod request_size;
mod status;
pub mod streams;
mod watch;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use interceptor::{Intercepted, Interceptor, InterceptorLayer};
use pin_project_lite::pin_project;
use prepared::{Answering, Preparing};
use proto::etcdserverpb as pb;
use proto::{v3electionpb, v3lockpb};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tower::{Layer as _, Service as _};

pub use context::{Context, MemberInfo, RequestLimits};

/// The release of etcd whose interface and behaviour this server has: what `Status` and `/version` say.
pub const ETCD_VERSION: &str = "3.7.3";

/// The version of the cluster that a member of [`ETCD_VERSION`] forms alone.
pub const CLUSTER_VERSION: &str = "3.7.0";

/// The version of etcd's storage format that goes with [`ETCD_VERSION`], as far as clients can see one.
pub const STORAGE_VERSION: &str = "3.7.0";

/// A service that takes messages of the permitted size and gzip, as etcd's does. The interceptor sees to it
/// that only those get gzip who sent it. Its answers may be [prepared].
macro_rules! served {
    ($server:path, $service:expr, $context:expr) => {{
        use $server as Server;
        let server = Server::from_arc(Arc::new($service))
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size($context.limits().max_message_bytes())
            .max_encoding_message_size(usize::MAX);
        Preparing(server)
    }};
}

/// All gRPC services of the server.
///
/// What is called most is found by the beginning of its path; the rest is left to a router, which costs as much as a
/// small read does.
#[derive(Clone)]
pub struct Services {
    kv: Interceptor<Preparing<pb::kv_server::KvServer<kv::KvService>>>,
    watch: Interceptor<Preparing<pb::watch_server::WatchServer<watch::WatchService>>>,
    lease: Interceptor<Preparing<pb::lease_server::LeaseServer<lease::LeaseService>>>,
    /// All of them, found by their paths.
    routes: Routes,
}

impl Services {
    /// The services of a member.
    ///
    /// Leftovers of snapshots that an earlier process did not finish are removed from the data directory.
    pub fn new(context: Context) -> Self {
        maintenance::clear_leftovers(context.data_dir());
        let context = Arc::new(context);
        let store = context.store().clone();
        let has_leader = Arc::new(move || store.leader_id().is_some());
        let interceptor = InterceptorLayer::new(has_leader);
        let shared = || Arc::clone(&context);
        let kv = served!(pb::kv_server::KvServer, kv::KvService::new(shared()), context);
        let watch = served!(
            pb::watch_server::WatchServer,
            watch::WatchService::new(shared()),
            context
        );
        let lease = served!(
            pb::lease_server::LeaseServer,
            lease::LeaseService::new(shared()),
            context
        );
        let routes = Routes::new(kv.clone())
            .add_service(watch.clone())
            .add_service(lease.clone());
        let routes = add_the_rest(routes, &context);
        let routes = Routes::from(routes.into_axum_router().layer(interceptor.clone())).prepare();
        Self {
            kv: interceptor.layer(kv),
            watch: interceptor.layer(watch),
            lease: interceptor.layer(lease),
            routes,
        }
    }

    /// All of them, by their paths.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Answers a call.
    pub fn call<B>(&self, request: Request<B>) -> Called
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError> + Send,
    {
        let path = request.uri().path();
        let service = path.strip_prefix("/etcdserverpb.").unwrap_or_default();
        let call = match service.split('/').next() {
            Some("KV") => self.kv.clone().call(request),
            Some("Watch") => self.watch.clone().call(request),
            Some("Lease") => self.lease.clone().call(request),
            _ => {
                let call = self.routes.clone().call(request);
                return Called::Routed { call };
            }
        };
        Called::Found { call }
    }
}

fn add_the_rest(routes: Routes, context: &Arc<Context>) -> Routes {
    let shared = || Arc::clone(context);
    routes
        .add_service(served!(
            pb::cluster_server::ClusterServer,
            cluster::ClusterService::new(shared()),
            context
        ))
        .add_service(served!(
            pb::maintenance_server::MaintenanceServer,
            maintenance::MaintenanceService::new(shared()),
            context
        ))
        .add_service(served!(
            pb::auth_server::AuthServer,
            auth::AuthService::new(shared()),
            context
        ))
        .add_service(served!(
            v3lockpb::lock_server::LockServer,
            lock::LockService::new(shared()),
            context
        ))
        .add_service(served!(
            v3electionpb::election_server::ElectionServer,
            election::ElectionService::new(shared()),
            context
        ))
        .add_service(health::service(context.shutdown().clone()))
}

/// A call that the router leads; its type has no name that could be said.
type Routed = <Routes as tower::Service<Request<Body>>>::Future;

pin_project! {
    /// A call under way.
    #[project = CalledProjection]
    pub enum Called {
        Found { #[pin] call: Intercepted<Answering> },
        Routed { #[pin] call: Routed },
    }
}

impl Future for Called {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Response<Body>> {
        let response = match self.project() {
            CalledProjection::Found { call } => ready!(call.poll(context)),
            CalledProjection::Routed { call } => ready!(call.poll(context)),
        };
        match response {
            Ok(response) => Poll::Ready(response),
            Err(never) => match never {},
        }
    }
}
