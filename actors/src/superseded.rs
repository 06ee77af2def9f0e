//! Values that were newest a moment ago: lists that go on at their first page's revision still ask for them.
//!
//! Without this a page would be read from the log for every key that was written since the list began. The watch hub
//! keeps the same values for watchers that fell behind, so they take room once.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use model::Position;

/// Bytes that are kept: as much as the watch hub keeps of recent batches.
const SUPERSEDED_BYTES: usize = 16 << 20;
/// What a value takes beside its own octets: its place in the map and in the order, and what the allocator adds.
const OVERHEAD: usize = 128;

fn size(value: &Bytes) -> usize {
    value.len() + OVERHEAD
}

/// The values that were superseded last, by the row of the log that holds each.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    values: HashMap<Position, Bytes>,
    /// Their rows, the first to be superseded first.
    order: VecDeque<Position>,
    bytes: usize,
}

impl Superseded {
    /// Keeps a value, and lets the oldest ones go.
    pub(crate) fn keep(&mut self, position: Position, value: Bytes) {
        self.bytes += size(&value);
        match self.values.insert(position, value) {
            Some(again) => self.bytes -= size(&again),
            None => self.order.push_back(position),
        }
        while self.bytes > SUPERSEDED_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.values.remove(&oldest).as_ref().map_or(0, size);
        }
    }

    /// The value in this row of the log, if it is one of those.
    pub(crate) fn value(&self, position: Position) -> Option<Bytes> {
        self.values.get(&position).cloned()
    }

    /// Lets all go.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_are_counted_out() {
        let mut superseded = Superseded::default();
        let value = Bytes::from(vec![7; SUPERSEDED_BYTES / 4 - OVERHEAD]);
        // Rows are superseded in any order.
        for position in [5, 2, 9, 1, 3] {
            superseded.keep(Position(position), value.clone());
        }
        let kept = [5, 2, 9, 1, 3].map(|position| superseded.value(Position(position)).is_some());
        assert_eq!(kept, [false, true, true, true, true]);
        assert_eq!(superseded.bytes, SUPERSEDED_BYTES);
        assert_eq!(superseded.order.len(), superseded.values.len());
        superseded.clear();
        assert_eq!((superseded.value(Position(3)), superseded.bytes), (None, 0));
    }

    #[test]
    fn empty_values_are_bounded_too() {
        let mut superseded = Superseded::default();
        for position in 0..200_000 {
            superseded.keep(Position(position), Bytes::new());
        }
        assert_eq!(superseded.values.len(), SUPERSEDED_BYTES / OVERHEAD);
    }
}
