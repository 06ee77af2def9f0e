//! What clients ask for.

use fastrand::Rng;

use crate::chaos::history::{Body, Outcome, Pair, Request};

/// One client's choice of requests.
pub(super) trait Profile {
    /// The next request.
    fn next(&mut self, rng: &mut Rng) -> Request;

    /// Learns from what came of it.
    fn learn(&mut self, request: &Request, outcome: &Outcome);
}

/// All pairs that an answer shows.
pub(super) fn pairs(body: &Body) -> Vec<&Pair> {
    match body {
        Body::Range(range) => range.pairs.iter().collect(),
        Body::Txn { responses, .. } => responses.iter().flat_map(pairs).collect(),
        _ => Vec::new(),
    }
}
