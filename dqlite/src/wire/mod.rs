//! The wire protocol as values: what a client and a node say to each other, without input or output.
//!
//! A connection begins with [`HANDSHAKE`] from the client, which is not answered. After it the client
//! sends requests, one at a time, and reads one [`Response`] to each; only rows may come in several
//! messages. A message is a [`Header`] and a body of whole words of 8 bytes, all numbers little-endian.
//!
//! Decoding trusts nothing: damaged bytes give a [`DecodeError`], never a panic, and memory is taken
//! for what is there, not for what a count announces.

mod bytes;
mod header;
mod member;
mod request;
mod response;
mod rows;
mod tuple;
mod value;

use thiserror::Error;

pub use header::{HEADER_LENGTH, Header};
pub use member::{Member, Role, Server};
pub use request::Request;
pub use response::{DatabaseFile, Response, ServerList};
pub use rows::Page;
pub use value::Value;

/// What a client sends first: the protocol's version.
pub const HANDSHAKE: [u8; WORD] = 1_u64.to_le_bytes();

/// Everything on the wire is padded to so many bytes.
pub const WORD: usize = 8;

/// Why a value cannot be sent: the protocol has no form for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A text with a NUL inside: the other side would read only what is before it.
    #[error("a text contains a NUL character")]
    NulInText,
    /// A message is longer than nodes take: 4 GiB.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// More parameters than the protocol can count.
    #[error("{0} parameters are too many")]
    TooManyParameters(usize),
    /// Rows of another width than their header.
    #[error("a row of {found} values below {expected} column names")]
    Ragged {
        /// How many names there are.
        expected: usize,
        /// How many values there are.
        found: usize,
    },
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The message ends in the middle of something.
    #[error("the message is cut off")]
    CutOff,
    /// The message goes on behind its end.
    #[error("the message has {0} bytes too many")]
    TooLong(usize),
    /// A message of a type that is not known.
    #[error("a message of unknown type {0}")]
    UnknownMessage(u8),
    /// A message in a version that is not known.
    #[error("a message of type {kind} in unknown schema {schema}")]
    UnknownSchema {
        /// The message's type.
        kind: u8,
        /// The version that is not known.
        schema: u8,
    },
    /// A value of a type that is not known.
    #[error("a value of unknown type {0}")]
    UnknownType(u8),
    /// A role that is not known.
    #[error("a member in unknown role {0}")]
    UnknownRole(u64),
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A number that is larger than what it counts can be.
    #[error("a number is out of range: {0}")]
    OutOfRange(u64),
}

/// The length after which the next thing begins.
fn padded(length: usize) -> Option<usize> {
    length.checked_next_multiple_of(WORD)
}
