//! Leases that end by themselves, and are kept alive for a while.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Bug, Cluster, Happening, SECOND};
use crate::chaos::history::{DeleteRange, Fate, Moment, Renewal, Request, Text};

/// The longest that anything takes.
const LONGEST: Moment = 20;
/// How long a lease that does not end is asked about: longer than any patience.
const FOREVER: Moment = 100 * SECOND;

/// Leases that end.
#[derive(Default)]
pub(super) struct Leases {
    /// The one that each client holds.
    pub(super) held: BTreeMap<u32, i64>,
    granted: i64,
    /// When each that was granted ends.
    due: BTreeMap<i64, Due>,
    /// One that ought to have ended.
    immortal: Option<i64>,
}

/// When a lease ends.
#[derive(Clone, Copy)]
struct Due {
    at: Moment,
    ttl: i64,
    /// The server has told so.
    told: bool,
}

impl Leases {
    /// When the last of them is over.
    pub(super) fn last_end(&self) -> Option<Moment> {
        self.due.values().map(|due| due.at + SECOND).max()
    }

    /// A new one for a client, not granted yet.
    pub(super) fn new_for(&mut self, client: u32) -> i64 {
        self.granted += 1;
        let lease = 1000 + self.granted;
        self.held.insert(client, lease);
        lease
    }
}

impl Cluster {
    /// What a grant that happened brings about.
    pub(super) fn granted(&mut self, request: &Request, now: Moment, told: bool) {
        let Request::LeaseGrant { id, ttl: ttl @ ..100 } = *request else {
            return;
        };
        self.due_at(id, now, ttl, told);
        self.expect_end(id);
        self.renew_later(id, now);
    }

    fn due_at(&mut self, lease: i64, now: Moment, ttl: i64, told: bool) {
        let at = now + u64::try_from(ttl).expect("positive") * SECOND;
        self.leases.due.insert(lease, Due { at, ttl, told });
    }

    fn expect_end(&mut self, lease: i64) {
        let late = self.rng.u64(1..SECOND);
        let at = self.leases.due[&lease].at + late;
        self.queue.push(Reverse((at, Happening::Due(lease))));
    }

    fn renew_later(&mut self, lease: i64, now: Moment) {
        let at = now + 2 * LONGEST + self.rng.u64(..SECOND);
        if self.rng.u8(..5) > 0 {
            self.queue.push(Reverse((at, Happening::Renewed(lease))));
        }
    }

    /// A keep-alive takes effect.
    pub(super) fn renewed(&mut self, lease: i64, now: Moment) {
        let told = self.rng.u8(..8) > 0;
        let known = self.state.has_lease(lease);
        let ttl = if known { self.leases.due[&lease].ttl } else { 0 };
        self.renewals.push(Renewal {
            client: 0,
            member: 0,
            lease,
            invoked: now - self.rng.u64(1..LONGEST),
            returned: now + self.rng.u64(1..LONGEST),
            ttl: told.then_some(ttl),
        });
        if known {
            self.due_at(lease, now, ttl, told);
            self.renew_later(lease, now);
        }
    }

    /// A lease was to end at this moment, when that was last decided.
    pub(super) fn due(&mut self, lease: i64, now: Moment) {
        let Due { at, told, .. } = self.leases.due[&lease];
        let keys = self.keys_of(lease);
        let revoke = Request::LeaseRevoke { id: lease };
        let is_early = now + 2 * LONGEST < at && !self.calls.iter().any(|call| call.request == revoke);
        let occasion = match self.bug {
            Some((_, from)) if self.calls.len() < from => None,
            Some((Bug::EarlyEnd, _)) => (is_early && told && !keys.is_empty()).then_some(Bug::EarlyEnd),
            Some((Bug::SplitEnd, _)) => (now >= at && keys.len() > 1).then_some(Bug::SplitEnd),
            Some((bug @ (Bug::NoEnd | Bug::EndWithoutKeys), _)) => {
                let first = self.leases.immortal.is_none();
                (now >= at && first && !keys.is_empty()).then_some(bug)
            }
            _ => None,
        };
        match occasion {
            Some(bug) => self.end_wrongly(bug, lease, &keys, now),
            None if now < at => self.expect_end(lease),
            None => self.end(lease, now),
        }
    }

    fn keys_of(&self, lease: i64) -> Vec<Text> {
        let pairs = self.state.found(&super::everything()).pairs;
        let own = pairs.into_iter().filter(|pair| pair.lease == lease);
        own.map(|pair| pair.key).collect()
    }

    fn end(&mut self, lease: i64, now: Moment) {
        if self.state.has_lease(lease) {
            self.together(0, &Request::LeaseRevoke { id: lease }, now);
        }
    }

    fn end_wrongly(&mut self, bug: Bug, lease: i64, keys: &[Text], now: Moment) {
        match bug {
            Bug::SplitEnd => {
                let delete = DeleteRange {
                    key: keys[0].clone(),
                    ..DeleteRange::default()
                };
                self.together(0, &Request::DeleteRange(delete), now);
                self.end(lease, now);
            }
            Bug::NoEnd | Bug::EndWithoutKeys => {
                self.leases.immortal = Some(lease);
                // Nobody touches it any more.
                self.leases.held.retain(|_, held| *held != lease);
                return;
            }
            _ => self.end(lease, now),
        }
        self.bug = None;
    }

    /// What became of all leases in the end, and whether a lease that was not to end is really still there, with keys.
    pub(super) fn fates(&mut self) -> Vec<Fate> {
        let asked = self.end_of_all();
        let immortal = self
            .leases
            .immortal
            .filter(|lease| !self.keys_of(*lease).is_empty());
        let bug = self.bug;
        if immortal.is_some() {
            self.bug = None;
        }
        let fate = |lease: &i64| {
            let is_there = Some(*lease) == immortal && bug.is_some_and(|(bug, _)| bug == Bug::NoEnd);
            Fate {
                lease: *lease,
                member: 0,
                asked,
                at: asked + if is_there { FOREVER } else { LONGEST },
                ttl: if is_there { 0 } else { -1 },
            }
        };
        self.leases.due.keys().map(fate).collect()
    }
}
