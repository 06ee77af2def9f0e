//! What an alarm request asks, and how alarms are told.

use model::{Alarm, AlarmAction};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::AlarmType;
use proto::etcdserverpb::alarm_request::AlarmAction as Wire;
use tonic::Status;

/// What an alarm request comes down to on a server that is alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// List the alarms of this kind, or all.
    List(Option<Alarm>),
    /// Raise or clear one.
    Change(AlarmAction),
    /// Nothing that any alarm answers to.
    Nothing,
}

impl Asked {
    /// Reads a request to the member `own`.
    ///
    /// # Errors
    /// Raising an alarm for a member that does not exist. (etcd would note it down.)
    pub(super) fn from_wire(request: &pb::AlarmRequest, own: u64) -> Result<Self, Status> {
        let kind = AlarmType::try_from(request.alarm);
        let is_own = request.member_id == own || request.member_id == 0;
        Ok(match (Wire::try_from(request.action), kind) {
            (Ok(Wire::Get), Ok(kind)) => Self::List(alarm(kind)),
            (Ok(Wire::Activate), Ok(AlarmType::Nospace | AlarmType::Corrupt)) if !is_own => {
                return Err(Status::not_found("etcdserver: member not found"));
            }
            (Ok(Wire::Activate), Ok(kind)) => Self::change(kind, AlarmAction::Activate),
            (Ok(Wire::Deactivate), Ok(kind)) if is_own => Self::change(kind, AlarmAction::Deactivate),
            _ => Self::Nothing,
        })
    }

    fn change(kind: AlarmType, action: fn(Alarm) -> AlarmAction) -> Self {
        alarm(kind).map_or(Self::Nothing, |alarm| Self::Change(action(alarm)))
    }
}

fn alarm(kind: AlarmType) -> Option<Alarm> {
    match kind {
        AlarmType::None => None,
        AlarmType::Nospace => Some(Alarm::NoSpace),
        AlarmType::Corrupt => Some(Alarm::Corrupt),
    }
}

fn kind(alarm: Alarm) -> AlarmType {
    match alarm {
        Alarm::NoSpace => AlarmType::Nospace,
        Alarm::Corrupt => AlarmType::Corrupt,
    }
}

fn of_member(member_id: u64, alarm: Alarm) -> pb::AlarmMember {
    pb::AlarmMember {
        member_id,
        alarm: kind(alarm) as i32,
    }
}

/// The raised alarms of a kind, or all.
pub(super) fn listed(own: u64, kind: Option<Alarm>, raised: &[Alarm]) -> Vec<pb::AlarmMember> {
    let wanted = |alarm: &&Alarm| kind.is_none_or(|kind| kind == **alarm);
    raised
        .iter()
        .filter(wanted)
        .map(|alarm| of_member(own, *alarm))
        .collect()
}

/// What is told of a change: a raised alarm also if it was raised before, a cleared one only if it was raised.
pub(super) fn affected(member_id: u64, action: AlarmAction, changed: bool) -> Vec<pb::AlarmMember> {
    match action {
        AlarmAction::Activate(alarm) => vec![of_member(member_id, alarm)],
        AlarmAction::Deactivate(alarm) if changed => vec![of_member(member_id, alarm)],
        AlarmAction::Deactivate(_) => Vec::new(),
    }
}

/// An alarm in the `errors` of `Status`, in protobuf's text form as etcd has it there.
pub(super) fn described(own: u64, alarm: Alarm) -> String {
    format!("memberID:{own} alarm:{}", kind(alarm).as_str_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u64 = 7;

    fn asked(action: i32, member_id: u64, alarm: i32) -> Option<Asked> {
        Asked::from_wire(
            &pb::AlarmRequest {
                action,
                member_id,
                alarm,
            },
            OWN,
        )
        .ok()
    }

    #[test]
    fn get_lists_all_or_one_kind() {
        assert_eq!(asked(0, 0, 0), Some(Asked::List(None)));
        assert_eq!(asked(0, 0, 2), Some(Asked::List(Some(Alarm::Corrupt))));
        let raised = [Alarm::NoSpace, Alarm::Corrupt];
        assert_eq!(listed(OWN, None, &raised).len(), 2);
        assert_eq!(
            listed(OWN, Some(Alarm::NoSpace), &raised),
            [of_member(OWN, Alarm::NoSpace)]
        );
    }

    #[test]
    fn raising_is_for_this_member() {
        assert_eq!(
            asked(1, OWN, 1),
            Some(Asked::Change(AlarmAction::Activate(Alarm::NoSpace)))
        );
        assert_eq!(
            asked(1, 0, 1),
            Some(Asked::Change(AlarmAction::Activate(Alarm::NoSpace)))
        );
        assert_eq!(asked(1, 99, 1), None);
        assert_eq!(asked(1, 99, 0), Some(Asked::Nothing));
    }

    #[test]
    fn clearing_for_another_member_or_no_kind_does_nothing() {
        assert_eq!(
            asked(2, OWN, 2),
            Some(Asked::Change(AlarmAction::Deactivate(Alarm::Corrupt)))
        );
        for (member_id, kind) in [(99, 1), (OWN, 0), (OWN, 9)] {
            assert_eq!(asked(2, member_id, kind), Some(Asked::Nothing));
        }
        assert_eq!(asked(9, OWN, 1), Some(Asked::Nothing));
    }

    #[test]
    fn a_cleared_alarm_is_told_only_if_it_was_raised() {
        let clear = AlarmAction::Deactivate(Alarm::NoSpace);
        assert_eq!(affected(OWN, clear, true).len(), 1);
        assert_eq!(affected(OWN, clear, false).len(), 0);
        assert_eq!(affected(0, AlarmAction::Activate(Alarm::NoSpace), false).len(), 1);
        assert_eq!(described(OWN, Alarm::NoSpace), "memberID:7 alarm:NOSPACE");
    }
}
