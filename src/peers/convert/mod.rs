//! Between the peer protocol's messages and our types, exactly and both ways.
//!
//! A message may come from another release, or damaged. What is not known is refused by name: taking it for
//! something else would let two members disagree in silence.

mod ask;
mod command;
mod describe;
mod effect;
mod failure;
mod follow;
mod progress;
mod range;
mod reply;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub(super) use ask::{ask_from_wire, ask_to_wire, outcome_from_wire, outcome_to_wire};
pub(super) use describe::{description_from_wire, description_to_wire};
pub(super) use follow::{followed_from_wire, followed_to_wire};
pub(super) use progress::{progress_from_wire, progress_to_wire};

/// How deep transactions may nest: as deep as the front door reads them, which is half of this, and some.
const TXN_DEPTH_MAX: usize = 100;

/// Why a message does not say what one of our types says, or the other way round.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum WireError {
    /// A variant or a number that this release does not know. One that was left out looks the same.
    #[error("{what} is missing or not known to this release (number {number})")]
    Unknown {
        /// What of the message.
        what: &'static str,
        /// The number; zero where the message holds none that can be seen.
        number: i32,
    },
    /// A part without which the message means nothing is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// What is inside the message is no message.
    #[error("{0}")]
    Damaged(String),
    /// Transactions nest too deep.
    #[error("transactions nest deeper than {TXN_DEPTH_MAX}")]
    TooDeep,
    /// A value still names its row of the log, which another member cannot read.
    #[error("a value was not read from the log")]
    Unresolved,
}

/// A variant that this release does not know.
fn unknown_variant(what: &'static str) -> WireError {
    WireError::Unknown { what, number: 0 }
}

/// A number that this release does not know.
fn unknown_number(what: &'static str) -> impl Fn(prost::UnknownEnumValue) -> WireError {
    move |prost::UnknownEnumValue(number)| WireError::Unknown { what, number }
}

/// One level deeper, unless that is too deep.
fn deeper(depth: usize) -> Result<usize, WireError> {
    if depth < TXN_DEPTH_MAX {
        Ok(depth + 1)
    } else {
        Err(WireError::TooDeep)
    }
}

impl From<prost::DecodeError> for WireError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Damaged(error.to_string())
    }
}
