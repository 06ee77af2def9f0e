//! A history made ready for the search: what must be taken when, and what may be.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Seen, Sightings};
use crate::chaos::history::{
    Body, Call, DeleteRange, History, Moment, Operation, Outcome, Put, Range, RangeBody, Refusal, Request,
    Start, Text,
};

/// Something that must be taken at one moment of its interval.
pub(super) struct Op<'h> {
    /// Not before this.
    pub(super) invoked: Moment,
    /// Not after this.
    pub(super) returned: Moment,
    /// What it is.
    pub(super) what: What<'h>,
}

/// What must be taken.
#[derive(Clone, Copy)]
pub(super) enum What<'h> {
    /// A call that was answered or refused.
    Call(&'h Call),
    /// Nothing but the knowledge that the store had come to this revision.
    Reached(i64),
    /// Nothing but the knowledge that the store stood at exactly this revision, from the answer to a compaction.
    Stood(i64),
}

/// What was answered with one revision in the header.
#[derive(Default)]
pub(super) struct Pinned {
    /// The call that made the revision, if its answer says so.
    pub(super) owner: Option<usize>,
    /// Calls that changed nothing, by invocation.
    pub(super) still: Vec<usize>,
    /// Grants and revocations: a revocation made the revision, or found no keys at it.
    pub(super) leases: Vec<usize>,
}

impl Pinned {
    pub(super) fn len(&self) -> usize {
        usize::from(self.owner.is_some()) + self.still.len() + self.leases.len()
    }

    /// Whether this is one of `still`, which are sorted by number.
    pub(super) fn is_still(&self, op: usize) -> bool {
        self.still.binary_search(&op).is_ok()
    }
}

/// Whether the answer to a call is bound to no revision.
pub(super) fn is_free(call: &Call) -> bool {
    matches!(call.request, Request::Compact { .. }) || matches!(call.outcome, Outcome::Refused(_))
}

/// Calls without an answer that ask for the same. They are alike but for the moment of their invocation, so they
/// are used in that order.
pub(super) struct Class<'h> {
    /// What they ask for.
    pub(super) request: &'h Request,
    /// The calls, by invocation.
    pub(super) calls: Vec<&'h Call>,
}

/// Two things that cannot both be.
#[derive(Debug)]
pub(super) struct Contradiction {
    /// The calls.
    pub(super) calls: Vec<Call>,
    /// Why.
    pub(super) why: String,
}

/// A history made ready.
pub(super) struct Prepared<'h> {
    /// The store at the beginning.
    pub(super) start: &'h Start,
    /// What must be taken.
    pub(super) ops: Vec<Op<'h>>,
    /// All of it by the moment of return.
    pub(super) by_return: Vec<usize>,
    /// The place of each in `by_return`.
    pub(super) place: Vec<usize>,
    /// What is bound to a revision.
    pub(super) at: HashMap<i64, Pinned>,
    /// Revisions that must be reached, in their order.
    pub(super) reached: Vec<usize>,
    /// Refusals and compactions, whose answers tell no revision, by invocation.
    pub(super) free: Vec<usize>,
    /// What may be taken.
    pub(super) classes: Vec<Class<'h>>,
    /// The classes that may change a key.
    pub(super) writers: HashMap<&'h Text, Vec<usize>>,
    /// The classes that make or end a lease.
    pub(super) of_lease: HashMap<i64, Vec<usize>>,
    /// The other classes that may change keys which they do not name, or take no revision.
    pub(super) others: Vec<usize>,
    /// Leases for which the order of what is done to them may matter.
    pub(super) contested: HashSet<i64>,
    /// Compactions that something else may have to come before, though it was not answered before them.
    pub(super) contested_compactions: HashSet<usize>,
    /// What watches saw.
    pub(super) events: &'h BTreeMap<i64, Seen>,
    /// Reads that tell what was there at a revision, whenever they were made.
    pub(super) shown: HashMap<i64, Vec<(&'h Range, &'h RangeBody)>>,
}

impl<'h> Prepared<'h> {
    pub(super) fn new(history: &'h History, sightings: &'h Sightings) -> Result<Self, Contradiction> {
        let mut calls: Vec<_> = history.calls.iter().filter(|call| matters(call)).collect();
        calls.sort_by_key(|call| call.invoked);
        let mut prepared = Self {
            start: &history.start,
            ops: Vec::new(),
            by_return: Vec::new(),
            place: Vec::new(),
            at: HashMap::new(),
            reached: Vec::new(),
            free: Vec::new(),
            classes: Vec::new(),
            writers: HashMap::new(),
            of_lease: HashMap::new(),
            others: Vec::new(),
            contested: contested(&calls),
            contested_compactions: HashSet::new(),
            events: &sightings.events,
            shown: match sightings.reads {
                true => shown(history),
                false => HashMap::new(),
            },
        };
        calls.iter().try_for_each(|call| prepared.add(call))?;
        prepared.tighten(&sightings.seen, calls.len())?;
        prepared.sort();
        prepared.contested_compactions = contested_compactions(&prepared.ops);
        prepared.classify(&calls);
        Ok(prepared)
    }

    /// Adds a call that was answered or refused, after all that were invoked before it.
    fn add(&mut self, call: &'h Call) -> Result<(), Contradiction> {
        let op = self.ops.len();
        match &call.outcome {
            Outcome::Unknown(_) => return Ok(()),
            Outcome::Refused(_) => self.free.push(op),
            Outcome::Answered(answer) if matches!(call.request, Request::Compact { .. }) => {
                self.free.push(op);
                self.push(call.invoked, call.returned, What::Call(call));
                self.at
                    .entry(answer.revision)
                    .or_default()
                    .still
                    .push(self.ops.len());
                self.push(call.invoked, call.returned, What::Stood(answer.revision));
                return Ok(());
            }
            Outcome::Answered(answer) => {
                let pinned = self.at.entry(answer.revision).or_default();
                match &call.request {
                    Request::LeaseGrant { .. } | Request::LeaseRevoke { .. } => pinned.leases.push(op),
                    _ if !answer.body.tells_change() => pinned.still.push(op),
                    _ => {
                        if let Some(other) = pinned.owner.replace(op) {
                            return Err(self.both_made(answer.revision, other, call));
                        }
                    }
                }
            }
        }
        self.push(call.invoked, call.returned, What::Call(call));
        Ok(())
    }

    fn push(&mut self, invoked: Moment, returned: Moment, what: What<'h>) {
        self.ops.push(Op {
            invoked,
            returned,
            what,
        });
    }

    fn both_made(&self, revision: i64, other: usize, call: &Call) -> Contradiction {
        let other = match self.ops[other].what {
            What::Call(other) => Some(other.clone()),
            What::Reached(_) | What::Stood(_) => None,
        };
        Contradiction {
            calls: other.into_iter().chain([call.clone()]).collect(),
            why: format!("two calls were answered that they made revision {revision}"),
        }
    }

    /// A revision was made before it was first seen, and before any later one was.
    fn tighten(&mut self, seen: &BTreeMap<i64, Moment>, calls: usize) -> Result<(), Contradiction> {
        let Some((&last, &moment)) = seen.last_key_value() else {
            return Ok(());
        };
        let (first, most) = (self.start.revision, i64::try_from(calls).unwrap_or(i64::MAX));
        if last.saturating_sub(first) > most {
            return Err(Contradiction {
                calls: Vec::new(),
                why: format!("revision {last} was seen at {moment} ns, and there are only {calls} calls"),
            });
        }
        let mut earliest = Moment::MAX;
        for revision in (first + 1..=last).rev() {
            earliest = seen
                .get(&revision)
                .map_or(earliest, |moment| earliest.min(*moment));
            self.bound(revision, earliest)?;
        }
        Ok(())
    }

    fn bound(&mut self, revision: i64, seen: Moment) -> Result<(), Contradiction> {
        let Some(owner) = self.at.get(&revision).and_then(|pinned| pinned.owner) else {
            self.reached.push(self.ops.len());
            self.push(0, seen, What::Reached(revision));
            return Ok(());
        };
        let op = &mut self.ops[owner];
        op.returned = op.returned.min(seen);
        match op.what {
            What::Call(call) if seen < call.invoked => Err(Contradiction {
                calls: vec![call.clone()],
                why: format!(
                    "revision {revision} was seen at {seen} ns, before the call that made it was invoked"
                ),
            }),
            _ => Ok(()),
        }
    }

    fn sort(&mut self) {
        self.reached.reverse();
        self.by_return = (0..self.ops.len()).collect();
        self.by_return.sort_by_key(|op| self.ops[*op].returned);
        self.place = vec![0; self.ops.len()];
        for (place, op) in self.by_return.iter().enumerate() {
            self.place[*op] = place;
        }
    }

    /// Groups the calls without an answer, which are sorted by invocation.
    fn classify(&mut self, calls: &[&'h Call]) {
        let mut known = HashMap::new();
        let open = |call: &&&'h Call| matches!(call.outcome, Outcome::Unknown(_));
        for call in calls.iter().filter(open) {
            let class = *known.entry(&call.request).or_insert_with(|| {
                self.classes.push(Class {
                    request: &call.request,
                    calls: Vec::new(),
                });
                self.classes.len() - 1
            });
            self.classes[class].calls.push(call);
        }
        for class in 0..self.classes.len() {
            let request = self.classes[class].request;
            if let Request::LeaseGrant { id, .. } | Request::LeaseRevoke { id } = request {
                self.of_lease.entry(*id).or_default().push(class);
                continue;
            }
            match named_keys(request) {
                Some(keys) => keys
                    .into_iter()
                    .for_each(|key| self.writers.entry(key).or_default().push(class)),
                None => self.others.push(class),
            }
        }
    }
}

/// Whether a call tells anything about the order of calls.
fn matters(call: &Call) -> bool {
    call.request.is_linearizable()
        && match &call.outcome {
            Outcome::Answered(_) => true,
            Outcome::Unknown(_) => call.request.is_write(),
            Outcome::Refused(Refusal::NoSpace | Refusal::TooManyRequests | Refusal::Other(_)) => false,
            Outcome::Refused(_) => true,
        }
}

/// What reads that may be answered late show of a revision: serializable ones, and those of old revisions.
fn shown(history: &History) -> HashMap<i64, Vec<(&Range, &RangeBody)>> {
    let mut shown: HashMap<i64, Vec<_>> = HashMap::new();
    for call in &history.calls {
        if let (Request::Range(range), Outcome::Answered(answer)) = (&call.request, &call.outcome)
            && let Body::Range(found) = &answer.body
            && (range.serializable || range.revision > 0)
        {
            let revision = match range.revision {
                ..=0 => answer.revision,
                revision => revision,
            };
            shown.entry(revision).or_default().push((range, found));
        }
    }
    shown
}

/// The keys that a request may change, if it names each.
fn named_keys(request: &Request) -> Option<Vec<&Text>> {
    let of_delete = |delete: &'_ DeleteRange| delete.range_end.is_empty();
    match request {
        Request::Put(Put { key, .. }) => Some(vec![key]),
        Request::DeleteRange(delete) => of_delete(delete).then(|| vec![&delete.key]),
        Request::Txn(txn) => {
            let mut keys = Vec::new();
            for operation in txn.success.iter().chain(&txn.failure) {
                match operation {
                    Operation::Range(_) => {}
                    Operation::Put(put) => keys.push(&put.key),
                    Operation::DeleteRange(delete) if of_delete(delete) => keys.push(&delete.key),
                    Operation::DeleteRange(_) => return None,
                }
            }
            keys.sort();
            keys.dedup();
            Some(keys)
        }
        Request::Range(_)
        | Request::LeaseGrant { .. }
        | Request::LeaseRevoke { .. }
        | Request::Compact { .. } => None,
    }
}

/// Compactions that overlap in time with an answer that needs less to be compacted: a smaller compaction, or a read
/// of a revision that this one makes unreadable.
fn contested_compactions(ops: &[Op]) -> HashSet<usize> {
    let needs: Vec<_> = ops.iter().enumerate().filter_map(needs_uncompacted).collect();
    let longest = needs.iter().map(|(_, op, _)| op.returned - op.invoked).max();
    let contested = |(number, op, revision): &(usize, &Op, i64)| {
        let end = needs.partition_point(|(_, other, _)| other.invoked <= op.returned);
        let earliest = op.invoked.saturating_sub(longest.unwrap_or(0));
        let near = needs[..end].iter().rev();
        near.take_while(|(_, other, _)| other.invoked >= earliest)
            .any(|(other, _, needed)| other != number && needed <= revision)
    };
    let compactions = needs.iter().filter(
        |(_, op, _)| matches!(op.what, What::Call(call) if matches!(call.request, Request::Compact { .. })),
    );
    compactions
        .filter(|compaction| contested(compaction))
        .map(|(number, ..)| *number)
        .collect()
}

/// An answered compaction or read of an old revision, and the revision. Ops are sorted by invocation up to those that
/// are no calls.
fn needs_uncompacted<'o, 'h>((number, op): (usize, &'o Op<'h>)) -> Option<(usize, &'o Op<'h>, i64)> {
    let What::Call(Call {
        request,
        outcome: Outcome::Answered(_),
        ..
    }) = op.what
    else {
        return None;
    };
    match request {
        Request::Compact { revision } => Some((number, op, *revision)),
        Request::Range(range) if range.revision > 0 => Some((number, op, range.revision)),
        _ => None,
    }
}

/// Leases that were refused as absent or as there, or that were made or ended more than once.
fn contested(calls: &[&Call]) -> HashSet<i64> {
    let (mut made_or_ended, mut contested) = (HashSet::new(), HashSet::new());
    for call in calls {
        let twice = match call.request {
            Request::LeaseGrant { id, .. } => !made_or_ended.insert((id, true)),
            Request::LeaseRevoke { id } => !made_or_ended.insert((id, false)),
            _ => false,
        };
        let refused = matches!(
            call.outcome,
            Outcome::Refused(Refusal::LeaseNotFound | Refusal::LeaseExists)
        );
        if twice || refused {
            contested.extend(call.request.leases());
        }
    }
    contested
}
