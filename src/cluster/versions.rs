//! Upgrades one member after the other: as with etcd's cluster version, the oldest member decides.
//!
//! The leader asks the others what they know, and lets the log have the newest schema version that all of them do, by
//! claiming it again. Everybody else asks the leader which version the log has; a member that does not know it ends, and
//! says so, before it could come to lead.

use std::sync::Arc;
use std::time::Duration;

use actors::{MemberDescription, Members as _, Peer as _};
use journal::SchemaRule;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::members::MemberDirectory;

/// How often members are asked.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long one may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// What a member does about versions for as long as it runs.
pub(super) struct VersionKeeper {
    pub(super) rule: SchemaRule,
    pub(super) directory: Arc<MemberDirectory>,
    /// Has the leader claim the log again.
    pub(super) claim_again: Arc<Notify>,
    /// Told why this member can be none any more.
    pub(super) outdated: watch::Sender<Option<String>>,
}

impl VersionKeeper {
    /// Asks again and again, for as long as it is polled, and at once when somebody else leads.
    pub(super) async fn keep(self) {
        let mut leader = self.directory.leader();
        loop {
            let seen = *leader.borrow_and_update();
            match seen {
                Some(id) if id == self.directory.me() => self.raise().await,
                Some(id) => self.compare_with(id).await,
                None => {}
            }
            let schemas = self.rule.schemas();
            if let Err(said) = self.rule.see(schemas.in_use) {
                self.outdated.send_replace(Some(outdated(&said)));
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                changed = leader.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Lets the log have a newer version if every member knows it. One that does not answer may be of any release.
    async fn raise(&self) {
        let schemas = self.rule.schemas();
        if schemas.in_use == 0 || schemas.in_use >= schemas.known {
            return;
        }
        let Some(others) = self.ask_all_others().await else {
            return;
        };
        let least = others.iter().map(known_by).fold(schemas.known, u32::min);
        if least > schemas.in_use && self.rule.agree(least) {
            tracing::info!(
                from = schemas.in_use,
                to = least,
                "every member knows a newer schema version"
            );
            self.claim_again.notify_one();
        }
    }

    /// What all the others say; none if one of them does not answer, or nobody knows who they are.
    async fn ask_all_others(&self) -> Option<Vec<MemberDescription>> {
        let (members, me) = (self.directory.all(), self.directory.me());
        if !members.iter().any(|member| member.id == me) {
            return None;
        }
        let mut asked = JoinSet::new();
        for other in members.into_iter().filter(|member| member.id != me) {
            let way = self.directory.way_to(other.id, &other.address);
            asked.spawn(async move { timeout(ANSWER, way.describe()).await });
        }
        let answers = asked.join_all().await;
        answers.into_iter().map(|answer| answer.ok()?.ok()).collect()
    }

    async fn compare_with(&self, leader: u64) {
        if let Some(peer) = self.directory.peer(leader)
            && let Ok(Ok(description)) = timeout(ANSWER, peer.describe()).await
        {
            let _found_by_whoever_looks_next = self.rule.see(description.schemas.in_use);
        }
    }
}

/// The release before there was a second version says nothing of versions.
fn known_by(member: &MemberDescription) -> u32 {
    member.schemas.known.max(1)
}

/// What a member says that cannot read the log of its cluster.
pub(super) fn outdated(said: &str) -> String {
    format!("{said}: the other members run a newer release, and this one must be upgraded as well")
}
