//! What a watch reports against what was written: Resumable, Reliable, Bookmarkable, PrevKV, IsCreate, and that
//! it ends only for a reason.

use super::view::View;
use crate::chaos::history::{Event, History, Moment, Outcome, Request, Watched};
use crate::chaos::replay::Replay;
use crate::chaos::report::{Guarantee, Violation};

/// The compactions that may have happened, each with the moment from which on it may.
pub(super) struct Compactions(Vec<(Moment, i64)>);

impl Compactions {
    pub(super) fn of(history: &History) -> Self {
        let compactions = history.calls.iter().filter_map(|call| match call.request {
            Request::Compact { revision } if !matches!(call.outcome, Outcome::Refused(_)) => {
                Some((call.invoked, revision))
            }
            _ => None,
        });
        Self(compactions.chain([(0, history.start.compact_revision)]).collect())
    }

    /// Whether one at a revision or later may have happened before a moment.
    fn reached(&self, revision: i64, before: Moment) -> bool {
        self.0
            .iter()
            .any(|(invoked, compacted)| *compacted >= revision && *invoked < before)
    }

    fn is_one(&self, revision: i64, before: Moment) -> bool {
        self.0
            .iter()
            .any(|(invoked, compacted)| *compacted == revision && *invoked < before)
    }
}

/// Goes through what came and what should have come, side by side. Stops at the first difference: what follows
/// would be its echo.
pub(super) fn check(view: &View, replay: &Replay, compactions: &Compactions) -> Option<Violation> {
    let first = view.first_revision()?;
    let all = replay.between(first, i64::MAX).flat_map(|(_, events)| events);
    let mut walk = Walk {
        view,
        coming: all.filter(|event| view.wants(event)).peekable(),
        any: false,
        replayed: replay.last(),
        next: first,
        vouched: 0,
        compactions,
    };
    for response in &view.responses {
        if let Err(violation) = walk.response(response) {
            return Some(violation);
        }
    }
    walk.settled()
}

struct Walk<'v, 'h, I: Iterator<Item = &'v Event>> {
    view: &'v View<'h>,
    coming: std::iter::Peekable<I>,
    /// An event has come.
    any: bool,
    replayed: i64,
    /// The revision that would be asked for to go on from here.
    next: i64,
    /// The revision up to which the watch has vouched for everything.
    vouched: i64,
    compactions: &'v Compactions,
}

impl<'v, I: Iterator<Item = &'v Event>> Walk<'v, '_, I> {
    fn response(&mut self, response: &Watched) -> Result<(), Violation> {
        for event in &response.events {
            self.event(event, response)?;
        }
        if let Some(last) = response.events.last().filter(|_| !response.fragment) {
            self.vouched = last.revision();
        }
        if response.is_progress() {
            self.notice(response)?;
        }
        if response.canceled {
            self.cancelled(response)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, response: &Watched) -> Result<(), Violation> {
        let order = if self.any {
            Guarantee::Reliable
        } else {
            Guarantee::Resumable
        };
        let wrong = |guarantee, text: &str| Err(self.view.violation(guarantee, response.at, text));
        let Some(wanted) = self.coming.next() else {
            return wrong(order, &format!("{} was never written", short(event)));
        };
        if (wanted.revision(), &wanted.pair.key) != (event.revision(), &event.pair.key) {
            return wrong(
                order,
                &format!("{} came instead of {}", short(event), short(wanted)),
            );
        }
        self.any = true;
        self.next = event.revision() + 1;
        let created = |event: &Event| event.pair.create_revision == event.pair.mod_revision;
        if !event.delete && !wanted.delete && created(event) != created(wanted) {
            return wrong(
                Guarantee::IsCreate,
                &format!("{} instead of {}", short(event), short(wanted)),
            );
        }
        if (event.delete, &event.pair) != (wanted.delete, &wanted.pair) {
            return wrong(
                Guarantee::Truthful,
                &format!("{} instead of {}", short(event), short(wanted)),
            );
        }
        self.previous(event, wanted, response)
    }

    /// The pair before may be missing only if it was compacted away.
    fn previous(&self, event: &Event, wanted: &Event, response: &Watched) -> Result<(), Violation> {
        let allowed = match (&event.previous, &wanted.previous) {
            (None, None) => true,
            (Some(told), Some(wanted)) => self.view.watch.prev_kv && told == wanted,
            (Some(_), None) => false,
            (None, Some(_)) => {
                !self.view.watch.prev_kv || self.compactions.reached(event.revision(), response.at)
            }
        };
        let text = format!(
            "before {} came {:?}, not {:?}",
            short(event),
            event.previous,
            wanted.previous
        );
        match allowed {
            true => Ok(()),
            false => Err(self.view.violation(Guarantee::PrevKv, response.at, &text)),
        }
    }

    fn notice(&mut self, response: &Watched) -> Result<(), Violation> {
        let early = self
            .coming
            .peek()
            .filter(|event| event.revision() <= response.revision);
        let text = match early {
            Some(event) => format!(
                "a notice of revision {} came before {}",
                response.revision,
                short(event)
            ),
            None if response.revision > self.replayed => {
                format!("a notice of revision {}, which nobody made", response.revision)
            }
            None => {
                self.vouched = self.vouched.max(response.revision);
                self.next = self.next.max(response.revision + 1);
                return Ok(());
            }
        };
        Err(self.view.violation(Guarantee::Bookmarkable, response.at, &text))
    }

    /// Only history that is gone ends a watch.
    fn cancelled(&self, response: &Watched) -> Result<(), Violation> {
        let told = response.compact_revision;
        if told == 0 || (self.next < told && self.compactions.is_one(told, response.at)) {
            return Ok(());
        }
        let text = format!(
            "it was cancelled by compaction {told} though it had come to {}",
            self.next
        );
        Err(self.view.violation(Guarantee::Lasting, response.at, &text))
    }

    /// A watch that was asked at the end has come to the end.
    fn settled(mut self) -> Option<Violation> {
        let end = self.view.settled()?;
        let ended = self.view.responses.iter().any(|response| response.canceled);
        if ended || self.view.watch.start_revision > end || self.vouched >= end {
            return None;
        }
        let last = self.view.responses.last();
        let at = last.map_or(self.view.watch.invoked, |response| response.at);
        let missing = self.coming.next().map(short);
        let text = format!("it came to {} of {end}; next: {missing:?}", self.vouched);
        Some(self.view.violation(Guarantee::Settled, at, &text))
    }
}

fn short(event: &Event) -> String {
    let kind = if event.delete { "delete" } else { "put" };
    let pair = &event.pair;
    format!(
        "{kind} {:?}={:?} at {} (created {}, version {}, lease {})",
        pair.key, pair.value, pair.mod_revision, pair.create_revision, pair.version, pair.lease
    )
}
