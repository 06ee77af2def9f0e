//! What is durable: the batches that flow from the keyspace to everybody who follows the log.

use model::{Effect, Event, KeyValue, Revision};

/// One change of a key, with the pair as it was before.
#[derive(Clone, Debug)]
pub struct Change {
    /// The change.
    pub event: Event,
    /// The pair before, if there was one; its value may have to be read from the log.
    pub previous: Option<KeyValue>,
}

/// A batch of effects that is durable and applied.
#[derive(Clone, Debug, Default)]
pub struct CommittedBatch {
    /// The store's revision after the batch.
    pub revision: Revision,
    /// The changes of keys, in order; those of one revision stand together and never cross batches.
    pub changes: Vec<Change>,
    /// The other effects, in order.
    pub others: Vec<Effect>,
}

impl CommittedBatch {
    /// Bytes that the batch keeps alive.
    #[must_use]
    pub fn size(&self) -> usize {
        let previous = |change: &Change| match change.previous.as_ref().map(|kv| &kv.value) {
            Some(model::Value::Resident(value)) => value.len(),
            _ => 0,
        };
        self.changes
            .iter()
            .map(|change| change.event.size() + previous(change))
            .sum()
    }
}
