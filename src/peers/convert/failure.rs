//! Failures, as a number and a text: the number for who knows it, the text for who does not.

use actors::RequestError;
use model::Refusal;
use proto::peer as pb;
use proto::peer::{FailureKind, RefusalKind};

pub(super) fn failure_to_wire(error: &RequestError) -> pb::Failure {
    let (refusal, detail) = match error {
        RequestError::Refused(refusal) => (refusal_to_wire(refusal), ""),
        RequestError::NotStored(detail)
        | RequestError::Unreadable(detail)
        | RequestError::NotUnderstood(detail) => (RefusalKind::Unspecified, detail.as_str()),
        _ => (RefusalKind::Unspecified, ""),
    };
    pb::Failure {
        kind: kind_to_wire(error).into(),
        refusal: refusal.into(),
        text: error.to_string(),
        detail: detail.to_owned(),
    }
}

/// What this release does not know is told with its text, as something that was not understood.
pub(super) fn failure_from_wire(wire: pb::Failure) -> RequestError {
    let pb::Failure {
        kind, text, detail, ..
    } = wire;
    let kind = FailureKind::try_from(kind).unwrap_or_default();
    match kind {
        FailureKind::Unspecified => RequestError::NotUnderstood(text),
        FailureKind::Refused => {
            let refusal = refusal_from_wire(wire.refusal);
            refusal.map_or(RequestError::NotUnderstood(text), RequestError::Refused)
        }
        FailureKind::Overloaded => RequestError::Overloaded,
        FailureKind::Stopped => RequestError::Stopped,
        FailureKind::NotStored => RequestError::NotStored(detail),
        FailureKind::Unreadable => RequestError::Unreadable(detail),
        FailureKind::NoLeader => RequestError::NoLeader,
        FailureKind::LeaderChanged => RequestError::LeaderChanged,
        FailureKind::TimedOut => RequestError::TimedOut,
        FailureKind::TimedOutLeaderFailure => RequestError::TimedOutLeaderFailure,
        FailureKind::TimedOutConnectionLost => RequestError::TimedOutConnectionLost,
        FailureKind::NotLeader => RequestError::NotLeader,
        FailureKind::BadTransferee => RequestError::BadTransferee,
        FailureKind::UnhealthyCluster => RequestError::UnhealthyCluster,
        FailureKind::NotCapable => RequestError::NotCapable,
        FailureKind::NotProposed => RequestError::NotProposed,
        FailureKind::NotUnderstood => RequestError::NotUnderstood(detail),
    }
}

fn kind_to_wire(error: &RequestError) -> FailureKind {
    match error {
        RequestError::Refused(_) => FailureKind::Refused,
        RequestError::Overloaded => FailureKind::Overloaded,
        RequestError::Stopped => FailureKind::Stopped,
        RequestError::NotStored(_) => FailureKind::NotStored,
        RequestError::Unreadable(_) => FailureKind::Unreadable,
        RequestError::NoLeader => FailureKind::NoLeader,
        RequestError::LeaderChanged => FailureKind::LeaderChanged,
        RequestError::TimedOut => FailureKind::TimedOut,
        RequestError::TimedOutLeaderFailure => FailureKind::TimedOutLeaderFailure,
        RequestError::TimedOutConnectionLost => FailureKind::TimedOutConnectionLost,
        RequestError::NotLeader => FailureKind::NotLeader,
        RequestError::BadTransferee => FailureKind::BadTransferee,
        RequestError::UnhealthyCluster => FailureKind::UnhealthyCluster,
        RequestError::NotCapable => FailureKind::NotCapable,
        RequestError::NotProposed => FailureKind::NotProposed,
        RequestError::NotUnderstood(_) => FailureKind::NotUnderstood,
    }
}

fn refusal_to_wire(refusal: &Refusal) -> RefusalKind {
    match refusal {
        Refusal::EmptyKey => RefusalKind::EmptyKey,
        Refusal::KeyNotFound => RefusalKind::KeyNotFound,
        Refusal::ValueProvided => RefusalKind::ValueProvided,
        Refusal::LeaseProvided => RefusalKind::LeaseProvided,
        Refusal::TooManyOperations => RefusalKind::TooManyOperations,
        Refusal::DuplicateKey => RefusalKind::DuplicateKey,
        Refusal::InvalidSortOption => RefusalKind::InvalidSortOption,
        Refusal::Compacted => RefusalKind::Compacted,
        Refusal::FutureRevision => RefusalKind::FutureRevision,
        Refusal::NoSpace => RefusalKind::NoSpace,
        Refusal::Corrupt => RefusalKind::Corrupt,
        Refusal::LeaseNotFound => RefusalKind::LeaseNotFound,
        Refusal::LeaseExists => RefusalKind::LeaseExists,
        Refusal::LeaseTtlTooLarge => RefusalKind::LeaseTtlTooLarge,
        Refusal::RequestTooLarge => RefusalKind::RequestTooLarge,
        Refusal::ValueUnavailable => RefusalKind::ValueUnavailable,
    }
}

fn refusal_from_wire(wire: i32) -> Option<Refusal> {
    Some(match RefusalKind::try_from(wire).ok()? {
        RefusalKind::Unspecified => return None,
        RefusalKind::EmptyKey => Refusal::EmptyKey,
        RefusalKind::KeyNotFound => Refusal::KeyNotFound,
        RefusalKind::ValueProvided => Refusal::ValueProvided,
        RefusalKind::LeaseProvided => Refusal::LeaseProvided,
        RefusalKind::TooManyOperations => Refusal::TooManyOperations,
        RefusalKind::DuplicateKey => Refusal::DuplicateKey,
        RefusalKind::InvalidSortOption => Refusal::InvalidSortOption,
        RefusalKind::Compacted => Refusal::Compacted,
        RefusalKind::FutureRevision => Refusal::FutureRevision,
        RefusalKind::NoSpace => Refusal::NoSpace,
        RefusalKind::Corrupt => Refusal::Corrupt,
        RefusalKind::LeaseNotFound => Refusal::LeaseNotFound,
        RefusalKind::LeaseExists => Refusal::LeaseExists,
        RefusalKind::LeaseTtlTooLarge => Refusal::LeaseTtlTooLarge,
        RefusalKind::RequestTooLarge => Refusal::RequestTooLarge,
        RefusalKind::ValueUnavailable => Refusal::ValueUnavailable,
    })
}
