//! The memo: which configurations were tried, as 128-bit hashes.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Hash of anything, wide enough that no two configurations of a search meet by accident.
pub(super) fn wide_hash(value: &impl Hash) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        value.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// Configurations that were tried.
#[derive(Default)]
pub(super) struct Visited(HashSet<u128>);

impl Visited {
    /// Whether this is the first visit.
    pub(super) fn enter(&mut self, configuration: u128) -> bool {
        self.0.insert(configuration)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
