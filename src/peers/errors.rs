//! Why a peer gave no answer, as it travels: the kind in a trailer, the text as the status' message.

use std::error::Error;
use std::fmt::Write;

use actors::PeerError;
use proto::peer::PeerErrorKind;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::convert::WireError;

/// The trailer that names the kind.
const KIND: &str = "taffrail-peer-error";

/// The error as a status.
pub(super) fn to_status(error: PeerError) -> Status {
    let (kind, code, text) = match error {
        PeerError::Unreachable(text) => (PeerErrorKind::Unreachable, Code::Unavailable, text),
        PeerError::Lost(text) => (PeerErrorKind::Lost, Code::Unavailable, text),
        PeerError::NotReady(text) => (PeerErrorKind::NotReady, Code::Unavailable, text),
        PeerError::Stranger(text) => (PeerErrorKind::Stranger, Code::FailedPrecondition, text),
        PeerError::NotUnderstood(text) => (PeerErrorKind::NotUnderstood, Code::Unimplemented, text),
        PeerError::LeftBehind(text) => (PeerErrorKind::LeftBehind, Code::Aborted, text),
    };
    let mut status = Status::new(code, text);
    let kind = MetadataValue::from(kind as i32);
    status.metadata_mut().insert(KIND, kind);
    status
}

/// The error that a status tells. One that no peer sent is a connection that broke.
pub(super) fn from_status(status: &Status) -> PeerError {
    let text = || status.message().to_owned();
    let Some(kind) = status.metadata().get(KIND) else {
        return match status.code() {
            Code::Unimplemented | Code::OutOfRange => PeerError::NotUnderstood(text()),
            _ => PeerError::Lost(with_sources(status)),
        };
    };
    let kind = kind.to_str().ok().and_then(|kind| kind.parse::<i32>().ok());
    let kind = kind.and_then(|kind| PeerErrorKind::try_from(kind).ok());
    match kind.unwrap_or_default() {
        PeerErrorKind::Unreachable => PeerError::Unreachable(text()),
        PeerErrorKind::Lost => PeerError::Lost(text()),
        PeerErrorKind::NotReady => PeerError::NotReady(text()),
        PeerErrorKind::Stranger => PeerError::Stranger(text()),
        PeerErrorKind::NotUnderstood | PeerErrorKind::Unspecified => PeerError::NotUnderstood(text()),
        PeerErrorKind::LeftBehind => PeerError::LeftBehind(text()),
    }
}

/// A message that this release does not understand.
pub(super) fn not_understood(error: &WireError) -> PeerError {
    PeerError::NotUnderstood(error.to_string())
}

/// The error with everything that led to it: a broken connection says little by itself.
pub(super) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _into_memory = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_arrive_as_they_were() {
        let text = || "some reason".to_owned();
        for error in [
            PeerError::Unreachable(text()),
            PeerError::Lost(text()),
            PeerError::NotReady(text()),
            PeerError::Stranger(text()),
            PeerError::NotUnderstood(text()),
            PeerError::LeftBehind(text()),
        ] {
            assert_eq!(from_status(&to_status(error.clone())), error);
        }
    }

    #[test]
    fn what_no_peer_sent_is_a_lost_connection() {
        let lost = from_status(&Status::unknown("transport error"));
        assert!(
            matches!(&lost, PeerError::Lost(text) if text.contains("transport error")),
            "{lost}"
        );
    }

    #[test]
    fn what_a_peer_does_not_serve_or_say_so_anyone_knows_is_not_understood() {
        let mut of_tomorrow = Status::unavailable("something new");
        of_tomorrow.metadata_mut().insert(KIND, MetadataValue::from(1000));
        for status in [of_tomorrow, Status::unimplemented("")] {
            assert!(matches!(from_status(&status), PeerError::NotUnderstood(_)));
        }
    }
}
