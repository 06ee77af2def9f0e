//! What is known of each lease: how long it must be there, and whether a client may have ended it.

use std::collections::BTreeMap;

use super::seconds;
use crate::chaos::history::{Body, Call, History, Moment, Outcome, Refusal, Request};

/// What is known of one lease.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// Of each grant that may have happened, the moment before which the lease does not end.
    grants: Vec<Moment>,
    /// When a grant was answered.
    pub(super) granted: Option<Moment>,
    /// Seconds to live: what was answered or, without an answer, asked for.
    pub(super) ttl: i64,
    /// The moment before which it does not end by the keep-alives that were answered.
    kept: Moment,
    /// When the first revocation that may have happened was sent.
    revoked: Option<Moment>,
    /// A revocation was answered.
    ended: bool,
}

impl Life {
    /// The moment before which it does not end by itself. None if it may have been granted more than once: then nobody
    /// can tell which of its lives a keep-alive was for.
    pub(super) fn earliest_end(&self) -> Option<Moment> {
        match self.grants[..] {
            [only] => Some(only.max(self.kept)),
            _ => None,
        }
    }

    /// For each of its lives, the moment before which that does not end by itself.
    pub(super) fn ends(&self) -> impl Iterator<Item = Moment> + '_ {
        let kept = if self.grants.len() == 1 { self.kept } else { 0 };
        self.grants.iter().map(move |end| kept.max(*end))
    }

    /// Whether it certainly did not end by itself.
    pub(super) fn was_revoked(&self) -> bool {
        self.ended && self.grants.len() == 1
    }

    /// Whether a client may have ended it before a moment.
    pub(super) fn may_be_revoked(&self, before: Moment) -> bool {
        self.revoked.is_some_and(|revoked| revoked < before)
    }

    fn grant(&mut self, call: &Call, asked: i64) {
        let told = match &call.outcome {
            Outcome::Answered(answer) => match answer.body {
                Body::LeaseGrant { ttl, .. } => Some(ttl),
                _ => None,
            },
            _ => None,
        };
        if told.is_some() {
            self.granted = Some(call.returned);
        }
        // An older history does not tell what was answered.
        let ttl = told.unwrap_or(asked).max(asked);
        self.ttl = self.ttl.max(ttl);
        self.grants.push(call.invoked + seconds(ttl));
    }

    fn revoke(&mut self, call: &Call) {
        let revoked = self.revoked.get_or_insert(call.invoked);
        *revoked = call.invoked.min(*revoked);
        self.ended |= matches!(call.outcome, Outcome::Answered(_));
    }
}

/// All leases that may have been granted.
pub(super) struct Lives(BTreeMap<i64, Life>);

impl Lives {
    pub(super) fn of(history: &History) -> Self {
        let mut lives: BTreeMap<i64, Life> = BTreeMap::new();
        let happened = |call: &&Call| !matches!(call.outcome, Outcome::Refused(_));
        for call in history.calls.iter().filter(happened) {
            match call.request {
                Request::LeaseGrant { id, ttl } => lives.entry(id).or_default().grant(call, ttl),
                Request::LeaseRevoke { id } => lives.entry(id).or_default().revoke(call),
                _ => {}
            }
        }
        lives.retain(|_, life| !life.grants.is_empty());
        for renewal in &history.renewals {
            if let (Some(life), Some(ttl @ 1..)) = (lives.get_mut(&renewal.lease), renewal.ttl) {
                life.kept = life.kept.max(renewal.invoked + seconds(ttl));
            }
        }
        Self(lives)
    }

    pub(super) fn get(&self, lease: i64) -> Option<&Life> {
        self.0.get(&lease)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Life)> {
        self.0.iter().map(|(lease, life)| (*lease, life))
    }
}

/// The lease without which a call was refused, if it names one only.
pub(super) fn missed(call: &Call) -> Option<i64> {
    let refused = call.outcome == Outcome::Refused(Refusal::LeaseNotFound);
    let mut leases = call.request.leases();
    let first = leases.next().filter(|_| refused)?;
    leases.all(|other| other == first).then_some(first)
}
