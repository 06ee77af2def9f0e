//! A value of SQLite on the wire.

use bytes::Bytes;

use super::bytes::{Decoder, Encoder};
use super::{DecodeError, EncodeError};

/// A value: a parameter of a statement, or a field of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// NULL.
    #[default]
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Float(f64),
    /// TEXT. It must not contain a NUL.
    Text(String),
    /// BLOB.
    Blob(Bytes),
    /// An integer in a column declared as DATETIME: seconds since 1970. Only in rows.
    UnixTime(i64),
    /// A text in a column declared as DATETIME, or a point in time as parameter.
    Iso8601(String),
    /// An integer in a column declared as BOOLEAN, or a truth value as parameter.
    Boolean(bool),
}

pub(super) const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;
const NULL: u8 = 5;
const UNIX_TIME: u8 = 9;
const ISO_8601: u8 = 10;
const BOOLEAN: u8 = 11;

impl Value {
    /// The number of the value's type.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Integer(_) => INTEGER,
            Self::Float(_) => FLOAT,
            Self::Text(_) => TEXT,
            Self::Blob(_) => BLOB,
            Self::Null => NULL,
            Self::UnixTime(_) => UNIX_TIME,
            Self::Iso8601(_) => ISO_8601,
            Self::Boolean(_) => BOOLEAN,
        }
    }

    pub(super) fn encode(&self, out: &mut Encoder<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Null => out.u64(0),
            Self::Integer(number) | Self::UnixTime(number) => out.u64(number.cast_unsigned()),
            Self::Float(number) => out.u64(number.to_bits()),
            Self::Text(text) | Self::Iso8601(text) => out.text(text)?,
            Self::Blob(blob) => out.blob(blob),
            Self::Boolean(truth) => out.u64(u64::from(*truth)),
        }
        Ok(())
    }

    pub(super) fn decode(kind: u8, from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match kind {
            INTEGER => Self::Integer(from.i64()?),
            FLOAT => Self::Float(f64::from_bits(from.u64()?)),
            TEXT => Self::Text(from.text()?),
            BLOB => Self::Blob(from.blob()?),
            NULL => from.u64().map(|_| Self::Null)?,
            UNIX_TIME => Self::UnixTime(from.i64()?),
            ISO_8601 => Self::Iso8601(from.text()?),
            BOOLEAN => Self::Boolean(from.u64()? != 0),
            other => return Err(DecodeError::UnknownType(other)),
        })
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Bytes> for Value {
    fn from(blob: Bytes) -> Self {
        Self::Blob(blob)
    }
}

impl From<&[u8]> for Value {
    fn from(blob: &[u8]) -> Self {
        Self::Blob(Bytes::copy_from_slice(blob))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
