//! The parameters of a statement: their number and types, then the values.
//!
//! Schema 0 counts in one byte, schema 1 in four. No parameters are no bytes at all.

use super::bytes::{Decoder, Encoder};
use super::value::Value;
use super::{DecodeError, EncodeError, padded};

/// The oldest schema that can count so many parameters: nodes before 1.12 know only schema 0.
pub(super) fn schema_for(parameters: &[Value]) -> u8 {
    u8::from(parameters.len() > usize::from(u8::MAX))
}

pub(super) fn encode(parameters: &[Value], out: &mut Encoder<'_>) -> Result<(), EncodeError> {
    let count = parameters.len();
    match schema_for(parameters) {
        _ if count == 0 => return Ok(()),
        0 => out.u8(count as u8),
        _ => out.u32(u32::try_from(count).map_err(|_| EncodeError::TooManyParameters(count))?),
    }
    parameters.iter().for_each(|value| out.u8(value.kind()));
    out.pad();
    parameters.iter().try_for_each(|value| value.encode(out))
}

pub(super) fn decode(schema: u8, from: &mut Decoder) -> Result<Vec<Value>, DecodeError> {
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let (count, width) = match schema {
        0 => (u32::from(from.u8()?), size_of::<u8>()),
        _ => (from.u32()?, size_of::<u32>()),
    };
    let types = read_types(count as usize, width, from)?;
    types.into_iter().map(|kind| Value::decode(kind, from)).collect()
}

/// The types follow their count without padding; both together are padded.
fn read_types(count: usize, width: usize, from: &mut Decoder) -> Result<Vec<u8>, DecodeError> {
    let all = width.checked_add(count).and_then(padded);
    let length = all.ok_or(DecodeError::CutOff)? - width;
    let mut types = from.unpadded(length)?;
    types.truncate(count);
    Ok(types)
}
