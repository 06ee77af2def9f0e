//! Who speaks to whom: the first word of every request and stream, and whether it is accepted.

use actors::PeerError;
use journal::Identity;
use proto::peer as pb;

use super::{OLDEST_PROTOCOL, PROTOCOL};

/// Who calls, and whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The caller. A member that does not know its cluster yet says zero.
    pub caller: Identity,
    /// The identity of the member to be reached; zero for whoever listens.
    pub called: u64,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// A member of the cluster.
    Members,
    /// Also who has no cluster yet.
    Newcomers,
}

impl Introduction {
    /// What the caller says first.
    pub(super) fn hello(&self) -> pb::Hello {
        pb::Hello {
            protocol: PROTOCOL,
            oldest_protocol: OLDEST_PROTOCOL,
            cluster_id: self.caller.cluster_id,
            from_member_id: self.caller.member_id,
            to_member_id: self.called,
        }
    }
}

/// Whether a caller is right here, and who it is.
///
/// # Errors
/// [`PeerError::Stranger`] if it is not, [`PeerError::NotUnderstood`] if it does not say.
pub(super) fn accept(hello: Option<pb::Hello>, me: Identity, admitted: Admitted) -> Result<u64, PeerError> {
    let hello = hello.ok_or_else(|| PeerError::NotUnderstood("a call without a hello".into()))?;
    let refused = if hello.oldest_protocol > PROTOCOL || hello.protocol < OLDEST_PROTOCOL {
        format!(
            "the caller speaks protocols {} to {}, this member {OLDEST_PROTOCOL} to {PROTOCOL}",
            hello.oldest_protocol, hello.protocol
        )
    } else if hello.to_member_id != 0 && hello.to_member_id != me.member_id {
        let (called, me) = (hello.to_member_id, me.member_id);
        format!("member {called:x} was called, this is member {me:x}")
    } else if !admits(admitted, hello.cluster_id, me.cluster_id) {
        let (theirs, ours) = (hello.cluster_id, me.cluster_id);
        format!("the caller is of cluster {theirs:x}, this member of cluster {ours:x}")
    } else {
        return Ok(hello.from_member_id);
    };
    Err(PeerError::Stranger(refused))
}

fn admits(admitted: Admitted, theirs: u64, ours: u64) -> bool {
    theirs == ours || (theirs == 0 && admitted == Admitted::Newcomers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Identity = Identity {
        cluster_id: 7,
        member_id: 1,
    };

    fn hello() -> pb::Hello {
        let caller = Identity {
            cluster_id: 7,
            member_id: 2,
        };
        Introduction { caller, called: 1 }.hello()
    }

    fn is_stranger(hello: pb::Hello, admitted: Admitted) -> bool {
        matches!(accept(Some(hello), ME, admitted), Err(PeerError::Stranger(_)))
    }

    #[test]
    fn a_member_is_known_by_its_identity() {
        assert_eq!(accept(Some(hello()), ME, Admitted::Members), Ok(2));
        let whoever = pb::Hello {
            to_member_id: 0,
            ..hello()
        };
        assert_eq!(accept(Some(whoever), ME, Admitted::Members), Ok(2));
    }

    #[test]
    fn who_says_nothing_is_not_understood() {
        let refused = accept(None, ME, Admitted::Newcomers);
        assert!(matches!(refused, Err(PeerError::NotUnderstood(_))));
    }

    #[test]
    fn another_cluster_and_another_member_are_strangers() {
        let cluster = pb::Hello {
            cluster_id: 8,
            ..hello()
        };
        let member = pb::Hello {
            to_member_id: 3,
            ..hello()
        };
        for admitted in [Admitted::Members, Admitted::Newcomers] {
            assert!(is_stranger(cluster, admitted) && is_stranger(member, admitted));
        }
    }

    #[test]
    fn who_has_no_cluster_may_only_ask() {
        let newcomer = pb::Hello {
            cluster_id: 0,
            from_member_id: 0,
            ..hello()
        };
        assert!(is_stranger(newcomer, Admitted::Members));
        assert_eq!(accept(Some(newcomer), ME, Admitted::Newcomers), Ok(0));
    }

    #[test]
    fn releases_need_a_protocol_in_common() {
        let speaks = |oldest_protocol, protocol| pb::Hello {
            protocol,
            oldest_protocol,
            ..hello()
        };
        assert!(is_stranger(speaks(PROTOCOL + 1, PROTOCOL + 2), Admitted::Members));
        assert!(is_stranger(speaks(0, OLDEST_PROTOCOL - 1), Admitted::Members));
        assert_eq!(
            accept(Some(speaks(PROTOCOL, PROTOCOL + 5)), ME, Admitted::Members),
            Ok(2)
        );
    }
}
