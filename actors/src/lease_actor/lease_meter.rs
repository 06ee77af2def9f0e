//! The lease actor's numbers, kept where anybody may read them without asking it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use serde::Serialize;

/// Counters of the lease actor.
#[derive(Debug, Default)]
pub(crate) struct LeaseMeter {
    granted: AtomicU64,
    renewed: AtomicU64,
    stored: AtomicU64,
    revoked: AtomicU64,
    expired: AtomicU64,
    failed: AtomicU64,
    active: AtomicUsize,
}

/// What leases look like.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LeaseReport {
    /// Leases granted since the start.
    pub granted: u64,
    /// Keep-alives answered with a new time to live since the start.
    pub renewed: u64,
    /// Renewals since the start that had to be stored.
    pub renewals_stored: u64,
    /// Leases gone since the start, by request or by expiry.
    pub revoked: u64,
    /// Leases that expired since the start.
    pub expired: u64,
    /// Revocations of expired leases that failed since the start, and were tried again.
    pub failed: u64,
    /// Leases there are.
    pub active: usize,
}

impl LeaseMeter {
    pub(super) fn granted(&self) {
        self.granted.fetch_add(1, Relaxed);
    }

    pub(super) fn renewed(&self, keep_alives: usize) {
        self.renewed.fetch_add(keep_alives as u64, Relaxed);
    }

    pub(super) fn stored(&self) {
        self.stored.fetch_add(1, Relaxed);
    }

    pub(super) fn revoked(&self) {
        self.revoked.fetch_add(1, Relaxed);
    }

    pub(super) fn expired(&self) {
        self.expired.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn active(&self, leases: usize) {
        self.active.store(leases, Relaxed);
    }

    /// The numbers of this moment.
    #[must_use]
    pub(crate) fn report(&self) -> LeaseReport {
        LeaseReport {
            granted: self.granted.load(Relaxed),
            renewed: self.renewed.load(Relaxed),
            renewals_stored: self.stored.load(Relaxed),
            revoked: self.revoked.load(Relaxed),
            expired: self.expired.load(Relaxed),
            failed: self.failed.load(Relaxed),
            active: self.active.load(Relaxed),
        }
    }
}
