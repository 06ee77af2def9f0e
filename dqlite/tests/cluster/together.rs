use std::time::{Duration, Instant};

use dqlite::client::{Client, Options as ClientOptions};
use dqlite::dial::Dialer;
use dqlite::membership::{ChangeError, Origin, RoleSettings, Standing, StartError};
use dqlite::wire::{Role, Server};

use crate::certificates::Authority;
use crate::peers::{Peer, Place, Three};
use crate::wait::PATIENCE;

fn is_leader(id: u64) -> impl Fn(&Server) -> bool {
    move |leader| leader.id == id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_become_three_voters_and_replicate() {
    let begun = Instant::now();
    let three = Three::start().await;
    let voting = begun.elapsed();
    assert!(voting < Duration::from_secs(20), "{voting:?}");
    three.peers[1].write("a row to be found everywhere").await;
    for peer in &three.peers {
        peer.until_holds("a row to be found everywhere").await;
        let leader = peer.until_leader(|_| true).await;
        assert_eq!(leader.id, three.peers[0].id());
        assert_eq!(peer.membership.leads(), peer.id() == leader.id);
        peer.until_standing(|standing| *standing == Standing::Member(Role::Voter))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_when_the_leader_stops_and_it_comes_back() {
    let mut three = Three::start().await;
    three.peers[0].write("before").await;
    let (mut place, leader) = three.take(three.peers[0].id());
    let gone = leader.id();
    leader.stop().await;
    let heir = three.peers[0].until_leader(|leader| leader.id != gone).await;
    three.peers[1].until_leader(is_leader(heir.id)).await;
    three.peers[0].write("while one is gone").await;
    assert_eq!(
        three.peers[0].roles().await,
        [3, 0, 0],
        "a vote is not taken without a replacement"
    );
    let back = place.resume().await;
    assert_eq!(back.id(), gone);
    back.until_leader(is_leader(heir.id)).await;
    back.until_holds("while one is gone").await;
    back.write("after").await;
    three.peers[1].until_holds("after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_before_a_stop() {
    let mut three = Three::start().await;
    let (_place, leader) = three.take(three.peers[0].id());
    leader.until_leader(is_leader(leader.id())).await;
    let handover = leader.membership.handover(PATIENCE).await.unwrap();
    let heir = handover.leadership_to.expect("there are voters to take it");
    assert_eq!(handover.role_to, None, "nobody is without a vote");
    three.peers[0].until_leader(is_leader(heir)).await;
    leader.stop().await;
    three.peers[0].write("right after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_is_handed_to_a_spare_and_a_dead_voter_is_replaced() {
    let mut three = Three::start().await;
    let mut places = [
        Place::new(&three.authority).await,
        Place::new(&three.authority).await,
    ];
    let peers: Vec<_> = three.peers.iter().collect();
    let fourth = places[0].join(&peers).await;
    fourth
        .until_standing(|standing| *standing == Standing::Member(Role::Spare))
        .await;
    fourth.until_leader(is_leader(three.peers[0].id())).await;

    let (_place, leader) = three.take(three.peers[0].id());
    let handover = leader.membership.handover(PATIENCE).await.unwrap();
    assert_eq!(handover.role_to, Some(fourth.id()));
    assert!(handover.leadership_to.is_some());
    let members = fourth.members().await;
    let role = |id| members.iter().find(|member| member.id == id).unwrap().role;
    assert_eq!((role(fourth.id()), role(leader.id())), (Role::Voter, Role::Spare));
    leader.stop().await;

    // A spare that is there takes the vote of a voter that is not.
    let peers: Vec<_> = three.peers.iter().collect();
    let mut settings = places[1].settings(Origin::Join {
        members: peers
            .iter()
            .map(|peer| peer.membership.server().address.clone())
            .collect(),
    });
    settings.roles = Some(RoleSettings::default());
    let fifth = places[1].start(settings).await.unwrap();
    fifth
        .until_standing(|standing| matches!(standing, Standing::Member(_)))
        .await;
    let dead = three
        .peers
        .iter()
        .find(|peer| !peer.membership.leads())
        .unwrap()
        .id();
    let (_place, voter) = three.take(dead);
    voter.stop().await;
    crate::wait::until("the replacement", async || {
        let members = fifth.members().await;
        let role = |id| {
            members
                .iter()
                .find(|member| member.id == id)
                .map(|member| member.role)
        };
        (role(fifth.id()) == Some(Role::Voter) && role(dead) == Some(Role::Spare)).then_some(())
    })
    .await;
    fifth.until_roles([3, 0, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_transferred_to_whom_it_is_asked_for() {
    let three = Three::start().await;
    for id in [three.peers[2].id(), three.peers[0].id()] {
        three.peers[1].membership.transfer(id, PATIENCE).await.unwrap();
        three.peers[0].until_leader(is_leader(id)).await;
    }
    let error = three.peers[0]
        .membership
        .transfer(77, Duration::from_secs(5))
        .await
        .unwrap_err();
    assert!(matches!(error, ChangeError::Refused(_)), "{error}");
    let error = three.peers[0].membership.promote(77, PATIENCE).await.unwrap_err();
    assert!(matches!(error, ChangeError::NotAMember(77)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_knows_it_and_stays_out() {
    let mut three = Three::start().await;
    let removed = three.peers[2].id();
    three.peers[1].membership.remove(removed, PATIENCE).await.unwrap();
    three.peers[1].membership.remove(removed, PATIENCE).await.unwrap();
    assert!(
        three.peers[0]
            .members()
            .await
            .iter()
            .all(|member| member.id != removed)
    );
    let (mut place, peer) = three.take(removed);
    peer.until_standing(|standing| *standing == Standing::Removed)
        .await;
    three.peers[0].write("without it").await;
    assert_eq!(three.peers[0].members().await.len(), 2);
    assert!(!peer.holds("without it").await);
    peer.stop().await;
    let settings = place.settings(Origin::Nowhere);
    let error = place.start(settings).await.err().unwrap();
    assert!(
        matches!(error, StartError::Removed { id, .. } if id == removed),
        "{error}"
    );
}

/// It was away when it was removed and another was added at its address: it is told so, and nobody takes it for that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_is_not_taken_for_its_successor() {
    let mut three = Three::start().await;
    let removed = three.peers[2].id();
    let (mut place, peer) = three.take(removed);
    peer.stop().await;
    let leader = &three.peers[1].membership;
    leader.remove(removed, PATIENCE).await.unwrap();
    let successor = Server {
        id: 77,
        address: place.address.clone(),
    };
    leader.add(&successor, PATIENCE).await.unwrap();
    let back = place.resume().await;
    let error = leader.assign(77, Role::Standby, PATIENCE).await.unwrap_err();
    assert!(
        matches!(error, ChangeError::Refused(_)) && error.to_string().contains("where node 4d should be"),
        "{error}"
    );
    back.until_standing(|standing| *standing == Standing::Removed)
        .await;
    let members = three.peers[0].members().await;
    let listed = members.iter().find(|member| member.id == 77).unwrap();
    assert_eq!(listed.role, Role::Spare, "{members:?}");
}

/// Nothing waits for it to catch up, so that the next change is made at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_never_started_gets_no_role() {
    let three = Three::start().await;
    let leader = &three.peers[1].membership;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server {
        id: 78,
        address: nobody.local_addr().unwrap().to_string(),
    };
    drop(nobody);
    leader.add(&server, PATIENCE).await.unwrap();
    let error = leader.assign(78, Role::Voter, PATIENCE).await.unwrap_err();
    assert!(matches!(error, ChangeError::Refused(_)), "{error}");
    leader.remove(78, PATIENCE).await.unwrap();
    assert_eq!(three.peers[0].members().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_leaves_and_the_last_voter_cannot() {
    let mut three = Three::start().await;
    let (_place, leader) = three.take(three.peers[0].id());
    leader.until_leader(is_leader(leader.id())).await;
    leader.membership.leave(PATIENCE).await.unwrap();
    leader.stop().await;
    let rest = three.peers[0].members().await;
    assert_eq!(rest.len(), 2);
    three.peers[0].write("two are left").await;

    let authority = Authority::new("other");
    let alone = Place::new(&authority).await.bootstrap().await;
    let error = alone.membership.leave(PATIENCE).await.unwrap_err();
    assert!(
        matches!(error, ChangeError::OnlyVoter(id) if id == alone.id()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_kept_out() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let first = Place::new(&ours).await.bootstrap().await;
    let address = &first.membership.server().address;
    let expired = ours.issue_expired();
    let mut places = [
        Place::with(&theirs.issue(), &ours).await,
        Place::with(&ours.issue(), &theirs).await,
        Place::with(&expired, &ours).await,
    ];
    let mut strangers = Vec::new();
    for place in &mut places {
        strangers.push(place.join(&[&first]).await);
    }
    for (place, stranger) in places.iter().zip(&strangers) {
        stranger
            .until_standing(|standing| matches!(standing, Standing::Joining { obstacle: Some(_) }))
            .await;
        let dialer = Dialer::tls(place.tls.clone());
        let answered = async {
            let mut client = Client::connect(&dialer, address, ClientOptions::default()).await?;
            client.leader().await
        };
        assert!(answered.await.is_err(), "a stranger is answered");
    }
    let mut plain = Client::connect(&Dialer::plain(), address, ClientOptions::default())
        .await
        .unwrap();
    assert!(
        plain.leader().await.is_err(),
        "plain text is answered on a port with TLS"
    );
    assert_eq!(first.members().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_was_demoted_while_away_learns_where_it_stands() {
    let mut three = Three::start().await;
    let mut fourth = Place::new(&three.authority).await;
    let fourth = fourth.join(&three.peers.iter().collect::<Vec<_>>()).await;
    fourth
        .until_standing(|standing| *standing == Standing::Member(Role::Spare))
        .await;
    let (mut place, away) = three.take(three.peers[2].id());
    let id = away.id();
    away.until_standing(|standing| *standing == Standing::Member(Role::Voter))
        .await;
    away.stop().await;
    fourth.membership.promote(fourth.id(), PATIENCE).await.unwrap();
    fourth.membership.assign(id, Role::Spare, PATIENCE).await.unwrap();
    let back = place.resume().await;
    back.until_standing(|standing| *standing == Standing::Member(Role::Spare))
        .await;
    back.until_leader(is_leader(three.peers[0].id())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_holds_the_data_without_a_vote() {
    let authority = Authority::new("ours");
    let mut places = [Place::new(&authority).await, Place::new(&authority).await];
    let first = places[0].bootstrap().await;
    let second = places[1].join(&[&first]).await;
    first.until_roles([1, 1, 0]).await;
    second.until_leader(is_leader(first.id())).await;
    second.write("what a standby holds").await;
    second.until_holds("what a standby holds").await;
    second.stop().await;
    first.write("and what it does not hold up").await;
}

/// A voter that manages nobody's role, and a spare.
async fn unmanaged(places: &mut [Place; 2]) -> [Peer; 2] {
    let mut settings = places[0].settings(Origin::Bootstrap { others: Vec::new() });
    settings.roles = None;
    let first = places[0].start(settings).await.unwrap();
    let second = places[1].join(&[&first]).await;
    second
        .until_standing(|standing| *standing == Standing::Member(Role::Spare))
        .await;
    [first, second]
}

/// By its own configuration, as soon as that has changed, and not when it next asks the leader; and without a leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_knows_at_once_whether_it_votes() {
    let authority = Authority::new("ours");
    let mut places = [Place::new(&authority).await, Place::new(&authority).await];
    let [first, second] = unmanaged(&mut places).await;
    assert!(first.membership.votes().await, "it began the cluster");
    assert!(!second.membership.votes().await);
    for role in [
        Role::Voter,
        Role::Standby,
        Role::Voter,
        Role::Standby,
        Role::Voter,
    ] {
        let assigned = first.membership.assign(second.id(), role, PATIENCE).await;
        assigned.unwrap();
        second.until_configured(role).await;
        assert_eq!(second.membership.votes().await, role == Role::Voter, "{role}");
    }
    first.stop().await;
    assert!(second.membership.votes().await, "a voter without a leader");
}

/// It is not sent what says so: only the leader can tell it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_becomes_a_spare_hears_of_it() {
    let authority = Authority::new("ours");
    let mut places = [Place::new(&authority).await, Place::new(&authority).await];
    let [first, second] = unmanaged(&mut places).await;
    for (role, votes) in [(Role::Voter, true), (Role::Spare, false), (Role::Voter, true)] {
        let assigned = first.membership.assign(second.id(), role, PATIENCE).await;
        assigned.unwrap();
        crate::wait::until("the news", async || {
            (second.membership.votes().await == votes).then_some(())
        })
        .await;
    }
}

/// Each for as long as it may take, and not one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_the_members_without_a_leader_waits_beside_the_others() {
    let authority = Authority::new("ours");
    let mut places = [Place::new(&authority).await, Place::new(&authority).await];
    let [first, second] = unmanaged(&mut places).await;
    let promoted = first.membership.promote(second.id(), PATIENCE).await;
    promoted.unwrap();
    first.stop().await;
    let mut leader = second.membership.leader();
    let lost = tokio::time::timeout(PATIENCE, leader.wait_for(Option::is_none)).await;
    drop(lost.expect("it is missed").unwrap());
    let (begun, time) = (Instant::now(), Duration::from_secs(2));
    let ask = || second.membership.members(time);
    let answers = tokio::join!(ask(), ask(), ask(), ask(), ask());
    for answer in [answers.0, answers.1, answers.2, answers.3, answers.4] {
        let error = answer.unwrap_err();
        assert!(matches!(error, ChangeError::NotInTime { .. }), "{error}");
    }
    assert!(begun.elapsed() < 3 * time, "{:?}", begun.elapsed());
}
