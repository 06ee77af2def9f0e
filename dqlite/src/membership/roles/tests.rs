use proptest::prelude::*;

use super::*;

const THREE: Targets = Targets {
    voters: 3,
    standbys: 0,
};

fn node(id: u64, role: Role, health: Health) -> Node {
    Node {
        id,
        role,
        health,
        failure_domain: 0,
        weight: 0,
    }
}

fn online(id: u64, role: Role) -> Node {
    node(id, role, Health::Online)
}

/// Carries plans out until there is nothing left to do; gives what was done.
fn settle(nodes: &mut [Node], targets: Targets) -> Vec<(u64, Role)> {
    let mut done = Vec::new();
    while let Some(Assignment { id, role }) = plan(nodes, 1, targets) {
        let node = nodes.iter_mut().find(|node| node.id == id).unwrap();
        assert_ne!(node.role, role, "nothing changes: {done:?}");
        node.role = role;
        done.push((id, role));
        assert!(done.len() < 100, "no end: {done:?}");
    }
    done
}

#[test]
fn a_second_node_holds_the_data_and_a_third_makes_three_voters() {
    let mut two = [online(1, Role::Voter), online(2, Role::Spare)];
    assert_eq!(settle(&mut two, THREE), [(2, Role::Standby)]);
    let mut three = [
        online(1, Role::Voter),
        online(2, Role::Standby),
        online(3, Role::Spare),
    ];
    assert_eq!(settle(&mut three, THREE), [(2, Role::Voter), (3, Role::Voter)]);
}

#[test]
fn the_number_of_voters_is_odd() {
    let five = Targets {
        voters: 5,
        standbys: 0,
    };
    let mut four: Vec<_> = (2..=4).map(|id| online(id, Role::Spare)).collect();
    four.push(online(1, Role::Voter));
    settle(&mut four, five);
    assert_eq!(four.iter().filter(|node| node.role == Role::Voter).count(), 3);
    assert_eq!(four.iter().filter(|node| node.role == Role::Standby).count(), 1);
}

#[test]
fn a_voter_that_is_gone_keeps_its_vote_until_another_has_it() {
    let mut nodes = vec![
        online(1, Role::Voter),
        online(2, Role::Voter),
        node(3, Role::Voter, Health::Offline),
    ];
    assert_eq!(settle(&mut nodes, THREE), []);
    nodes.push(online(4, Role::Spare));
    assert_eq!(settle(&mut nodes, THREE), [(4, Role::Voter), (3, Role::Spare)]);
}

#[test]
fn a_wavering_member_is_neither_replaced_nor_promoted() {
    let mut nodes = [
        online(1, Role::Voter),
        online(2, Role::Voter),
        node(3, Role::Voter, Health::Wavering),
        online(4, Role::Spare),
    ];
    assert_eq!(settle(&mut nodes, THREE), []);
    let mut nodes = [
        online(1, Role::Voter),
        online(2, Role::Voter),
        node(3, Role::Spare, Health::Wavering),
    ];
    assert_eq!(settle(&mut nodes, THREE), []);
}

#[test]
fn of_two_left_none_is_demoted() {
    let mut nodes = [online(1, Role::Voter), online(2, Role::Voter)];
    assert_eq!(settle(&mut nodes, THREE), []);
    let mut nodes = [online(1, Role::Voter), node(2, Role::Voter, Health::Offline)];
    assert_eq!(settle(&mut nodes, THREE), []);
}

#[test]
fn voters_are_spread_over_failure_domains() {
    let mut nodes: Vec<_> = (1..=3).map(|id| online(id, Role::Voter)).collect();
    nodes.extend((4..=5).map(|id| online(id, Role::Spare)));
    nodes[3].failure_domain = 1;
    nodes[4].failure_domain = 2;
    settle(&mut nodes, THREE);
    let domains: Vec<_> = nodes
        .iter()
        .filter(|node| node.role == Role::Voter)
        .map(|node| node.failure_domain)
        .collect();
    assert_eq!(domains, [0, 1, 2]);
    assert_eq!(nodes[0].role, Role::Voter, "the leader keeps its vote");
}

#[test]
fn light_members_and_those_with_data_come_first_and_leaving_ones_last() {
    let mut nodes = vec![online(1, Role::Voter), online(2, Role::Voter)];
    nodes.extend([
        online(3, Role::Spare),
        online(4, Role::Standby),
        online(5, Role::Spare),
    ]);
    let three = Targets {
        voters: 3,
        standbys: 1,
    };
    assert_eq!(plan(&nodes, 1, three), assign(&nodes[3], Role::Voter));
    nodes[3].weight = 1;
    assert_eq!(plan(&nodes, 1, three), assign(&nodes[2], Role::Voter));
    nodes[2].weight = LEAVING;
    assert_eq!(plan(&nodes, 1, three), assign(&nodes[4], Role::Voter));
    let mut four: Vec<_> = (1..=4).map(|id| online(id, Role::Voter)).collect();
    four[1].weight = LEAVING;
    four[3].weight = 7;
    assert_eq!(
        settle(
            &mut four,
            Targets {
                voters: 3,
                standbys: 1
            }
        ),
        [(2, Role::Spare)]
    );
}

#[test]
fn successors_are_those_below_that_answer() {
    let nodes = [
        online(1, Role::Voter),
        online(2, Role::Voter),
        online(3, Role::Spare),
        online(4, Role::Standby),
        node(5, Role::Standby, Health::Offline),
    ];
    assert_eq!(successors(&nodes, &nodes[0]), [4, 3]);
    assert_eq!(successors(&nodes, &nodes[3]), [3]);
    assert_eq!(successors(&nodes, &nodes[2]), [0_u64; 0]);
}

fn any_node(id: u64) -> impl Strategy<Value = Node> {
    let role = prop::sample::select(vec![Role::Voter, Role::Standby, Role::Spare]);
    let health = prop::sample::select(vec![Health::Online, Health::Wavering, Health::Offline]);
    (role, health, 0..3_u64, 0..3_u64).prop_map(move |(role, health, failure_domain, weight)| Node {
        id,
        role,
        health,
        failure_domain,
        weight,
    })
}

fn any_cluster() -> impl Strategy<Value = Vec<Node>> {
    (0..8_u64).prop_flat_map(|others| {
        let others: Vec<_> = (0..others).map(|other| any_node(other + 2)).collect();
        others.prop_map(|mut nodes| {
            nodes.push(online(1, Role::Voter));
            nodes
        })
    })
}

fn voters(nodes: &[Node], health: impl Fn(Health) -> bool) -> usize {
    nodes
        .iter()
        .filter(|node| node.role == Role::Voter && health(node.health))
        .count()
}

proptest! {
    /// Whatever the cluster looks like, plans come to an end, and no step makes fewer voters that are there
    /// than there should be, nor takes the leader's vote, nor gives one to a member that is not there.
    #[test]
    fn plans_end_and_never_make_things_worse(
        mut nodes in any_cluster(),
        voters_wanted in prop::sample::select(vec![1_u32, 3, 5, 7]),
        standbys in 0..4_u32,
    ) {
        let targets = Targets { voters: voters_wanted, standbys };
        let wanted = View::new(&nodes, 1, targets).voters;
        for step in 0.. {
            prop_assert!(step < 100, "no end: {nodes:?}");
            let Some(Assignment { id, role }) = plan(&nodes, 1, targets) else { break };
            let present = voters(&nodes, |health| health != Health::Offline);
            let at = nodes.iter().position(|node| node.id == id).unwrap();
            prop_assert_ne!(nodes[at].role, role);
            if role == Role::Voter {
                prop_assert_eq!(nodes[at].health, Health::Online);
            } else if nodes[at].role == Role::Voter {
                prop_assert_ne!(id, 1);
                prop_assert!(present >= wanted);
            }
            nodes[at].role = role;
            prop_assert!(voters(&nodes, |health| health != Health::Offline) >= present.min(wanted));
        }
        if nodes.iter().filter(|node| node.health == Health::Online).count() >= wanted {
            prop_assert!(voters(&nodes, |health| health != Health::Offline) >= wanted);
        }
    }
}
