//! Which faults come when, from a seed.

use std::time::Duration;

use fastrand::Rng;

use super::{Fault, Kind, Victim};

/// A fault that is to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// How long after everything was well again.
    pub after: Duration,
    /// What.
    pub fault: Fault,
    /// How long it lasts.
    pub hold: Duration,
}

/// More faults than any run has time for: every kind comes once before any comes again.
const MOST: usize = 2000;

/// Plans faults of some kinds for so many nodes.
#[must_use]
pub fn plan(kinds: &[Kind], nodes: usize, seed: u64) -> Vec<Planned> {
    let mut rng = Rng::with_seed(seed);
    let mut plan = Vec::new();
    while plan.len() < MOST && !kinds.is_empty() {
        let mut kinds = kinds.to_vec();
        rng.shuffle(&mut kinds);
        for kind in kinds {
            let fault = fault(kind, nodes, &mut rng);
            plan.push(Planned {
                after: Duration::from_millis(rng.u64(500..2500)),
                hold: hold(fault, &mut rng),
                fault,
            });
        }
    }
    plan
}

fn victim(nodes: usize, rng: &mut Rng) -> Victim {
    match nodes == 1 || rng.bool() {
        true => Victim::Leader,
        false => Victim::Follower(rng.usize(1..nodes)),
    }
}

fn fault(kind: Kind, nodes: usize, rng: &mut Rng) -> Fault {
    let victim = victim(nodes, rng);
    match kind {
        Kind::Kill if nodes > 1 && rng.u8(..4) == 0 => Fault::KillMajority,
        Kind::Kill => Fault::Kill(victim),
        Kind::Power => match rng.u8(..4) {
            0 if nodes > 1 => Fault::PowerLossOfMajority,
            1 if nodes > 1 => Fault::PowerLossOfAll,
            _ => Fault::PowerLoss(victim),
        },
        Kind::Terminate => Fault::Terminate(victim),
        Kind::Pause => Fault::Pause(victim),
        Kind::Partition => match rng.u8(..4) {
            0 if nodes > 1 => Fault::CutFromLeader(Victim::Follower(rng.usize(1..nodes))),
            1 => Fault::Mute(victim),
            _ => Fault::Isolate(victim),
        },
        Kind::Slow => Fault::Slow {
            latency: Duration::from_millis(rng.u64(20..200)),
            lost: rng.u32(0..60),
        },
        Kind::Disk => Fault::FullDisk(victim),
        Kind::Clock => Fault::Clock(victim, if rng.bool() { 3600 } else { -3600 }),
    }
}

/// Long enough for an election to be over in some, short enough for none in others.
fn hold(fault: Fault, rng: &mut Rng) -> Duration {
    Duration::from_millis(match fault {
        Fault::Kill(_)
        | Fault::KillMajority
        | Fault::PowerLoss(_)
        | Fault::PowerLossOfMajority
        | Fault::PowerLossOfAll
        | Fault::Terminate(_) => rng.u64(0..2500),
        Fault::Pause(_) => rng.u64(200..4000),
        _ => rng.u64(1000..5000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_plans_the_same_again() {
        let kinds = [Kind::Kill, Kind::Pause, Kind::Partition];
        let first = plan(&kinds, 3, 5);
        assert_eq!(first, plan(&kinds, 3, 5));
        assert_ne!(first, plan(&kinds, 3, 6));
        assert!(plan(&[], 3, 5).is_empty());
    }

    #[test]
    fn every_kind_comes_in_every_round() {
        let all = [Kind::Kill, Kind::Pause, Kind::Slow];
        for round in plan(&all, 3, 1).chunks_exact(3).take(20) {
            let of = |wanted: fn(Fault) -> bool| round.iter().filter(|planned| wanted(planned.fault)).count();
            assert_eq!(
                of(|fault| matches!(fault, Fault::Kill(_) | Fault::KillMajority)),
                1
            );
            assert_eq!(of(|fault| matches!(fault, Fault::Pause(_))), 1);
            assert_eq!(of(|fault| matches!(fault, Fault::Slow { .. })), 1);
        }
    }

    #[test]
    fn one_node_has_no_followers() {
        let kinds = [Kind::Kill, Kind::Pause, Kind::Terminate, Kind::Power];
        let alone = |planned: &Planned| {
            matches!(
                planned.fault,
                Fault::PowerLoss(Victim::Leader)
                    | Fault::Kill(Victim::Leader)
                    | Fault::Pause(Victim::Leader)
                    | Fault::Terminate(Victim::Leader)
            )
        };
        assert!(plan(&kinds, 1, 3).iter().all(alone));
    }
}
