//! Rows: as many messages as they need, each with the names of the columns in front.

use super::bytes::{Decoder, Encoder};
use super::value::Value;
use super::{DecodeError, EncodeError, padded};

/// Behind the last row of a message when another message follows.
const MORE: u64 = 0xeeee_eeee_eeee_eeee;
/// Behind the last row of all.
const DONE: u64 = 0xffff_ffff_ffff_ffff;

/// The rows of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The names of the columns, the same in every message.
    pub columns: Vec<String>,
    /// The rows, each as wide as there are columns.
    pub rows: Vec<Vec<Value>>,
    /// Whether another message follows.
    pub more: bool,
}

impl Page {
    pub(super) fn encode(&self, out: &mut Encoder<'_>) -> Result<(), EncodeError> {
        out.u64(self.columns.len() as u64);
        self.columns.iter().try_for_each(|name| out.text(name))?;
        for row in &self.rows {
            if row.len() != self.columns.len() || row.is_empty() {
                let (expected, found) = (self.columns.len(), row.len());
                return Err(EncodeError::Ragged { expected, found });
            }
            encode_row(row, out)?;
        }
        out.u64(if self.more { MORE } else { DONE });
        Ok(())
    }

    pub(super) fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let count = from.u64()?;
        let columns = (0..count).map(|_| from.text()).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::new();
        loop {
            match from.peek()? {
                mark @ (MORE | DONE) => {
                    from.u64()?;
                    let more = mark == MORE;
                    return Ok(Self { columns, rows, more });
                }
                // A row without values takes no bytes, and any number of them would fit in here.
                _ if columns.is_empty() => return Err(DecodeError::OutOfRange(0)),
                _ => rows.push(decode_row(columns.len(), from)?),
            }
        }
    }
}

/// Types are four bits each, the first in the low ones.
fn encode_row(row: &[Value], out: &mut Encoder<'_>) -> Result<(), EncodeError> {
    for pair in row.chunks(2) {
        let high = pair.get(1).map_or(0, Value::kind);
        out.u8(pair[0].kind() | high << 4);
    }
    out.pad();
    row.iter().try_for_each(|value| value.encode(out))
}

fn decode_row(width: usize, from: &mut Decoder) -> Result<Vec<Value>, DecodeError> {
    let length = padded(width.div_ceil(2)).ok_or(DecodeError::CutOff)?;
    let types = from.unpadded(length)?;
    let kind = |column: usize| types[column / 2] >> (column % 2 * 4) & 0xf;
    (0..width)
        .map(|column| Value::decode(kind(column), from))
        .collect()
}
