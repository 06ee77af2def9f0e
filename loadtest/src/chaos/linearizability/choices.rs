//! Which ways on there are, where more than one thing may be next.

use std::collections::HashSet;

use super::Seen;
use super::prepare::What;
use super::search::{Choice, Search};
use crate::chaos::history::{Event, Outcome, Refusal, Request};
use crate::chaos::model::{Change, Reply};

/// What calls that do not fit would need to be different.
#[derive(Default)]
struct Wanted {
    leases: HashSet<i64>,
    compaction: bool,
}

impl Search<'_> {
    /// All ways on from a settled state, the likeliest first.
    pub(super) fn choices(&mut self) -> Vec<Choice> {
        let mut wanted = Wanted::default();
        let revision = self.state.revision();
        let mut choices = self.leases_at(revision, &mut wanted);
        if let Some(Choice::Op(op)) = choices.first()
            && self.is_uncontested(*op)
        {
            choices.truncate(1);
            return choices;
        }
        let compactions = self.compactions(&mut wanted);
        if let Some(harmless) = compactions.iter().find(|choice| self.is_harmless(**choice)) {
            return vec![*harmless];
        }
        choices.extend(compactions);
        if self.left_at(revision) == 0 {
            choices.extend(self.next_revision(&mut wanted));
        }
        choices.extend(self.wanted_classes(&wanted));
        choices
    }

    /// Grants, and revocations of leases without keys, that were answered at this revision.
    fn leases_at(&mut self, revision: i64, wanted: &mut Wanted) -> Vec<Choice> {
        let Some(pinned) = self.prepared.at.get(&revision) else {
            return Vec::new();
        };
        let open = |op: &&usize| !self.done[**op] && self.may_be_next(**op);
        let open: Vec<_> = pinned.leases.iter().filter(open).copied().collect();
        open.into_iter()
            .filter(|op| self.fits_or_wants(*op, wanted))
            .map(Choice::Op)
            .collect()
    }

    /// Taking what is done to a lease that nothing else depends on is never a loss.
    fn is_uncontested(&self, op: usize) -> bool {
        match self.prepared.ops[op].what {
            What::Call(call) => call
                .request
                .leases()
                .all(|lease| !self.prepared.contested.contains(&lease)),
            What::Reached(_) | What::Stood(_) => false,
        }
    }

    /// Compactions that were answered. Refusals are looked at for what they want.
    fn compactions(&mut self, wanted: &mut Wanted) -> Vec<Choice> {
        let open = self.free_ops().into_iter();
        open.filter(|op| self.fits_or_wants(*op, wanted))
            .map(Choice::Op)
            .collect()
    }

    /// Taking a compaction that nothing need come before is never a loss.
    fn is_harmless(&self, choice: Choice) -> bool {
        matches!(choice, Choice::Op(op) if !self.prepared.contested_compactions.contains(&op))
    }

    /// Whatever can have made the next revision.
    fn next_revision(&mut self, wanted: &mut Wanted) -> Vec<Choice> {
        let next = self.state.revision() + 1;
        let pinned = self.prepared.at.get(&next);
        if let Some(owner) = pinned.and_then(|pinned| pinned.owner) {
            if !self.may_be_next(owner) {
                return Vec::new();
            }
            if !self.fits_or_wants(owner, wanted) {
                self.misfit = Some(owner);
                return Vec::new();
            }
            let confirmed = self.is_confirmed(owner);
            return confirmed.then_some(Choice::Op(owner)).into_iter().collect();
        }
        let mut choices = self.leases_at(next, wanted);
        choices.retain(|choice| matches!(choice, Choice::Op(op) if self.is_confirmed(*op)));
        choices.extend(self.unanswered_revision(next, wanted));
        choices
    }

    /// Where calls without an answer were used before, an answered call shows whether they were the right ones by
    /// what was seen of its revision.
    fn is_confirmed(&mut self, op: usize) -> bool {
        match self.prepared.ops[op].what {
            What::Call(call) if self.uses > 0 => {
                let next = self.state.revision() + 1;
                let (_, change) = self.state.apply(&call.request);
                let confirmed = self.is_as_seen(&change, self.prepared.events.get(&next));
                self.state.undo(change);
                confirmed
            }
            _ => true,
        }
    }

    /// Calls without an answer that would make the next revision as it was seen.
    fn unanswered_revision(&mut self, revision: i64, wanted: &mut Wanted) -> Vec<Choice> {
        let seen = self.prepared.events.get(&revision);
        let named = seen
            .and_then(|seen| seen.events.first())
            .map(|event| &event.pair.key);
        let classes: Vec<usize> = match named {
            Some(key) => {
                let writers = self.prepared.writers.get(key).into_iter().flatten();
                // Of all the leases that may have ended, only the one that had the key can have taken it.
                let lease = self.state.pair(key).map_or(0, |pair| pair.lease);
                let enders = self.prepared.of_lease.get(&lease).into_iter().flatten();
                let all = writers.chain(&self.prepared.others).chain(enders);
                all.copied().collect()
            }
            None => (0..self.prepared.classes.len()).collect(),
        };
        classes
            .into_iter()
            .filter(|class| self.makes(*class, seen, wanted))
            .map(Choice::Class)
            .collect()
    }

    /// Whether a class, used now, makes a revision as it was seen.
    fn makes(&mut self, class: usize, seen: Option<&Seen>, wanted: &mut Wanted) -> bool {
        if !self.is_left(class) {
            return false;
        }
        let request = self.prepared.classes[class].request;
        let (reply, change) = self.state.apply(request);
        if reply == Reply::Refused(Refusal::LeaseNotFound) {
            wanted.leases.extend(request.leases());
        }
        let makes = change.is_revision() && self.is_as_seen(&change, seen);
        self.state.undo(change);
        makes
    }

    /// Whether the newest change is what watches and reads saw of its revision.
    fn is_as_seen(&self, change: &Change, seen: Option<&Seen>) -> bool {
        seen.is_none_or(|seen| agrees(&self.state.events(change), seen)) && self.agrees_with_reads()
    }

    /// Whether reads of this revision found what is there.
    fn agrees_with_reads(&self) -> bool {
        let shown = self.prepared.shown.get(&self.state.revision());
        let mut shown = shown.into_iter().flatten();
        shown.all(|(range, found)| self.state.shows(range, found))
    }

    fn is_left(&self, class: usize) -> bool {
        let calls = &self.prepared.classes[class].calls;
        calls
            .get(self.used[class])
            .is_some_and(|call| call.invoked <= self.next_return())
    }

    fn fits_or_wants(&mut self, op: usize, wanted: &mut Wanted) -> bool {
        if self.fits(op) {
            return true;
        }
        if let What::Call(call) = self.prepared.ops[op].what {
            let (reply, change) = self.state.apply(&call.request);
            self.state.undo(change);
            if is_about_leases(&reply, &call.outcome) {
                wanted.leases.extend(call.request.leases());
            }
            wanted.compaction |= call.outcome == Outcome::Refused(Refusal::Compacted);
        }
        false
    }

    /// Calls without an answer that take no revision, where another call waits for what they do.
    fn wanted_classes(&mut self, wanted: &Wanted) -> Vec<Choice> {
        if wanted.leases.is_empty() && !wanted.compaction {
            return Vec::new();
        }
        let leases = wanted.leases.iter();
        let of_leases = leases
            .filter_map(|lease| self.prepared.of_lease.get(lease))
            .flatten();
        let is_compaction = |class: &&usize| {
            let request = self.prepared.classes[**class].request;
            wanted.compaction && matches!(request, Request::Compact { .. })
        };
        let compactions = self.prepared.others.iter().filter(is_compaction);
        let mut helpful: Vec<usize> = of_leases.chain(compactions).copied().collect();
        helpful.retain(|class| self.is_left(*class));
        // The order in which they are tried is always the same.
        helpful.sort_unstable();
        helpful
            .into_iter()
            .filter(|class| self.changes_quietly(*class))
            .map(Choice::Class)
            .collect()
    }

    fn changes_quietly(&mut self, class: usize) -> bool {
        let (reply, change) = self.state.apply(self.prepared.classes[class].request);
        let quietly = matches!(reply, Reply::Answered(_)) && !change.is_revision();
        self.state.undo(change);
        quietly
    }
}

/// Whether a lease that is there or not makes the difference.
fn is_about_leases(reply: &Reply, outcome: &Outcome) -> bool {
    let is_about = |refusal: &Refusal| matches!(refusal, Refusal::LeaseNotFound | Refusal::LeaseExists);
    matches!(reply, Reply::Refused(refusal) if is_about(refusal))
        || matches!(outcome, Outcome::Refused(refusal) if is_about(refusal))
}

/// Whether events are those that were seen, or at least contain them.
fn agrees(events: &[Event], seen: &Seen) -> bool {
    let alike = |ours: &Event, theirs: &Event| (ours.delete, &ours.pair) == (theirs.delete, &theirs.pair);
    let contained = seen
        .events
        .iter()
        .all(|theirs| events.iter().any(|ours| alike(ours, theirs)));
    let whole = || {
        let pairs = events.iter().zip(&seen.events);
        events.len() == seen.events.len() && pairs.into_iter().all(|(ours, theirs)| alike(ours, theirs))
    };
    if seen.complete { whole() } else { contained }
}
