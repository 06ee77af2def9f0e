//! Errors as clients see them: etcd's codes and texts, in one place.
//!
//! Clients match on the text (`rpctypes` turns it back into typed errors), so each is etcd's, byte for byte.

use actors::RequestError;
use model::Refusal;
use proto::etcdserverpb::{
    auth_server, cluster_server, kv_server, lease_server, maintenance_server, watch_server,
};
use proto::v3electionpb::election_server;
use proto::v3lockpb::lock_server;
use tonic::{Code, Status};
use tonic_health::pb::health_server;

/// The status of a request that did not get its answer.
pub(super) fn status(error: RequestError) -> Status {
    Status::new(code(&error), error.to_string())
}

/// The status of a refusal.
pub(super) fn refused(refusal: Refusal) -> Status {
    status(RequestError::Refused(refusal))
}

fn code(error: &RequestError) -> Code {
    match error {
        RequestError::Refused(refusal) => code_of_refusal(refusal),
        // etcd declares this code for the text but sends Unknown; what a client may retry should say so.
        RequestError::Overloaded => Code::ResourceExhausted,
        RequestError::Stopped
        | RequestError::NoLeader
        | RequestError::LeaderChanged
        | RequestError::TimedOut
        | RequestError::TimedOutLeaderFailure
        | RequestError::TimedOutConnectionLost
        | RequestError::UnhealthyCluster => Code::Unavailable,
        RequestError::NotProposed => Code::DeadlineExceeded,
        RequestError::NotLeader | RequestError::BadTransferee | RequestError::NotCapable => {
            Code::FailedPrecondition
        }
        RequestError::NotStored(_) | RequestError::Unreadable(_) | RequestError::NotUnderstood(_) => {
            Code::Unknown
        }
    }
}

fn code_of_refusal(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::EmptyKey
        | Refusal::KeyNotFound
        | Refusal::ValueProvided
        | Refusal::LeaseProvided
        | Refusal::TooManyOperations
        | Refusal::DuplicateKey
        | Refusal::InvalidSortOption
        | Refusal::RequestTooLarge => Code::InvalidArgument,
        Refusal::Compacted | Refusal::FutureRevision | Refusal::LeaseTtlTooLarge => Code::OutOfRange,
        Refusal::NoSpace => Code::ResourceExhausted,
        Refusal::Corrupt => Code::DataLoss,
        Refusal::LeaseNotFound => Code::NotFound,
        Refusal::LeaseExists => Code::FailedPrecondition,
        Refusal::ValueUnavailable => Code::Unknown,
    }
}

/// The status of a request to the Lock or Election service: etcd serves them through a client of its own,
/// whose errors lose their code on the way. It keeps a lease alive beside the call, which ends for want of a leader itself.
pub(super) fn through_client(error: RequestError) -> Status {
    match error {
        RequestError::Stopped => stopped(),
        RequestError::NoLeader | RequestError::NotProposed => status(RequestError::NotProposed),
        error => Status::unknown(error.to_string()),
    }
}

/// The server is going down.
pub(super) fn stopped() -> Status {
    status(RequestError::Stopped)
}

/// A client demanded a leader, and there is none.
pub(super) fn no_leader() -> Status {
    status(RequestError::NoLeader)
}

/// A client ended its watch stream.
pub(super) fn watch_canceled() -> Status {
    Status::cancelled("etcdserver: watch canceled")
}

/// `client-api-version` in a request's metadata is not UTF-8.
pub(super) fn invalid_client_api_version() -> Status {
    Status::invalid_argument("etcdserver: invalid client api version")
}

/// A request's messages are compressed in a way that is not understood, in grpc-go's words.
pub(super) fn no_decompressor(encoding: &str) -> Status {
    Status::unimplemented(format!(
        "grpc: Decompressor is not installed for grpc-encoding \"{encoding}\""
    ))
}

/// An answer is longer than the four octets of its length can say, in grpc-go's words.
pub(super) fn too_long() -> Status {
    Status::resource_exhausted("grpc: message too large")
}

/// Nothing answers to a path, in grpc-go's words.
pub(super) fn unknown_method(path: &str) -> Status {
    let Some((service, method)) = path.trim_start_matches('/').rsplit_once('/') else {
        return Status::unimplemented(format!("malformed method name: \"{path}\""));
    };
    Status::unimplemented(if is_served(service) {
        format!("unknown method {method} for service {service}")
    } else {
        format!("unknown service {service}")
    })
}

/// Whether a service of this name is among those of the server.
fn is_served(service: &str) -> bool {
    [
        kv_server::SERVICE_NAME,
        watch_server::SERVICE_NAME,
        lease_server::SERVICE_NAME,
        cluster_server::SERVICE_NAME,
        maintenance_server::SERVICE_NAME,
        auth_server::SERVICE_NAME,
        lock_server::SERVICE_NAME,
        election_server::SERVICE_NAME,
        health_server::SERVICE_NAME,
    ]
    .contains(&service)
}

/// What tonic says of a message above the limit, in grpc-go's words; any other status as it is.
pub(super) fn of_received(status: Status) -> Status {
    match too_large(status.message()).filter(|_| status.code() == Code::OutOfRange) {
        Some((size, limit)) => {
            let text = format!("grpc: received message larger than max ({size} vs. {limit})");
            Status::resource_exhausted(text)
        }
        None => status,
    }
}

/// The size and the limit in tonic's text, if that is what it is about.
fn too_large(message: &str) -> Option<(usize, usize)> {
    let numbers = message.strip_prefix("Error, decoded message length too large: found ")?;
    let (size, rest) = numbers.split_once(" bytes, the limit is: ")?;
    Some((size.parse().ok()?, rest.strip_suffix(" bytes")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_carry_etcds_code_and_text() {
        let cases = [
            (
                Refusal::EmptyKey,
                Code::InvalidArgument,
                "etcdserver: key is not provided",
            ),
            (
                Refusal::Compacted,
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
            ),
            (
                Refusal::NoSpace,
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
            ),
            (
                Refusal::LeaseNotFound,
                Code::NotFound,
                "etcdserver: requested lease not found",
            ),
            (
                Refusal::LeaseExists,
                Code::FailedPrecondition,
                "etcdserver: lease already exists",
            ),
            (Refusal::Corrupt, Code::DataLoss, "etcdserver: corrupt cluster"),
        ];
        for (refusal, code, text) in cases {
            let status = refused(refusal);
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }

    #[test]
    fn a_full_pipeline_and_a_stopped_server_differ() {
        assert_eq!(status(RequestError::Overloaded).code(), Code::ResourceExhausted);
        assert_eq!(stopped().code(), Code::Unavailable);
        assert_eq!(stopped().message(), "etcdserver: server stopped");
    }

    #[test]
    fn what_only_a_cluster_suffers_carries_etcds_code_and_text() {
        use RequestError as Error;
        let unavailable = [
            (Error::NoLeader, "no leader"),
            (Error::LeaderChanged, "leader changed"),
            (Error::TimedOut, "request timed out"),
            (
                Error::TimedOutLeaderFailure,
                "request timed out, possibly due to previous leader failure",
            ),
            (
                Error::TimedOutConnectionLost,
                "request timed out, possibly due to connection lost",
            ),
            (Error::UnhealthyCluster, "unhealthy cluster"),
        ];
        let failed_precondition = [
            (Error::NotLeader, "not leader"),
            (Error::BadTransferee, "bad leader transferee"),
            (Error::NotCapable, "not capable"),
        ];
        let unavailable = unavailable.map(|case| (case, Code::Unavailable));
        let failed_precondition = failed_precondition.map(|case| (case, Code::FailedPrecondition));
        for ((error, text), code) in unavailable.into_iter().chain(failed_precondition) {
            let status = status(error);
            assert_eq!(
                (status.code(), status.message()),
                (code, &*format!("etcdserver: {text}"))
            );
        }
    }

    #[test]
    fn lock_and_election_lose_the_code_but_not_the_text() {
        let status = through_client(Refusal::LeaseNotFound.into());
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unknown, "etcdserver: requested lease not found")
        );
    }

    #[test]
    fn what_nobody_proposed_ends_as_a_context_of_go_does() {
        for status in [
            status(RequestError::NotProposed),
            through_client(RequestError::NotProposed),
            through_client(RequestError::NoLeader),
        ] {
            let said = (status.code(), status.message());
            assert_eq!(said, (Code::DeadlineExceeded, "context deadline exceeded"));
        }
    }

    #[test]
    fn what_nothing_answers_to_is_named_as_grpc_go_does() {
        let text = |path| unknown_method(path).message().to_owned();
        assert_eq!(
            text("/etcdserverpb.KV/Nonsense"),
            "unknown method Nonsense for service etcdserverpb.KV"
        );
        assert_eq!(
            text("/nonsense.Service/Method"),
            "unknown service nonsense.Service"
        );
        assert_eq!(text("/nonsense"), "malformed method name: \"/nonsense\"");
    }

    #[test]
    fn a_message_above_the_limit_is_named_as_grpc_go_does() {
        let text =
            "Error, decoded message length too large: found 3000000 bytes, the limit is: 2097152 bytes";
        let status = of_received(Status::out_of_range(text));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.message(),
            "grpc: received message larger than max (3000000 vs. 2097152)"
        );
        let other = of_received(Status::out_of_range("something else"));
        assert_eq!(
            (other.code(), other.message()),
            (Code::OutOfRange, "something else")
        );
    }
}
