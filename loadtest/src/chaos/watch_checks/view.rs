//! One watch, taken out of its stream.

use crate::chaos::history::{Event, Moment, Stream, Watch, Watched, in_range};
use crate::chaos::report::{Guarantee, Violation};

/// What one watch saw.
pub(super) struct View<'h> {
    stream: &'h Stream,
    id: i64,
    /// What was asked for.
    pub(super) watch: &'h Watch,
    /// What came for it, notices for the whole stream included, without the message that it began.
    pub(super) responses: Vec<&'h Watched>,
    /// The revision at which it began; none if that was never told.
    pub(super) created: Option<i64>,
}

impl<'h> View<'h> {
    pub(super) fn new(stream: &'h Stream, id: i64, watch: &'h Watch) -> Self {
        let mut view = Self {
            stream,
            id,
            watch,
            responses: Vec::new(),
            created: None,
        };
        let mut lives = false;
        for response in &stream.responses {
            let own = response.watch == id;
            if own && response.created {
                view.created = Some(response.revision);
                lives = true;
            } else if own || (response.watch == -1 && lives && response.is_progress()) {
                view.responses.push(response);
            }
            lives &= !(own && response.canceled);
        }
        view
    }

    /// All events, each with the response it came in.
    pub(super) fn events(&self) -> impl Iterator<Item = (&'h Watched, &'h Event)> + '_ {
        self.responses
            .iter()
            .flat_map(|response| response.events.iter().map(|event| (*response, event)))
    }

    /// Whether an event is one that the watch asked for.
    pub(super) fn wants(&self, event: &Event) -> bool {
        in_range(&event.pair.key, &self.watch.key, &self.watch.range_end)
    }

    /// The first revision that it reports. A watch from now on begins at some moment before it is told so, and etcd
    /// tells the revision of the later moment; its first event shows when it was.
    pub(super) fn first_revision(&self) -> Option<i64> {
        match self.watch.start_revision {
            0 => {
                let told = self.created? + 1;
                let first = self.events().next();
                Some(first.map_or(told, |(_, event)| event.revision().min(told)))
            }
            revision => Some(revision),
        }
    }

    /// The revision that it must have come to.
    pub(super) fn settled(&self) -> Option<i64> {
        self.stream.settled
    }

    pub(super) fn violation(&self, guarantee: Guarantee, at: Moment, text: &str) -> Violation {
        let Watch {
            key,
            range_end,
            start_revision,
            ..
        } = self.watch;
        Violation {
            guarantee,
            at,
            text: format!(
                "watch {} of stream {} at member {}, of {key:?}..{range_end:?} from {start_revision}: {text}",
                self.id, self.stream.id, self.stream.member
            ),
        }
    }
}
