//! The gRPC health service: `SERVING` from the first moment until the server goes down.

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::streams::{Answers, Session, Shutdown, on_shutdown};

/// The name that stands for the whole server; etcd reports no other.
const WHOLE_SERVER: &str = "";

/// Tells whether the server serves.
pub(super) struct HealthService {
    shutdown: CancellationToken,
}

/// The service, ready to be added to the others.
pub(super) fn service(shutdown: CancellationToken) -> HealthServer<HealthService> {
    HealthServer::new(HealthService { shutdown })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status as i32,
    }
}

fn status_of(service: &str, is_down: bool) -> ServingStatus {
    match (service, is_down) {
        (WHOLE_SERVER, false) => ServingStatus::Serving,
        (WHOLE_SERVER, true) => ServingStatus::NotServing,
        _ => ServingStatus::ServiceUnknown,
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match status_of(&request.into_inner().service, self.shutdown.is_cancelled()) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("unknown service")),
            known => Ok(Response::new(response(known))),
        }
    }

    type WatchStream = Answers<HealthCheckResponse>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let shutdown = on_shutdown(&self.shutdown);
        let session = HealthSession {
            service: request.into_inner().service,
            told: Told::Nothing,
            shutdown,
        };
        Ok(Response::new(session.answers()))
    }
}

/// What the watcher of a service knows.
enum Told {
    Nothing,
    Status,
    End,
}

/// One watcher of a service's health.
struct HealthSession {
    service: String,
    told: Told,
    shutdown: Shutdown,
}

impl Session for HealthSession {
    type Answer = HealthCheckResponse;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        match self.told {
            Told::Nothing => {
                self.told = Told::Status;
                Some(Ok(response(status_of(&self.service, false))))
            }
            Told::Status => {
                self.shutdown.as_mut().await;
                self.told = Told::End;
                Some(Ok(response(status_of(&self.service, true))))
            }
            Told::End => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tonic::Code;

    use super::*;

    fn asked(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest {
            service: service.into(),
        })
    }

    #[tokio::test]
    async fn the_server_serves_until_it_goes_down() {
        let shutdown = CancellationToken::new();
        let service = HealthService {
            shutdown: shutdown.clone(),
        };
        let watched = service.watch(asked("")).await.expect("watches").into_inner();
        let now = service.check(asked("")).await.expect("answers").into_inner();
        assert_eq!(now.status(), ServingStatus::Serving);
        shutdown.cancel();
        let now = service.check(asked("")).await.expect("answers").into_inner();
        assert_eq!(now.status(), ServingStatus::NotServing);
        let seen: Vec<_> = watched
            .map(|answer| answer.expect("no error").status())
            .collect()
            .await;
        assert_eq!(seen, [ServingStatus::Serving, ServingStatus::NotServing]);
    }

    #[tokio::test]
    async fn no_other_service_is_known() {
        let service = HealthService {
            shutdown: CancellationToken::new(),
        };
        let refused = service
            .check(asked("etcdserverpb.KV"))
            .await
            .expect_err("refused");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::NotFound, "unknown service")
        );
        let mut watched = service
            .watch(asked("etcdserverpb.KV"))
            .await
            .expect("watches")
            .into_inner();
        let first = watched.next().await.expect("an answer").expect("no error");
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    }
}
