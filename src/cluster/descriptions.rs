//! What members say of themselves, remembered for when they cannot be asked.

use std::collections::HashMap;
use std::time::Duration;

use actors::{MemberDescription, Peer as _};
use dqlite::wire::{Member, Role};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::members::MemberDirectory;

/// How long a member may take to say what it is.
const ANSWER: Duration = Duration::from_millis(500);

/// A member as a member list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownMember {
    /// Its identity.
    pub(crate) id: u64,
    /// Where other members reach it, `host:port`.
    pub(crate) address: String,
    /// Whether it votes.
    pub(crate) votes: bool,
    /// Its name; empty if it never said.
    pub(crate) name: String,
    /// Where clients reach it; empty if it never said.
    pub(crate) client_urls: Vec<String>,
}

impl KnownMember {
    /// Whether it was added, and has not been started as far as is known: the learner that etcd means. Others without
    /// a vote stand by because the automatic roles hold them back, and are no burden.
    pub(super) fn is_awaited(&self) -> bool {
        !self.votes && self.client_urls.is_empty()
    }
}

/// What was heard from members.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    heard: Mutex<HashMap<u64, MemberDescription>>,
}

impl Descriptions {
    /// Takes in what a member says.
    pub(super) fn hear(&self, description: MemberDescription) {
        self.heard
            .lock()
            .insert(description.identity.member_id, description);
    }

    /// Completes members by what they say of themselves, all of them asked at once.
    pub(super) async fn complete(
        &self,
        directory: &MemberDirectory,
        me: u64,
        members: Vec<Member>,
    ) -> Vec<KnownMember> {
        let mut asked = JoinSet::new();
        for member in members.iter().filter(|member| member.id != me) {
            let way = directory.way_to(member.id, &member.address);
            asked.spawn(async move { tokio::time::timeout(ANSWER, way.describe()).await });
        }
        for answer in asked.join_all().await {
            if let Ok(Ok(description)) = answer {
                self.hear(description);
            }
        }
        let heard = self.heard.lock();
        let complete = |member: Member| known(member, &heard);
        members.into_iter().map(complete).collect()
    }
}

fn known(member: Member, heard: &HashMap<u64, MemberDescription>) -> KnownMember {
    let description = heard.get(&member.id);
    KnownMember {
        id: member.id,
        address: member.address,
        votes: member.role == Role::Voter,
        name: description.map(|said| said.name.clone()).unwrap_or_default(),
        client_urls: description
            .map(|said| said.client_urls.clone())
            .unwrap_or_default(),
    }
}
