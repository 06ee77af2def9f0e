//! The door of the pipeline: a bound on how much may be under way, by count and by bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::errors::RequestError;

/// Admits work while there is room, and refuses it at once by name when there is none.
///
/// A [`Permit`] travels with the request and is given back with the reply, so the gate bounds the
/// whole pipeline and not one mailbox.
#[derive(Debug)]
pub struct Gate {
    capacity: u64,
    capacity_bytes: u64,
    in_flight: AtomicU64,
    in_flight_bytes: AtomicU64,
    admitted: AtomicU64,
    refused: AtomicU64,
}

/// Room in the pipeline for one request; dropping it gives the room back.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    bytes: u64,
}

/// What a gate shows of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GateReport {
    /// Requests that may be under way at once.
    pub capacity: u64,
    /// Bytes that may be under way at once.
    pub capacity_bytes: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Bytes under way.
    pub in_flight_bytes: u64,
    /// Requests let in since the start.
    pub admitted: u64,
    /// Requests refused since the start.
    pub refused: u64,
}

impl Gate {
    /// A gate with room for this many requests and bytes.
    #[must_use]
    pub fn new(capacity: u64, capacity_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            capacity_bytes,
            in_flight: AtomicU64::new(0),
            in_flight_bytes: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Lets a request of this size in, or refuses it.
    ///
    /// # Errors
    /// [`RequestError::Overloaded`] when either bound would be passed. One request alone always fits.
    pub fn admit(self: &Arc<Self>, bytes: u64) -> Result<Permit, RequestError> {
        let count = self.in_flight.fetch_add(1, Relaxed) + 1;
        let total = self.in_flight_bytes.fetch_add(bytes, Relaxed) + bytes;
        let permit = Permit {
            gate: Arc::clone(self),
            bytes,
        };
        if count > 1 && (count > self.capacity || total > self.capacity_bytes) {
            self.refused.fetch_add(1, Relaxed);
            return Err(RequestError::Overloaded);
        }
        self.admitted.fetch_add(1, Relaxed);
        Ok(permit)
    }

    /// A permit beyond the bounds, for what the server itself must do (expiry, compaction).
    pub fn admit_own(self: &Arc<Self>) -> Permit {
        self.in_flight.fetch_add(1, Relaxed);
        Permit {
            gate: Arc::clone(self),
            bytes: 0,
        }
    }

    /// Whether anything is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    /// What the gate shows at this moment.
    #[must_use]
    pub fn report(&self) -> GateReport {
        GateReport {
            capacity: self.capacity,
            capacity_bytes: self.capacity_bytes,
            in_flight: self.in_flight.load(Relaxed),
            in_flight_bytes: self.in_flight_bytes.load(Relaxed),
            admitted: self.admitted.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.in_flight.fetch_sub(1, Relaxed);
        self.gate.in_flight_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_by_count_and_by_bytes_and_opens_again() {
        let gate = Gate::new(2, 100);
        let first = gate.admit(60).expect("room");
        assert_eq!(gate.admit(60).unwrap_err(), RequestError::Overloaded);
        let second = gate.admit(40).expect("exactly full");
        assert_eq!(gate.admit(0).unwrap_err(), RequestError::Overloaded);
        drop((first, second));
        let report = gate.report();
        assert_eq!(
            (report.in_flight, report.in_flight_bytes, report.refused),
            (0, 0, 2)
        );
        assert!(gate.admit(1000).is_ok(), "a large request alone must not starve");
    }
}
