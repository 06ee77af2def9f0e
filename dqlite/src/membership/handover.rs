//! Giving role and leadership away before a node stops.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ChangeError;
use super::change::Leader;
use super::context::{ANSWER, Context};
use super::line::Described;
use super::roles::{Health, LEAVING, Node, successors};
use crate::client::Metadata;
use crate::wire::{Member, Role};

/// What was given away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// Who has the node's role now, if there was anybody to take it.
    pub role_to: Option<u64>,
    /// Who leads now, if the node led and there was anybody to take it.
    pub leadership_to: Option<u64>,
}

pub(super) async fn hand_over(
    context: &Context,
    leader: &mut Leader,
    time: Duration,
) -> Result<Handover, ChangeError> {
    let end = Instant::now() + time;
    let left = || end.saturating_duration_since(Instant::now());
    let members = leader.members(left()).await?;
    let nodes = ask(context, &members).await;
    let Some(own) = nodes.iter().find(|node| node.id == context.server.id).copied() else {
        return Ok(Handover::default());
    };
    // Whoever manages roles takes the vote that will be one too many from here, not from another.
    if let Ok(client) = context.local().client().await
        && let Err(error) = client.set_weight(LEAVING).await
    {
        tracing::debug!(%error, "the weight is not set");
    }
    let role_to = give_role(leader, &nodes, &own, end).await?;
    let leadership_to = give_leadership(leader, &nodes, &own, role_to, end).await?;
    if role_to.is_some() {
        leader.assign(own.id, Role::Spare, left()).await?;
    }
    Ok(Handover {
        role_to,
        leadership_to,
    })
}

/// Gives the role to the first of the successors that takes it.
async fn give_role(
    leader: &mut Leader,
    nodes: &[Node],
    own: &Node,
    end: Instant,
) -> Result<Option<u64>, ChangeError> {
    for id in successors(nodes, own) {
        match leader
            .assign(id, own.role, end.saturating_duration_since(Instant::now()))
            .await
        {
            Ok(()) => return Ok(Some(id)),
            Err(error @ ChangeError::NotInTime { .. }) => return Err(error),
            Err(error) => tracing::warn!(id, %error, "a member does not take over"),
        }
    }
    Ok(None)
}

async fn give_leadership(
    leader: &mut Leader,
    nodes: &[Node],
    own: &Node,
    promoted: Option<u64>,
    end: Instant,
) -> Result<Option<u64>, ChangeError> {
    if !leader.leads(own.id) {
        return Ok(None);
    }
    let votes = |node: &&Node| node.role == Role::Voter || Some(node.id) == promoted;
    let mut heirs: Vec<_> = nodes.iter().filter(votes).collect();
    heirs.retain(|node| node.id != own.id && node.health == Health::Online);
    // One that has voted for long is likelier to be up to date.
    heirs.sort_by_key(|node| (node.weight, Some(node.id) == promoted, node.id));
    for heir in heirs {
        match leader
            .transfer(heir.id, end.saturating_duration_since(Instant::now()))
            .await
        {
            Ok(()) => return Ok(Some(heir.id)),
            Err(error @ ChangeError::NotInTime { .. }) => return Err(error),
            Err(error) => tracing::warn!(id = heir.id, %error, "a voter does not take over"),
        }
    }
    Ok(None)
}

/// What the members say of themselves now.
async fn ask(context: &Context, members: &[Member]) -> Vec<Node> {
    let mut asked = JoinSet::new();
    for member in members.iter().cloned() {
        let mut line = context.line(&member.address, ANSWER);
        asked.spawn(async move {
            let metadata = match line.describe(member.id).await {
                Ok(Described::Member(metadata)) => Some(metadata),
                Ok(Described::StandIn(_)) | Err(_) => None,
            };
            node(&member, metadata)
        });
    }
    asked.join_all().await
}

fn node(member: &Member, metadata: Option<Metadata>) -> Node {
    let health = if metadata.is_some() {
        Health::Online
    } else {
        Health::Offline
    };
    let metadata = metadata.unwrap_or_default();
    Node {
        id: member.id,
        role: member.role,
        health,
        failure_domain: metadata.failure_domain,
        weight: metadata.weight,
    }
}
