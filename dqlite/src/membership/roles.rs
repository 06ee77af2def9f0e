//! Who should vote: one change at a time, decided from what is known of the members.
//!
//! Unlike the C library's role management, which demotes a voter after one failed question even when nobody can
//! take its place, a voter keeps its vote until a replacement has it: with two of three voters left, the death of
//! one more must not find the cluster reduced to a pair that needs both.

use std::collections::BTreeMap;

use crate::node::Targets;
use crate::wire::Role;

/// The fewest members among whom votes are spread. Two voters are worse than one, since both are needed.
const FEWEST: usize = 3;
/// The weight of a member that is about to leave: it is the first to lose a role and the last to get one.
pub(super) const LEAVING: u64 = u64::MAX;

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: u64,
    pub(super) role: Role,
    pub(super) health: Health,
    pub(super) failure_domain: u64,
    pub(super) weight: u64,
}

/// Whether a member answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// It does.
    Online,
    /// It did until lately: not to be given a role, nor to be replaced.
    Wavering,
    /// It has not for long.
    Offline,
}

/// A change to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) id: u64,
    pub(super) role: Role,
}

/// The next change, if any is due. `leader` is never demoted.
pub(super) fn plan(nodes: &[Node], leader: u64, targets: Targets) -> Option<Assignment> {
    let view = View::new(nodes, leader, targets);
    view.promote_voter()
        .or_else(|| view.demote_voter())
        .or_else(|| view.spread_voters())
        .or_else(|| view.promote_standby())
        .or_else(|| view.demote_standby())
}

/// The best members to take over a role from `leaving`, best first.
pub(super) fn successors(nodes: &[Node], leaving: &Node) -> Vec<u64> {
    let voters = nodes
        .iter()
        .filter(|node| node.role == leaving.role && node.id != leaving.id);
    let domains = domains(voters);
    let mut candidates: Vec<_> = nodes
        .iter()
        .filter(|node| node.id != leaving.id && node.health == Health::Online && node.role > leaving.role)
        .collect();
    candidates.sort_by_key(|node| merit(node, &domains));
    candidates.into_iter().map(|node| node.id).collect()
}

type Domains = BTreeMap<u64, usize>;

fn domains<'a>(nodes: impl Iterator<Item = &'a Node>) -> Domains {
    let mut domains = Domains::new();
    nodes.for_each(|node| *domains.entry(node.failure_domain).or_default() += 1);
    domains
}

/// Smaller is better: a domain with few of the kind, a light weight, data already there.
fn merit(node: &Node, domains: &Domains) -> (bool, usize, u64, Role, u64) {
    let crowd = domains.get(&node.failure_domain).copied().unwrap_or(0);
    (node.weight == LEAVING, crowd, node.weight, node.role, node.id)
}

struct View<'a> {
    nodes: &'a [Node],
    leader: u64,
    /// How many voters there should be: odd, since an even one adds nothing but another that may fail.
    voters: usize,
    /// How many others should hold the data, those among them that would vote if they were one more.
    standbys: usize,
    /// Voters that answer, by failure domain.
    domains: Domains,
}

impl<'a> View<'a> {
    fn new(nodes: &'a [Node], leader: u64, targets: Targets) -> Self {
        let wanted = (targets.voters as usize).min(nodes.len());
        let voters = if nodes.len() < FEWEST {
            1
        } else {
            wanted - (1 - wanted % 2)
        };
        let present = nodes
            .iter()
            .filter(|node| node.role == Role::Voter && node.health != Health::Offline);
        Self {
            nodes,
            leader,
            voters,
            standbys: targets.standbys as usize + wanted.saturating_sub(voters),
            domains: domains(present),
        }
    }

    /// Members of a role that are not known to be gone.
    fn present(&self, role: Role) -> impl Iterator<Item = &'a Node> {
        self.nodes
            .iter()
            .filter(move |node| node.role == role && node.health != Health::Offline)
    }

    /// Members that could take a role, best first.
    fn best(&self, domains: &Domains, fits: impl Fn(&Node) -> bool) -> Option<&'a Node> {
        let online = self
            .nodes
            .iter()
            .filter(|node| node.health == Health::Online && fits(node));
        online.min_by_key(|node| merit(node, domains))
    }

    /// The member that a role is taken from first; a wavering one before others.
    fn worst(&self, role: Role, domains: &Domains) -> Option<&'a Node> {
        let demotable = self.present(role).filter(|node| node.id != self.leader);
        demotable.max_by_key(|node| (node.weight == LEAVING, node.health, merit(node, domains)))
    }

    fn promote_voter(&self) -> Option<Assignment> {
        if self.present(Role::Voter).count() >= self.voters {
            return None;
        }
        let candidate = self.best(&self.domains, |node| {
            node.role != Role::Voter && node.weight != LEAVING
        })?;
        assign(candidate, Role::Voter)
    }

    /// Takes a vote that is one too many, from one that is gone if there are enough without it.
    fn demote_voter(&self) -> Option<Assignment> {
        let present = self.present(Role::Voter).count();
        if self.nodes.len() < FEWEST || present < self.voters {
            return None;
        }
        let gone = self
            .nodes
            .iter()
            .find(|node| node.role == Role::Voter && node.health == Health::Offline);
        let extra = || {
            if present > self.voters {
                self.worst(Role::Voter, &self.domains)
            } else {
                None
            }
        };
        let demoted = gone.or_else(extra)?;
        assign(demoted, self.role_below(demoted))
    }

    /// What a voter becomes: a standby if one is missing, so that it need not fetch its data again.
    fn role_below(&self, voter: &Node) -> Role {
        let short = self.present(Role::Standby).count() < self.standbys;
        if short && voter.health == Health::Online && voter.weight != LEAVING {
            Role::Standby
        } else {
            Role::Spare
        }
    }

    /// Gives a vote to a failure domain without one if another has several; the one too many goes next.
    fn spread_voters(&self) -> Option<Assignment> {
        if self.nodes.len() < FEWEST || self.domains.values().all(|count| *count < 2) {
            return None;
        }
        let elsewhere = |node: &Node| {
            let votes = self.domains.contains_key(&node.failure_domain);
            node.role != Role::Voter && node.weight != LEAVING && !votes
        };
        assign(self.best(&self.domains, elsewhere)?, Role::Voter)
    }

    fn promote_standby(&self) -> Option<Assignment> {
        if self.present(Role::Standby).count() >= self.standbys {
            return None;
        }
        let domains = domains(self.present(Role::Standby));
        let candidate = self.best(&domains, |node| {
            node.role == Role::Spare && node.weight != LEAVING
        })?;
        assign(candidate, Role::Standby)
    }

    fn demote_standby(&self) -> Option<Assignment> {
        if self.present(Role::Standby).count() <= self.standbys {
            return None;
        }
        let domains = domains(self.present(Role::Standby));
        assign(self.worst(Role::Standby, &domains)?, Role::Spare)
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it ends the steps of a plan, which are all optional"
)]
fn assign(node: &Node, role: Role) -> Option<Assignment> {
    Some(Assignment { id: node.id, role })
}

#[cfg(test)]
mod tests;
