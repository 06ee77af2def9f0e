//! What etcd promises of watches, checked one by one as its robustness tests do.

mod content;
mod sequence;
mod view;

use super::history::History;
use super::replay::Replay;
use super::report::Violation;
use view::View;

/// Checks every watch of a history against what happened at each revision, as far as that is known.
#[must_use]
pub fn check(history: &History, replay: Option<&Replay>) -> Vec<Violation> {
    let compactions = content::Compactions::of(history);
    let mut violations = Vec::new();
    for stream in &history.streams {
        for (id, watch) in &stream.watches {
            let view = View::new(stream, *id, watch);
            violations.extend(sequence::check(&view));
            violations.extend(replay.and_then(|replay| content::check(&view, replay, &compactions)));
        }
    }
    violations
}
