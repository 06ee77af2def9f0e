//! What an alarm request asks, and how alarms are told.

use model::{Alarm, AlarmAction, AlarmMember};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::AlarmType;
use proto::etcdserverpb::alarm_request::AlarmAction as Wire;

/// What an alarm request comes down to.
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
    /// Reads a request. As in etcd an alarm is raised and cleared for whatever member it names, zero too.
    pub(super) fn from_wire(request: &pb::AlarmRequest) -> Self {
        let Ok(kind) = AlarmType::try_from(request.alarm) else {
            return Self::Nothing;
        };
        let member_id = request.member_id;
        let named = alarm(kind).map(|alarm| AlarmMember { alarm, member_id });
        match (Wire::try_from(request.action), named) {
            (Ok(Wire::Get), _) => Self::List(alarm(kind)),
            (Ok(Wire::Activate), Some(named)) => Self::Change(AlarmAction::Activate(named)),
            (Ok(Wire::Deactivate), Some(named)) => Self::Change(AlarmAction::Deactivate(named)),
            _ => Self::Nothing,
        }
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

fn to_wire(raised: AlarmMember) -> pb::AlarmMember {
    pb::AlarmMember {
        member_id: raised.member_id,
        alarm: kind(raised.alarm) as i32,
    }
}

/// The raised alarms of a kind, or all.
pub(super) fn listed(kind: Option<Alarm>, raised: &[AlarmMember]) -> Vec<pb::AlarmMember> {
    let wanted = |raised: &&AlarmMember| kind.is_none_or(|kind| kind == raised.alarm);
    raised.iter().filter(wanted).copied().map(to_wire).collect()
}

/// What is told of a change: a raised alarm also if it was raised before, a cleared one only if it was raised.
pub(super) fn affected(action: AlarmAction, changed: bool) -> Vec<pb::AlarmMember> {
    match action {
        AlarmAction::Activate(raised) => vec![to_wire(raised)],
        AlarmAction::Deactivate(cleared) if changed => vec![to_wire(cleared)],
        AlarmAction::Deactivate(_) => Vec::new(),
    }
}

/// An alarm in the `errors` of `Status`, in protobuf's text form as etcd has it there: without what is zero.
pub(super) fn described(raised: AlarmMember) -> String {
    let name = kind(raised.alarm).as_str_name();
    match raised.member_id {
        0 => format!("alarm:{name}"),
        member_id => format!("memberID:{member_id} alarm:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: AlarmMember = AlarmMember {
        alarm: Alarm::NoSpace,
        member_id: 7,
    };
    const CORRUPT: AlarmMember = AlarmMember {
        alarm: Alarm::Corrupt,
        member_id: 0,
    };

    fn asked(action: i32, member_id: u64, alarm: i32) -> Asked {
        Asked::from_wire(&pb::AlarmRequest {
            action,
            member_id,
            alarm,
        })
    }

    #[test]
    fn get_lists_all_or_one_kind_of_all_members() {
        assert_eq!(asked(0, 9, 0), Asked::List(None));
        assert_eq!(asked(0, 9, 2), Asked::List(Some(Alarm::Corrupt)));
        assert_eq!(listed(None, &[SPACE, CORRUPT]).len(), 2);
        assert_eq!(listed(Some(Alarm::NoSpace), &[SPACE, CORRUPT]), [to_wire(SPACE)]);
    }

    #[test]
    fn a_change_is_for_the_member_it_names() {
        assert_eq!(asked(1, 7, 1), Asked::Change(AlarmAction::Activate(SPACE)));
        assert_eq!(asked(1, 0, 2), Asked::Change(AlarmAction::Activate(CORRUPT)));
        assert_eq!(asked(2, 0, 2), Asked::Change(AlarmAction::Deactivate(CORRUPT)));
    }

    #[test]
    fn no_kind_an_unknown_kind_and_an_unknown_action_change_nothing() {
        for (action, kind) in [(1, 0), (1, 9), (2, 0), (2, 9), (9, 1)] {
            assert_eq!(asked(action, 7, kind), Asked::Nothing);
        }
    }

    #[test]
    fn a_cleared_alarm_is_told_only_if_it_was_raised() {
        assert_eq!(affected(AlarmAction::Deactivate(SPACE), true), [to_wire(SPACE)]);
        assert_eq!(affected(AlarmAction::Deactivate(SPACE), false), []);
        assert_eq!(affected(AlarmAction::Activate(SPACE), false), [to_wire(SPACE)]);
    }

    #[test]
    fn status_names_the_member_if_there_is_one() {
        assert_eq!(described(SPACE), "memberID:7 alarm:NOSPACE");
        assert_eq!(described(CORRUPT), "alarm:CORRUPT");
    }
}
