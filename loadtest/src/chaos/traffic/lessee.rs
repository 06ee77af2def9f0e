//! Clients whose leases end: each holds one lease at a time, keeps it alive for a while, and then leaves it to its
//! fate. Some leases have keys, and a key may move to the next lease while the one before is still there.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::caller::Caller;
use super::{Phase, Run};
use crate::chaos::history::{Outcome, Put, Refusal, Request};

/// How many there are at most.
pub(super) const MOST: u32 = 3;
/// Seconds that are asked for; etcd makes at least two of them.
const TTL: std::ops::RangeInclusive<i64> = 1..=4;
/// How long a lease is kept alive, in milliseconds.
const HELD: std::ops::Range<u64> = 0..5000;
/// Keys that a lease may have.
const KEYS: u64 = 4;
/// The least mean time between two calls: enough keep-alives for any lease, and few calls.
const STEP: Duration = Duration::from_millis(100);
/// How long somebody looks for the moment at which a lease ends, at most.
const PATIENCE: Duration = Duration::from_secs(8);

/// One client.
pub(super) struct Lessee {
    run: Run,
    caller: Caller,
    client: u32,
    prefix: &'static str,
    pause: Duration,
    rng: Rng,
    values: u64,
}

impl Lessee {
    /// One that calls as `caller` does, under the number `client`.
    pub(super) fn new(run: &Run, client: u32, caller: Caller, prefix: &'static str, rng: Rng) -> Self {
        Self {
            run: run.clone(),
            caller,
            client,
            prefix,
            pause: STEP,
            rng,
            values: 0,
        }
    }

    /// The same, calling no more often than other clients do.
    pub(super) fn no_faster_than(self, pause: Duration) -> Self {
        Self {
            pause: pause.max(STEP),
            ..self
        }
    }

    /// Holds one lease after the other until traffic is over.
    pub(super) async fn live(mut self) {
        for number in 1.. {
            if !self.goes_on() {
                break;
            }
            let id = i64::from(self.client) * 1_000_000 + number;
            let ttl = self.rng.i64(TTL);
            let granted = self.call(Request::LeaseGrant { id, ttl }).await;
            if matches!(granted, Some(Outcome::Answered(_))) {
                self.hold(id).await;
                self.leave(id).await;
            }
            self.rest().await;
        }
        self.run.clients().fetch_sub(1, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        self.run.phase() == Phase::Traffic
    }

    /// Keeps a lease alive, and writes keys with it or does not.
    async fn hold(&mut self, id: i64) {
        let keys = self.rng.u64(0..=KEYS);
        let end = Instant::now() + Duration::from_millis(self.rng.u64(HELD));
        for key in 0..keys {
            self.put(id, key).await;
        }
        while self.goes_on() && Instant::now() < end {
            if keys > 0 && self.rng.u8(..4) == 0 {
                let key = self.rng.u64(..keys);
                self.put(id, key).await;
            } else if self.caller.renew(id).await == Some(0) {
                return;
            }
            self.rest().await;
        }
    }

    /// Nobody keeps it alive from here on. Some are revoked, which is soon over; for others somebody looks for the
    /// moment at which they end.
    async fn leave(&mut self, id: i64) {
        match self.rng.u8(..6) {
            0 => drop(self.call(Request::LeaseRevoke { id }).await),
            1 | 2 => self.look_for_its_end(id).await,
            _ => {}
        }
    }

    async fn look_for_its_end(&mut self, id: i64) {
        let end = Instant::now() + PATIENCE;
        while self.goes_on() && Instant::now() < end {
            let key = self.rng.u64(..KEYS);
            if self.put(id, key).await == Some(Outcome::Refused(Refusal::LeaseNotFound)) {
                return;
            }
            self.rest().await;
        }
    }

    async fn put(&mut self, lease: i64, key: u64) -> Option<Outcome> {
        self.values += 1;
        let put = Put {
            key: format!("{}leased-{}-{key}", self.prefix, self.client).into(),
            value: format!("c{}v{}", self.client, self.values).into(),
            lease,
            prev_kv: false,
        };
        self.call(Request::Put(put)).await
    }

    async fn call(&mut self, request: Request) -> Option<Outcome> {
        let outcome = self.caller.call(request).await;
        if let Some(Outcome::Answered(answer)) = &outcome {
            self.run.saw(answer.revision);
        }
        outcome
    }

    async fn rest(&mut self) {
        tokio::time::sleep(self.pause.mul_f64(self.rng.f64() * 2.0)).await;
    }
}
