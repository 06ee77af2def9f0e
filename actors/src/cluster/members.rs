//! Who belongs to the cluster, as far as the pipeline must know.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::messages::{Claim, Promised};
use super::peers::{Peer, PeerError};

/// The members of the cluster, as this one knows them.
pub trait Members: Send + Sync + 'static {
    /// This member.
    fn me(&self) -> u64;

    /// The members whose majority decides, this one among them if it votes. None if somebody may have been
    /// elected under a list that is newer than what this member knows.
    fn voters(&self) -> Option<Vec<u64>>;

    /// The way to another member; none if it does not belong to the cluster.
    fn peer(&self, member: u64) -> Option<Arc<dyn Peer>>;

    /// The member that leads as this one sees it. The log decides who really may write.
    fn leader(&self) -> watch::Receiver<Option<u64>>;
}

/// Why a majority did not grant a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotGranted {
    /// Too few members could be reached.
    Unreachable,
    /// A member has promised itself to a later leader.
    Overtaken,
}

/// Whether a majority of the voters grants a claim, this member's own answer being `own`.
///
/// Asks all of them at once and returns as soon as it is decided.
pub(crate) async fn majority_grants(
    members: &dyn Members,
    own: Promised,
    claim: Claim,
) -> Result<(), NotGranted> {
    let Some(voters) = members.voters() else {
        return Err(NotGranted::Unreachable);
    };
    let needed = voters.len() / 2 + 1;
    if own != Promised::Granted {
        return Err(NotGranted::Overtaken);
    }
    let mut granted = usize::from(voters.contains(&members.me()));
    if granted >= needed {
        return Ok(());
    }
    let others = voters.into_iter().filter(|voter| *voter != members.me());
    let mut answers: JoinSet<Result<Promised, PeerError>> = others
        .filter_map(|voter| members.peer(voter))
        .map(|peer| peer.promise(claim))
        .collect();
    while let Some(answer) = answers.join_next().await {
        match answer {
            Ok(Ok(Promised::Granted)) => granted += 1,
            Ok(Ok(Promised::Refused { highest })) if highest > claim.epoch => {
                return Err(NotGranted::Overtaken);
            }
            _ => {}
        }
        if granted >= needed {
            return Ok(());
        }
    }
    Err(NotGranted::Unreachable)
}
