//! The search itself: takes what it may, chooses where it must, and goes back where it is stuck.

use std::collections::HashMap;

use super::prepare::{Op, Prepared, What, is_free};
use super::visited::{Visited, wide_hash};
use super::{MOST_CONFIGURATIONS, MOST_STEPS};
use crate::chaos::history::{Moment, Outcome};
use crate::chaos::model::{Change, Reply, State};
use crate::chaos::replay::Replay;

/// How a search ended.
pub(super) enum End {
    /// With an order.
    Found(Replay),
    /// There is no order; this is how far one gets.
    None(Box<Stuck>),
    /// There were too many to try.
    Exhausted,
}

/// The furthest point that was reached.
#[derive(Debug)]
pub(super) struct Stuck {
    /// The store there.
    pub(super) state: State,
    /// Which of [`Prepared::ops`] were taken.
    pub(super) done: Vec<bool>,
    /// How many.
    pub(super) count: usize,
    /// What was taken, in order.
    pub(super) steps: Vec<Choice>,
    /// The op that does not fit, if it was one.
    pub(super) misfit: Option<usize>,
}

/// Something that may be taken next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// One of [`Prepared::ops`].
    Op(usize),
    /// The oldest call that is left of a class.
    Class(usize),
}

/// Something that was taken.
struct Step {
    choice: Choice,
    change: Option<Change>,
}

/// A point with several ways on.
struct Branch {
    steps: usize,
    choices: Vec<Choice>,
    next: usize,
}

/// A search under way.
pub(super) struct Search<'p> {
    pub(super) prepared: &'p Prepared<'p>,
    pub(super) state: State,
    pub(super) done: Vec<bool>,
    pub(super) used: Vec<usize>,
    /// How many calls without an answer were used.
    pub(super) uses: usize,
    done_hash: u128,
    /// What is left at each revision.
    left: HashMap<i64, usize>,
    /// How many of [`super::prepare::Pinned::still`] were taken at each revision.
    still: HashMap<i64, usize>,
    reached: usize,
    /// The first in [`Prepared::by_return`] that was not taken.
    frontier: usize,
    /// All of [`Prepared::free`] before this were taken.
    free: usize,
    count: usize,
    /// How many were ever taken.
    taken: usize,
    most: usize,
    steps: Vec<Step>,
    branches: Vec<Branch>,
    visited: Visited,
    stuck: Option<Box<Stuck>>,
    pub(super) misfit: Option<usize>,
}

impl<'p> Search<'p> {
    pub(super) fn new(prepared: &'p Prepared<'p>) -> Self {
        let left = prepared
            .at
            .iter()
            .map(|(revision, pinned)| (*revision, pinned.len()));
        Self {
            prepared,
            state: State::from(prepared.start),
            done: vec![false; prepared.ops.len()],
            used: vec![0; prepared.classes.len()],
            uses: 0,
            done_hash: 0,
            left: left.collect(),
            still: HashMap::new(),
            reached: 0,
            frontier: 0,
            free: 0,
            count: 0,
            taken: 0,
            most: MOST_STEPS,
            steps: Vec::new(),
            branches: Vec::new(),
            visited: Visited::default(),
            stuck: None,
            misfit: None,
        }
    }

    /// The same, giving up earlier.
    pub(super) fn with_patience(self, most: usize) -> Self {
        Self { most, ..self }
    }

    pub(super) fn run(mut self) -> End {
        loop {
            self.misfit = None;
            let settled = self.settle();
            if settled && self.count == self.prepared.ops.len() {
                return End::Found(self.replay());
            }
            let choices = if settled { self.choices() } else { Vec::new() };
            let goes_on = match choices[..] {
                [only] => {
                    self.take(only);
                    true
                }
                [] => {
                    self.note_stuck();
                    self.go_back()
                }
                _ => self.branch(choices),
            };
            if self.visited.len() > MOST_CONFIGURATIONS || self.taken > self.most {
                return End::Exhausted;
            }
            if !goes_on {
                let stuck = self.stuck.take();
                return End::None(stuck.expect("the first dead end is noted"));
            }
        }
    }

    /// Takes everything that can be taken at once without a loss; false if something cannot be taken any more.
    fn settle(&mut self) -> bool {
        loop {
            let before = self.count;
            self.settle_reached();
            if !self.settle_still() {
                return false;
            }
            self.settle_refusals();
            if self.count == before {
                return true;
            }
        }
    }

    fn settle_reached(&mut self) {
        while let Some(&op) = self.prepared.reached.get(self.reached) {
            match self.prepared.ops[op].what {
                What::Reached(revision) if revision <= self.state.revision() => self.take(Choice::Op(op)),
                _ => return,
            }
        }
    }

    /// Calls that changed nothing at this revision. As they are sorted by invocation, the first that may not be taken
    /// yet holds up the rest.
    fn settle_still(&mut self) -> bool {
        let revision = self.state.revision();
        let Some(pinned) = self.prepared.at.get(&revision) else {
            return true;
        };
        while let Some(&op) = pinned.still.get(self.still.get(&revision).copied().unwrap_or(0)) {
            if !self.may_be_next(op) {
                return true;
            }
            if !self.fits(op) {
                self.misfit = Some(op);
                return false;
            }
            self.take(Choice::Op(op));
        }
        true
    }

    fn settle_refusals(&mut self) {
        for op in self.free_ops() {
            let is_refusal = matches!(self.prepared.ops[op].what,
                What::Call(call) if matches!(call.outcome, Outcome::Refused(_)));
            if is_refusal && self.fits(op) {
                self.take(Choice::Op(op));
            }
        }
    }

    /// Refusals and compactions that may be taken now, fitting or not.
    pub(super) fn free_ops(&mut self) -> Vec<usize> {
        let free = &self.prepared.free;
        while free.get(self.free).is_some_and(|op| self.done[*op]) {
            self.free += 1;
        }
        let candidates = free[self.free..].iter().copied();
        let candidates = candidates.take_while(|op| self.prepared.ops[*op].invoked <= self.next_return());
        candidates.filter(|op| !self.done[*op]).collect()
    }

    /// The earliest return of what was not taken.
    pub(super) fn next_return(&self) -> Moment {
        let next = self.prepared.by_return.get(self.frontier);
        next.map_or(Moment::MAX, |op| self.prepared.ops[*op].returned)
    }

    /// Whether nothing that was not taken had returned before this was invoked.
    pub(super) fn may_be_next(&self, op: usize) -> bool {
        self.prepared.ops[op].invoked <= self.next_return()
    }

    /// How many bound to a revision are left.
    pub(super) fn left_at(&self, revision: i64) -> usize {
        self.left.get(&revision).copied().unwrap_or(0)
    }

    /// Whether the model, asked now, says what the server said. The state is as before.
    pub(super) fn fits(&mut self, op: usize) -> bool {
        match self.prepared.ops[op].what {
            What::Reached(revision) => revision <= self.state.revision(),
            What::Stood(revision) => revision == self.state.revision(),
            What::Call(call) => {
                let (reply, change) = self.state.apply(&call.request);
                self.state.undo(change);
                reply.allows(&call.request, &call.outcome) && self.is_timely(&reply, &call.outcome)
            }
        }
    }

    /// A compaction's answer tells a revision that the store had at the compaction or later.
    fn is_timely(&self, reply: &Reply, outcome: &Outcome) -> bool {
        match (reply, outcome) {
            (Reply::Answered(ours), Outcome::Answered(theirs)) => ours.revision <= theirs.revision,
            _ => true,
        }
    }

    /// Takes something; what it changes can be taken back.
    pub(super) fn take(&mut self, choice: Choice) {
        let change = match choice {
            Choice::Op(op) => {
                self.mark(op);
                match self.prepared.ops[op].what {
                    What::Call(call) => Some(self.state.apply(&call.request).1),
                    What::Reached(_) | What::Stood(_) => None,
                }
            }
            Choice::Class(class) => {
                self.used[class] += 1;
                self.uses += 1;
                Some(self.state.apply(self.prepared.classes[class].request).1)
            }
        };
        self.taken += 1;
        self.steps.push(Step { choice, change });
    }

    fn mark(&mut self, op: usize) {
        self.done[op] = true;
        self.done_hash ^= wide_hash(&op);
        self.count += 1;
        let by_return = &self.prepared.by_return;
        while by_return.get(self.frontier).is_some_and(|op| self.done[*op]) {
            self.frontier += 1;
        }
        self.count_at(op, |left| left - 1, |still| still + 1);
    }

    fn unmark(&mut self, op: usize) {
        self.done[op] = false;
        self.done_hash ^= wide_hash(&op);
        self.count -= 1;
        self.frontier = self.frontier.min(self.prepared.place[op]);
        if let Ok(place) = self.prepared.free.binary_search(&op) {
            self.free = self.free.min(place);
        }
        self.count_at(op, |left| left + 1, |still| still - 1);
    }

    fn count_at(&mut self, op: usize, left: fn(usize) -> usize, still: fn(usize) -> usize) {
        let Op { what, .. } = &self.prepared.ops[op];
        let revision = match what {
            What::Reached(_) => {
                self.reached = still(self.reached);
                return;
            }
            What::Stood(revision) => *revision,
            What::Call(call) => match (&call.outcome, is_free(call)) {
                (Outcome::Answered(answer), false) => answer.revision,
                _ => return,
            },
        };
        let count = self.left.entry(revision).or_default();
        *count = left(*count);
        if self.prepared.at[&revision].is_still(op) {
            let count = self.still.entry(revision).or_default();
            *count = still(*count);
        }
    }

    /// Remembers the furthest dead end.
    fn note_stuck(&mut self) {
        if self.stuck.as_ref().is_some_and(|stuck| stuck.count >= self.count) {
            return;
        }
        self.stuck = Some(Box::new(Stuck {
            state: self.state.clone(),
            done: self.done.clone(),
            count: self.count,
            steps: self.steps.iter().map(|step| step.choice).collect(),
            misfit: self.misfit,
        }));
    }

    /// Begins the first of several ways on, unless they were tried from here before.
    fn branch(&mut self, choices: Vec<Choice>) -> bool {
        if !self.visited.enter(self.configuration()) {
            return self.go_back();
        }
        self.branches.push(Branch {
            steps: self.steps.len(),
            choices,
            next: 0,
        });
        self.go_back()
    }

    /// Begins the next way on at the newest branch that has one left.
    fn go_back(&mut self) -> bool {
        while let Some(branch) = self.branches.last_mut() {
            let steps = branch.steps;
            let choice = branch.choices.get(branch.next).copied();
            branch.next += 1;
            self.undo_to(steps);
            match choice {
                Some(choice) => {
                    self.take(choice);
                    return true;
                }
                None => drop(self.branches.pop()),
            }
        }
        false
    }

    fn undo_to(&mut self, steps: usize) {
        for step in self.steps.drain(steps..).rev().collect::<Vec<_>>() {
            if let Some(change) = step.change {
                self.state.undo(change);
            }
            match step.choice {
                Choice::Op(op) => self.unmark(op),
                Choice::Class(class) => {
                    self.used[class] -= 1;
                    self.uses -= 1;
                }
            }
        }
    }

    /// Hash of all that the rest of the search depends on. Calls without an answer that can change nothing any
    /// more are left out.
    fn configuration(&self) -> u128 {
        let classes = self.prepared.classes.iter().zip(&self.used).enumerate();
        let alive = classes.filter(|(_, (class, used))| {
            **used < class.calls.len() && self.state.may_yet_change(class.request)
        });
        let left: Vec<_> = alive.map(|(number, (_, used))| (number, *used)).collect();
        self.done_hash ^ wide_hash(&(&self.state, left))
    }

    /// The order that was found, as revisions and their events.
    fn replay(&self) -> Replay {
        let mut replay = Replay::new(self.prepared.start);
        let mut state = State::from(self.prepared.start);
        for step in &self.steps {
            let request = match step.choice {
                Choice::Class(class) => self.prepared.classes[class].request,
                Choice::Op(op) => match self.prepared.ops[op].what {
                    What::Call(call) => &call.request,
                    What::Reached(_) | What::Stood(_) => continue,
                },
            };
            let (_, change) = state.apply(request);
            if change.is_revision() {
                replay.push(state.events(&change));
            }
        }
        replay
    }
}
