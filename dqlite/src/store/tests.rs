use tempfile::{TempDir, tempdir};

use super::*;

fn identity() -> Server {
    Server {
        id: 7,
        address: "127.0.0.1:9007".to_owned(),
    }
}

fn members() -> Vec<Member> {
    vec![Member {
        id: 0,
        address: "127.0.0.1:9001".to_owned(),
        role: Role::Voter,
    }]
}

fn initialized() -> (TempDir, DataDirectory) {
    let directory = tempdir().unwrap();
    let store = DataDirectory::open(directory.path().join("data")).unwrap();
    store.initialize(&identity(), &members(), Pending::Join).unwrap();
    (directory, store)
}

#[test]
fn a_new_directory_knows_nobody() {
    let directory = tempdir().unwrap();
    let store = DataDirectory::open(directory.path().join("data")).unwrap();
    assert_eq!(store.identity().unwrap(), None);
    assert!(!store.has_log().unwrap());
}

#[test]
fn what_was_remembered_is_known_after_a_restart() {
    let (_directory, store) = initialized();
    let path = store.path().to_owned();
    drop(store);
    let store = DataDirectory::open(path).unwrap();
    assert_eq!(store.identity().unwrap(), Some(identity()));
    assert_eq!(store.members().unwrap(), members());
    assert!(store.is_pending(Pending::Join) && !store.is_pending(Pending::Bootstrap));
    store.settle(Pending::Join).unwrap();
    store.settle(Pending::Join).unwrap();
    assert!(!store.is_pending(Pending::Join));
}

#[test]
fn a_directory_in_use_is_refused_by_name() {
    let (_directory, store) = initialized();
    let error = DataDirectory::open(store.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::InUse { path } if path == store.path()),
        "{error}"
    );
}

#[test]
fn a_directory_that_dqlite_itself_holds_is_refused_by_name() {
    let directory = tempdir().unwrap();
    let held = File::create(directory.path().join(DQLITE_LOCK)).unwrap();
    held.lock().unwrap();
    let error = DataDirectory::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(held);
    DataDirectory::open(directory.path()).unwrap();
}

#[test]
fn info_and_cluster_exist_both_or_neither() {
    for (gone, stays) in [(INFO, CLUSTER), (CLUSTER, INFO)] {
        let (_directory, store) = initialized();
        store.settle(Pending::Join).unwrap();
        fs::remove_file(store.path().join(gone)).unwrap();
        match store.identity().unwrap_err() {
            StoreError::Incomplete { present, missing, .. } => assert_eq!((present, missing), (stays, gone)),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn a_log_without_an_identity_is_refused_by_name() {
    for file in [
        "metadata1",
        "open-3",
        "0000000000000001-0000000000000044",
        "snapshot-1-1024-1",
    ] {
        let directory = tempdir().unwrap();
        let store = DataDirectory::open(directory.path()).unwrap();
        fs::write(directory.path().join(file), "").unwrap();
        let error = store.identity().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "data directory {} holds a raft log but no info.yaml",
                directory.path().display()
            )
        );
    }
}

#[test]
fn damaged_files_are_refused_by_name() {
    let (_directory, store) = initialized();
    fs::write(store.path().join(INFO), "ID: 0\nAddress: 127.0.0.1:1\n").unwrap();
    assert!(matches!(store.identity(), Err(StoreError::Malformed { .. })));
    fs::write(store.path().join(CLUSTER), "ID").unwrap();
    let error = store.members().unwrap_err();
    assert!(error.to_string().contains("cluster.yaml is malformed"), "{error}");
}

#[test]
fn a_node_that_died_before_it_had_an_identity_is_new() {
    let (_directory, store) = initialized();
    fs::remove_file(store.path().join(INFO)).unwrap();
    assert_eq!(store.identity().unwrap(), None);
    store
        .initialize(&identity(), &members(), Pending::Bootstrap)
        .unwrap();
    assert!(store.is_pending(Pending::Bootstrap) && !store.is_pending(Pending::Join));
}
