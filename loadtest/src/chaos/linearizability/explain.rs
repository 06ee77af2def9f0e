//! Why a history has no order: the call that does not fit, and the shortest piece of the history that shows it.

use std::collections::BTreeMap;
use std::fmt;

use super::Sightings;
use super::prepare::{Contradiction, Prepared, What};
use super::search::{Choice, End, Search, Stuck};
use crate::chaos::history::{Call, Event, History, Moment, Outcome, Start};
use crate::chaos::model::State;

/// Steps before the dead end that a window begins with, in the order in which they are tried.
const WINDOWS: [usize; 5] = [0, 8, 64, 512, usize::MAX];
/// How many times what there is may be taken before a piece of a history counts as one that does not fail.
const PATIENCE: usize = 20;
/// Calls that are shown.
const MOST_SHOWN: usize = 12;

/// Why a history has no order.
#[derive(Debug)]
pub struct Explanation {
    /// In words.
    pub why: String,
    /// The calls that do not fit together, the worst one first.
    pub calls: Vec<Call>,
    /// A piece of the history that fails by itself, with the store it begins with; what watches saw is not in it.
    pub window: Option<History>,
}

impl From<Contradiction> for Explanation {
    fn from(contradiction: Contradiction) -> Self {
        let window = History {
            calls: contradiction.calls.clone(),
            ..History::default()
        };
        Self {
            why: contradiction.why,
            calls: contradiction.calls,
            window: Some(window),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.why)?;
        for call in self.calls.iter().take(MOST_SHOWN) {
            writeln!(out, "    {call}")?;
        }
        match self.calls.len() {
            ..=MOST_SHOWN => Ok(()),
            more => writeln!(out, "    and {} more", more - MOST_SHOWN),
        }
    }
}

/// Explains a failure by the shortest beginning of the history that fails.
pub(super) fn explain(history: &History, sightings: &Sightings) -> Explanation {
    let (calls, sightings) = shortest(history, sightings);
    let history = History {
        start: history.start.clone(),
        calls,
        ..History::default()
    };
    let prepared = match Prepared::new(&history, &sightings) {
        Ok(prepared) => prepared,
        Err(contradiction) => return contradiction.into(),
    };
    let End::None(stuck) = Search::new(&prepared).run() else {
        unreachable!("the shortest beginning that fails was found by failing")
    };
    let (why, calls) = Scene {
        prepared: &prepared,
        stuck: &stuck,
    }
    .describe();
    Explanation {
        why,
        calls,
        window: window(&prepared, &stuck),
    }
}

/// The shortest beginning that fails, found by halving: what is cut off can only make a history easier.
fn shortest(history: &History, sightings: &Sightings) -> (Vec<Call>, Sightings) {
    let mut moments: Vec<_> = history.calls.iter().map(|call| call.returned).collect();
    moments.sort_unstable();
    let fails = |moment: Moment| {
        let (calls, sightings) = cut(history, sightings, moment);
        let history = History {
            start: history.start.clone(),
            calls,
            ..History::default()
        };
        fails(&history, &sightings)
    };
    let first = moments.partition_point(|moment| !fails(*moment));
    let moment = moments.get(first).copied().unwrap_or(Moment::MAX);
    cut(history, sightings, moment)
}

fn fails(history: &History, sightings: &Sightings) -> bool {
    match Prepared::new(history, sightings) {
        Ok(prepared) => {
            let most = (prepared.ops.len() + prepared.classes.len()) * PATIENCE;
            matches!(Search::new(&prepared).with_patience(most).run(), End::None(_))
        }
        Err(_) => true,
    }
}

/// What was known at a moment.
fn cut(history: &History, sightings: &Sightings, moment: Moment) -> (Vec<Call>, Sightings) {
    let begun = history.calls.iter().filter(|call| call.invoked <= moment);
    let known = |call: &Call| {
        let mut call = call.clone();
        if call.returned > moment {
            call.outcome = Outcome::Unknown("not answered yet".to_owned());
        }
        call
    };
    let seen = sightings.seen.iter().filter(|(_, seen)| **seen <= moment);
    let seen: BTreeMap<_, _> = seen.map(|(revision, moment)| (*revision, *moment)).collect();
    let events = sightings
        .events
        .iter()
        .filter(|(revision, _)| seen.contains_key(revision));
    let events = events.map(|(revision, seen)| (*revision, seen.clone())).collect();
    let sightings = Sightings {
        events,
        seen,
        reads: sightings.reads,
    };
    (begun.map(known).collect(), sightings)
}

/// The end of a beginning, from a state on: as short as still fails by itself.
fn window(prepared: &Prepared, stuck: &Stuck) -> Option<History> {
    WINDOWS.into_iter().find_map(|steps| {
        let kept = stuck.steps.len().saturating_sub(steps);
        let window = window_after(prepared, &stuck.steps[..kept]);
        // Watches are not in the window, so it must fail without what they saw.
        fails(&window, &Sightings::of_calls(&window)).then_some(window)
    })
}

/// The store after some steps, and the calls that are not among them.
fn window_after(prepared: &Prepared, steps: &[Choice]) -> History {
    let mut state = State::from(prepared.start);
    let (mut done, mut used) = (vec![false; prepared.ops.len()], vec![0; prepared.classes.len()]);
    for step in steps {
        match *step {
            Choice::Op(op) => {
                done[op] = true;
                if let What::Call(call) = prepared.ops[op].what {
                    state.apply(&call.request);
                }
            }
            Choice::Class(class) => {
                used[class] += 1;
                state.apply(prepared.classes[class].request);
            }
        }
    }
    let answered = prepared.ops.iter().zip(&done).filter(|(_, done)| !**done);
    let answered = answered.filter_map(|(op, _)| match op.what {
        What::Call(call) => Some(call),
        What::Reached(_) | What::Stood(_) => None,
    });
    let classes = prepared.classes.iter().zip(used);
    let open = classes
        .filter(|(class, _)| state.may_yet_change(class.request))
        .flat_map(|(class, used)| class.calls[used..].iter().copied());
    History {
        start: Start::from(&state),
        calls: answered.chain(open).cloned().collect(),
        ..History::default()
    }
}

/// The dead end.
struct Scene<'s> {
    prepared: &'s Prepared<'s>,
    stuck: &'s Stuck,
}

impl Scene<'_> {
    fn describe(&self) -> (String, Vec<Call>) {
        let revision = self.stuck.state.revision();
        if let Some(call) = self.stuck.misfit.and_then(|op| self.call(op)) {
            let reply = self.stuck.state.clone().apply(&call.request).0;
            let why =
                format!("the first call is wrong: at revision {revision} it should have been {reply:?}");
            return (why, vec![call]);
        }
        let next = self.next();
        let late = self.left_at(revision);
        if let Some(late) = late.first().and_then(|op| self.call(*op)) {
            let why = format!(
                "the first call was answered at revision {revision}, and was invoked after the second one, which \
                 needs a later revision, had returned"
            );
            let next = next.and_then(|op| self.call(op));
            return (why, [late].into_iter().chain(next).collect());
        }
        match next {
            Some(op) => self.describe_next(op),
            None => ("there is no order".to_owned(), Vec::new()),
        }
    }

    /// What must come next by time cannot, and neither can anything else.
    fn describe_next(&self, op: usize) -> (String, Vec<Call>) {
        let next = self.stuck.state.revision() + 1;
        let seen = match self.prepared.events.get(&next) {
            Some(seen) => format!("; watches saw {}", describe(&seen.events)),
            None => String::new(),
        };
        let why = match self.prepared.ops[op].what {
            What::Call(call) => {
                let reply = self.stuck.state.clone().apply(&call.request).0;
                format!(
                    "nothing can have made revision {next}{seen}; the first call had returned before anything else \
                     was invoked, and should have been {reply:?}"
                )
            }
            What::Reached(revision) | What::Stood(revision) => {
                format!(
                    "revision {revision} was there at {} ns, and nothing can have made revision {next}{seen}",
                    self.prepared.ops[op].returned
                )
            }
        };
        let open = (0..self.prepared.ops.len()).filter(|other| !self.stuck.done[*other] && *other != op);
        let open = open.filter(|other| self.prepared.ops[*other].invoked <= self.prepared.ops[op].returned);
        let calls = [op]
            .into_iter()
            .chain(open)
            .filter_map(|op| self.call(op))
            .collect();
        (why, calls)
    }

    fn call(&self, op: usize) -> Option<Call> {
        match self.prepared.ops[op].what {
            What::Call(call) => Some(call.clone()),
            What::Reached(_) | What::Stood(_) => None,
        }
    }

    /// What must come next by time.
    fn next(&self) -> Option<usize> {
        let mut left = self.prepared.by_return.iter().copied();
        left.find(|op| !self.stuck.done[*op])
    }

    fn left_at(&self, revision: i64) -> Vec<usize> {
        let pinned = self.prepared.at.get(&revision);
        let all = pinned
            .into_iter()
            .flat_map(|pinned| pinned.still.iter().chain(&pinned.leases).chain(&pinned.owner));
        all.copied().filter(|op| !self.stuck.done[*op]).collect()
    }
}

fn describe(events: &[Event]) -> String {
    let words = events.iter().map(|event| {
        let kind = if event.delete { "delete" } else { "put" };
        format!("{kind} {:?}={:?}", event.pair.key, event.pair.value)
    });
    words.collect::<Vec<_>>().join(", ")
}
