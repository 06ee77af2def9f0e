//! Leases: granted, renewed, revoked. Time is an argument.

use super::Decider;
use crate::{Effect, Lease, LeaseGrant, LeaseGrantReply, LeaseId, Refusal, Reply};

/// The longest time to live that etcd grants, seconds.
const MAX_TTL: i64 = 9_000_000_000;

impl Decider<'_> {
    pub(super) fn lease_grant(&mut self, grant: LeaseGrant) -> Result<Reply, Refusal> {
        let id = if grant.id == LeaseId::NONE {
            grant.chosen
        } else {
            grant.id
        };
        if grant.ttl > MAX_TTL {
            return Err(Refusal::LeaseTtlTooLarge);
        }
        if self.view().lease(id).is_some() {
            return Err(Refusal::LeaseExists);
        }
        let ttl = grant.ttl.max(self.limits.min_lease_ttl);
        let deadline_ms = grant
            .now_ms
            .saturating_add(Lease::ttl_ms(ttl))
            .saturating_add(Lease::slack_ms(ttl));
        self.emit(Effect::LeaseGranted(Lease { id, ttl, deadline_ms }));
        Ok(Reply::LeaseGrant(LeaseGrantReply { id, ttl }))
    }

    pub(super) fn lease_renew(&mut self, id: LeaseId, deadline_ms: i64) -> Result<Reply, Refusal> {
        let lease = self.view().lease(id).ok_or(Refusal::LeaseNotFound)?;
        self.emit(Effect::LeaseRenewed(Lease { deadline_ms, ..lease }));
        Ok(Reply::Done)
    }

    /// All keys of the lease go in one revision, in key order; a lease without keys takes none.
    pub(super) fn lease_revoke(&mut self, id: LeaseId) -> Result<Reply, Refusal> {
        self.view().lease(id).ok_or(Refusal::LeaseNotFound)?;
        for key in self.view().lease_keys(id) {
            self.work.deletes += 1;
            self.emit_delete(key);
        }
        self.emit(Effect::LeaseRevoked(id));
        Ok(Reply::Done)
    }
}
