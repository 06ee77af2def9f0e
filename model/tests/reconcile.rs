//! A state that is brought to where another one is, by everything in that which is no event, and by the events
//! it lacks: however far behind it was, and however often it was interrupted, it becomes the same.

use bytes::Bytes;
use model::{
    Alarm, AlarmAction, AlarmMember, Command, DeleteRange, Effect, KeyRange, KeyValue, Lease, LeaseGrant,
    LeaseId, Limits, Overlay, Position, Put, RangeQuery, Rest, Revision, Scan, ScanStep, State, ValueSource,
    decide,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Values are not looked at.
struct NoValues;

impl ValueSource for NoValues {
    fn value(&self, _: Position) -> Option<Bytes> {
        Some(Bytes::new())
    }
}

/// What a leader is at one moment.
#[derive(Default)]
struct Leader {
    effects: Vec<Effect>,
}

impl Leader {
    /// One that has carried out these commands.
    fn after(commands: Vec<Command>) -> Self {
        let mut state = State::default();
        let mut effects = Vec::new();
        for command in commands {
            let mut overlay = Overlay::new(&state);
            let decided = decide(command, &state, &mut overlay, &NoValues, Limits::default());
            let Ok(decision) = decided else { continue };
            for effect in &decision.effects {
                state.apply(effect);
            }
            effects.extend(decision.effects);
        }
        Self { effects }
    }

    /// The state after the first so many effects.
    fn at(&self, effects: usize) -> State {
        let mut state = State::default();
        for effect in &self.effects[..effects] {
            state.apply(effect);
        }
        state
    }

    /// A moment between two transactions, so far into the history.
    fn moment(&self, share: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let mut moment = (self.effects.len() as f64 * share) as usize;
        while moment > 0
            && moment < self.effects.len()
            && continues(&self.effects[moment - 1], &self.effects[moment])
        {
            moment += 1;
        }
        moment
    }
}

/// Whether two effects belong to one transaction. The revocation of a lease comes with the deletes before it.
fn continues(first: &Effect, second: &Effect) -> bool {
    match (first, second) {
        (Effect::Key(first), Effect::Key(second)) => {
            first.version.mod_revision == second.version.mod_revision
        }
        (Effect::Key(first), Effect::LeaseRevoked(_)) => first.is_delete(),
        _ => false,
    }
}

fn rest_of(state: &State) -> Rest {
    Rest {
        compact_revision: state.compact_revision(),
        leases: state.leases().into_values().collect(),
        alarms: state.alarms().iter().copied().collect(),
    }
}

/// Applies what reconciles a state with another one.
fn reconcile(state: &mut State, with: &State) {
    for effect in state.reconcile(rest_of(with)) {
        state.apply(&effect);
    }
}

/// Applies the events behind a revision, up to another one.
fn catch_up(state: &mut State, effects: &[Effect], to: Revision) {
    let from = state.revision();
    for effect in effects {
        if let Effect::Key(event) = effect
            && event.version.mod_revision > from
            && event.version.mod_revision <= to
        {
            state.apply(effect);
        }
    }
}

fn pairs(state: &State, at: Revision) -> Vec<KeyValue> {
    let query = RangeQuery {
        revision: at,
        ..RangeQuery::new(KeyRange::From(Bytes::from_static(b"\0")))
    };
    let mut scan = Scan::begin(query, state).expect("readable");
    while scan.step(state, 512).expect("readable") == ScanStep::More {}
    scan.finish().kvs
}

/// A lease and the keys that are attached to it.
type Attached = (Lease, Vec<Bytes>);

fn attached(state: &State) -> Vec<Attached> {
    let leases = state.leases().into_values();
    leases
        .map(|lease| (lease, state.lease_keys(lease.id).cloned().collect()))
        .collect()
}

fn assert_same(found: &State, wanted: &State) {
    assert_eq!(found.revision(), wanted.revision());
    assert_eq!(found.position(), wanted.position());
    assert_eq!(found.compact_revision(), wanted.compact_revision());
    assert_eq!(found.alarms(), wanted.alarms());
    assert_eq!(attached(found), attached(wanted));
    assert_eq!(found.index().versions(), wanted.index().versions());
    for at in wanted.compact_revision().0.max(1)..=wanted.revision().0 {
        assert_eq!(
            pairs(found, Revision(at)),
            pairs(wanted, Revision(at)),
            "at revision {at}"
        );
    }
}

fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(|key| Bytes::from_static(key.as_bytes()))
}

fn lease_id() -> impl Strategy<Value = LeaseId> {
    (1..4_i64).prop_map(LeaseId)
}

fn raised(alarm: Alarm) -> AlarmMember {
    AlarmMember { alarm, member_id: 7 }
}

fn alarm_action() -> impl Strategy<Value = AlarmAction> {
    prop_oneof![
        Just(AlarmAction::Activate(raised(Alarm::NoSpace))),
        Just(AlarmAction::Deactivate(raised(Alarm::NoSpace))),
        Just(AlarmAction::Deactivate(raised(Alarm::NoSpace))),
    ]
}

fn grant(id: LeaseId, ttl: i64) -> Command {
    Command::LeaseGrant(LeaseGrant {
        id,
        chosen: id,
        ttl,
        now_ms: 0,
    })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => (key(), 0..4_i64).prop_map(|(key, lease)| Command::Put(Put {
            key,
            lease: LeaseId(lease),
            ..Put::default()
        })),
        2 => key().prop_map(|key| Command::DeleteRange(DeleteRange {
            range: KeyRange::From(key),
            prev_kv: false,
        })),
        3 => (lease_id(), 2..90_i64).prop_map(|(id, ttl)| grant(id, ttl)),
        2 => lease_id().prop_map(Command::LeaseRevoke),
        1 => (lease_id(), 0..1000_i64)
            .prop_map(|(id, deadline_ms)| Command::LeaseRenew { id, deadline_ms }),
        1 => (2..40_i64).prop_map(|revision| Command::Compact(Revision(revision))),
        1 => alarm_action().prop_map(Command::Alarm),
    ]
}

fn any_lease() -> impl Strategy<Value = Lease> {
    (lease_id(), 2..90_i64, 0..1000_i64).prop_map(|(id, ttl, deadline_ms)| Lease { id, ttl, deadline_ms })
}

fn any_rest() -> impl Strategy<Value = Rest> {
    let alarms = prop::sample::subsequence(vec![raised(Alarm::NoSpace), raised(Alarm::Corrupt)], 0..=2);
    (-1..60_i64, vec(any_lease(), 0..4), alarms).prop_map(|(compacted, mut leases, alarms)| {
        leases.sort_by_key(|lease| lease.id);
        leases.dedup_by_key(|lease| lease.id);
        Rest {
            compact_revision: Revision(compacted),
            leases,
            alarms,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is wanted is what comes out, but for a compaction, which nothing undoes.
    #[test]
    fn what_is_wanted_is_what_comes_out(commands in vec(command(), 0..60), wanted in any_rest()) {
        let leader = Leader::after(commands);
        let mut state = leader.at(leader.effects.len());
        let compacted = state.compact_revision();
        for effect in state.reconcile(wanted.clone()) {
            state.apply(&effect);
        }
        let mut found = rest_of(&state);
        found.leases.sort_by_key(|lease| lease.id);
        let expected = Rest { compact_revision: wanted.compact_revision.max(compacted), ..wanted };
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(state.reconcile(expected), vec![], "nothing is left to do");
    }

    /// The state of a follower at any earlier moment comes to where the leader is, in one go or interrupted
    /// when a part of the events had come and the leader was somewhere else.
    #[test]
    fn a_state_behind_becomes_the_state_ahead(
        commands in vec(command(), 0..80),
        moments in (0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64),
    ) {
        let leader = Leader::after(commands);
        let mut moments = [moments.0, moments.1, moments.2].map(|share| leader.moment(share));
        moments.sort_unstable();
        let [behind, between, ahead] = moments.map(|moment| leader.at(moment));
        prop_assume!(ahead.compact_revision() <= behind.revision());
        let mut state = behind;
        reconcile(&mut state, &between);
        let half = Revision(i64::midpoint(state.revision().0, between.revision().0));
        catch_up(&mut state, &leader.effects, half);
        reconcile(&mut state, &ahead);
        catch_up(&mut state, &leader.effects, ahead.revision());
        assert_same(&state, &ahead);
    }
}
