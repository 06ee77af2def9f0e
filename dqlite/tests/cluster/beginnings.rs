use std::fs;

use dqlite::membership::{Origin, Standing, StartError};
use dqlite::node::BOOTSTRAP_ID;
use dqlite::store::{DataDirectory, Pending};
use dqlite::wire::{Member, Role, Server};

use crate::certificates::Authority;
use crate::peers::{Place, Three, lose_log};
use crate::wait::PATIENCE;

fn bootstrap(others: &[&Place]) -> Origin {
    Origin::Bootstrap {
        others: others.iter().map(|place| place.address.clone()).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_directory_begins_no_second_cluster() {
    let mut three = Three::start().await;
    let (mut place, first) = three.take(BOOTSTRAP_ID);
    first.stop().await;
    fs::remove_dir_all(place.data()).unwrap();
    let others: Vec<_> = three.places.iter().collect();
    let settings = place.settings(bootstrap(&others));
    let error = place.start(settings).await.err().unwrap();
    assert!(
        matches!(error, StartError::ClusterExists { members: 3, .. }),
        "{error}"
    );
    assert!(!place.data().join("info.yaml").exists(), "nothing was changed");

    // It comes back as another node, once the one that it was is gone.
    let peers: Vec<_> = three.peers.iter().collect();
    let anew = place.join(&peers).await;
    anew.until_standing(|standing| matches!(standing, Standing::Joining { obstacle: Some(_) }))
        .await;
    three.peers[0]
        .membership
        .remove(BOOTSTRAP_ID, PATIENCE)
        .await
        .unwrap();
    anew.until_standing(|standing| *standing == Standing::Member(Role::Voter))
        .await;
    assert_ne!(anew.id(), BOOTSTRAP_ID);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_log_is_refused_by_name() {
    let mut three = Three::start().await;
    for id in [BOOTSTRAP_ID, three.peers[1].id()] {
        three.peers.iter().find(|peer| peer.id() == id).unwrap();
        let (mut place, peer) = three.take(id);
        peer.until_standing(|standing| *standing == Standing::Member(Role::Voter))
            .await;
        peer.stop().await;
        lose_log(&place.data());
        let settings = place.settings(bootstrap(&[]));
        let error = place.start(settings).await.err().unwrap();
        assert!(
            matches!(error, StartError::LogMissing { id: lost, .. } if lost == id),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contradictions_are_refused_by_name() {
    let authority = Authority::new("ours");
    let mut place = Place::new(&authority).await;
    let settings = place.settings(Origin::Nowhere);
    let error = place.start(settings).await.err().unwrap();
    assert!(matches!(error, StartError::NoOrigin { .. }), "{error}");

    let alone = Origin::Join {
        members: vec![place.address.clone()],
    };
    let settings = place.settings(alone);
    let error = place.start(settings).await.err().unwrap();
    assert!(matches!(error, StartError::NobodyToJoin { .. }), "{error}");

    let mut settings = place.settings(bootstrap(&[]));
    settings.roles.as_mut().unwrap().targets.voters = 4;
    let error = place.start(settings).await.err().unwrap();
    assert!(matches!(error, StartError::Voters(4)), "{error}");

    let peer = place.bootstrap().await;
    let settings = place.settings(Origin::Nowhere);
    let error = place.start(settings).await.err().unwrap();
    assert!(error.to_string().contains("in use by another node"), "{error}");
    peer.stop().await;

    let mut settings = place.settings(Origin::Nowhere);
    settings.address = "127.0.0.1:1".to_owned();
    let error = place.start(settings).await.err().unwrap();
    assert!(matches!(error, StartError::OtherAddress { .. }), "{error}");

    fs::remove_file(place.data().join("cluster.yaml")).unwrap();
    let settings = place.settings(bootstrap(&[]));
    let error = place.start(settings).await.err().unwrap();
    assert!(
        error.to_string().contains("holds info.yaml but no cluster.yaml"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_died_at_its_beginning_begins_again() {
    let authority = Authority::new("ours");
    let mut place = Place::new(&authority).await;
    let identity = Server {
        id: BOOTSTRAP_ID,
        address: place.address.clone(),
    };
    let alone = Member {
        id: BOOTSTRAP_ID,
        address: place.address.clone(),
        role: Role::Voter,
    };
    let directory = DataDirectory::open(place.data()).unwrap();
    directory
        .initialize(&identity, &[alone], Pending::Bootstrap)
        .unwrap();
    drop(directory);
    let peer = place.resume().await;
    peer.write("begun after all").await;
    assert_eq!(peer.members().await.len(), 1);
    assert!(!place.data().join("bootstrap").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_was_cut_short_goes_on_after_a_restart() {
    let authority = Authority::new("ours");
    let (mut first, mut second) = (Place::new(&authority).await, Place::new(&authority).await);
    let cluster = first.bootstrap().await;
    let joining = second.join(&[&cluster]).await;
    let id = joining.id();
    joining
        .until_standing(|standing| matches!(standing, Standing::Member(_)))
        .await;
    joining.stop().await;
    // As if it had died after it was added and before it knew.
    fs::write(second.data().join("join"), "").unwrap();
    let joining = second.resume().await;
    joining
        .until_standing(|standing| matches!(standing, Standing::Member(_)))
        .await;
    assert_eq!(joining.id(), id);
    assert_eq!(cluster.members().await.len(), 2);
    assert!(!second.data().join("join").exists());
}
