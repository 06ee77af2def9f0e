//! Whether this node votes, of this moment.
//!
//! Two know. The node's own configuration changes when it is sent the change, and is asked at once and without a leader;
//! but a node that loses its role is not sent what says so, and takes itself for a voter from then on. The leader tells
//! that, and is asked once a second. So the own configuration counts if it has changed since.

use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::Standing;
use super::context::Context;
use super::line::Line;
use crate::client::Error;
use crate::wire::Role;

/// How long the local node may take to answer. One that stops does not answer any more.
const ANSWER: Duration = Duration::from_millis(500);

/// What the node's own configuration says of it.
#[derive(Debug)]
pub(super) struct OwnConfiguration {
    id: u64,
    line: Line,
}

impl OwnConfiguration {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            id: context.server.id,
            line: context.local(),
        }
    }

    /// Whether the node votes; none if it does not answer in time.
    pub(super) async fn votes(&mut self) -> Option<bool> {
        let answer = timeout(ANSWER, self.ask()).await.ok()?;
        answer
            .inspect_err(|error| tracing::debug!(%error, "the local node does not say whether it votes"))
            .ok()
    }

    async fn ask(&mut self) -> Result<bool, Error> {
        let members = self.line.client().await?.cluster().await?;
        let own = members.iter().find(|member| member.id == self.id);
        Ok(own.is_some_and(|member| member.role == Role::Voter))
    }
}

/// Tells whether this node votes.
#[derive(Debug)]
pub(super) struct OwnVote {
    own: Mutex<OwnConfiguration>,
    /// Whether it voted by its own configuration before the leader was asked for `standing`, and set after it.
    before: watch::Receiver<Option<bool>>,
    standing: watch::Receiver<Standing>,
}

impl OwnVote {
    pub(super) fn new(
        context: &Context,
        before: watch::Receiver<Option<bool>>,
        standing: watch::Receiver<Standing>,
    ) -> Self {
        Self {
            own: Mutex::new(OwnConfiguration::new(context)),
            before,
            standing,
        }
    }

    /// Whether the node votes; as was last heard, if it does not answer in time.
    pub(super) async fn now(&self) -> bool {
        let own = async { self.own.lock().await.votes().await };
        let own = timeout(ANSWER, own).await.ok().flatten();
        let before = *self.before.borrow();
        votes(&self.standing.borrow(), before, own)
    }
}

/// Whether a node votes that stands so, and whose own configuration said the one `before` and says the other now.
fn votes(standing: &Standing, before: Option<bool>, now: Option<bool>) -> bool {
    match (standing, before, now) {
        (Standing::Removed, _, _) => false,
        (_, Some(before), Some(now)) if before != now => now,
        _ => *standing == Standing::Member(Role::Voter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOTER: Standing = Standing::Member(Role::Voter);
    const SPARE: Standing = Standing::Member(Role::Spare);

    #[test]
    fn the_own_configuration_counts_if_it_has_changed_since_the_leader_was_asked() {
        assert!(votes(&SPARE, Some(false), Some(true)), "promoted since");
        assert!(!votes(&VOTER, Some(true), Some(false)), "a standby since");
        let joining = Standing::Joining { obstacle: None };
        assert!(
            votes(&joining, Some(false), Some(true)),
            "added and promoted since"
        );
    }

    #[test]
    fn the_leader_counts_if_it_has_not() {
        assert!(
            !votes(&SPARE, Some(true), Some(true)),
            "it was not sent that it is a spare"
        );
        assert!(
            votes(&VOTER, Some(false), Some(false)),
            "it was not sent yet that it votes"
        );
        assert!(votes(&VOTER, Some(true), None), "it does not answer");
        assert!(
            !votes(&SPARE, None, Some(true)),
            "nobody knows what it said before"
        );
    }

    #[test]
    fn whoever_was_removed_votes_no_more() {
        assert!(!votes(&Standing::Removed, Some(false), Some(true)));
        assert!(!votes(&Standing::Removed, Some(true), Some(true)));
    }
}
