//! All members have the same keys in the end.

use super::history::{Hash, History};
use super::report::{Guarantee, Violation};

/// Compares what all members said at the same revision and the same compact revision, which must be the same for
/// all.
pub(super) fn check(history: &History) -> Vec<Violation> {
    let Some(first) = history.hashes.first() else {
        return Vec::new();
    };
    let at = history.calls.iter().map(|call| call.returned).max().unwrap_or(0);
    let said = |hash: &Hash| (hash.revision, hash.compact_revision, hash.hash);
    let different = history.hashes.iter().filter(|hash| said(hash) != said(first));
    different
        .map(|hash| Violation {
            guarantee: Guarantee::HashKv,
            at,
            text: format!("{hash:?}, but {first:?}"),
        })
        .collect()
}
