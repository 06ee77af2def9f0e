//! The gRPC health service: `SERVING` from the first moment until the server goes down.

use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

/// The name that stands for the whole server; etcd reports no other.
const WHOLE_SERVER: &str = "";

/// The service, and a task that ends it with the server.
pub(super) fn service(shutdown: CancellationToken) -> HealthServer<impl Health> {
    let (reporter, server) = health_reporter();
    tokio::spawn(async move {
        shutdown.cancelled().await;
        end(reporter).await;
    });
    server
}

/// Tells that the server is going down, and ends the streams that wait for such news.
async fn end(mut reporter: HealthReporter) {
    reporter
        .set_service_status(WHOLE_SERVER, ServingStatus::NotServing)
        .await;
    // A status that is cleared ends its streams; who asks from now on still gets the answer.
    reporter.clear_service_status(WHOLE_SERVER).await;
    reporter
        .set_service_status(WHOLE_SERVER, ServingStatus::NotServing)
        .await;
}
