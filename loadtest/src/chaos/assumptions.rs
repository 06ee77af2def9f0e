//! What the checks rely on.

use std::collections::HashMap;

use super::history::{Call, History, Outcome, Refusal};
use super::report::{Guarantee, Violation};

/// Each client has one call at a time, and no call is refused for what it asks.
pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut calls: Vec<_> = history.calls.iter().collect();
    calls.sort_by_key(|call| call.invoked);
    let mut busy_until: HashMap<u32, u64> = HashMap::new();
    for call in calls {
        let until = busy_until.entry(call.client).or_default();
        if call.invoked < *until || call.returned < call.invoked {
            violations.push(violation(call, "this client was busy"));
        }
        *until = call.returned.max(*until);
        if matches!(call.outcome, Outcome::Refused(Refusal::Other(_))) {
            violations.push(violation(call, "nothing in this call deserves to be refused"));
        }
    }
    violations
}

fn violation(call: &Call, text: &str) -> Violation {
    Violation {
        guarantee: Guarantee::Assumptions,
        at: call.returned,
        text: format!("{text}: {call}"),
    }
}
