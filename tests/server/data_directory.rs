//! What the server finds where its log should be.

use std::fs;
use std::path::Path;

use crate::support::clients::etcd_client;
use crate::support::process::data_dir;
use crate::support::{Server, Start};

/// Starts a server that must not come up, and returns what it said.
fn refused(data: &Path) -> String {
    match Start::new(data).try_run() {
        Ok(_) => panic!("the server came up"),
        Err((status, log)) => {
            assert_eq!(status.code(), Some(1), "{log}");
            log
        }
    }
}

#[tokio::test]
async fn a_second_server_on_one_directory_is_refused_by_name() {
    let (server, directory) = Server::fresh(&[]);
    let said = refused(&data_dir(&directory));
    assert!(
        said.contains("in use") && said.contains(data_dir(&directory).to_str().unwrap()),
        "{said}"
    );
    etcd_client(&server)
        .await
        .put("k", "the first goes on", None)
        .await
        .unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let data = data_dir(&directory);
    fs::create_dir(&data).unwrap();
    let file = data.join("taffrail.db");
    let foreign = b"this is somebody's diary and no database at all".repeat(100);
    fs::write(&file, &foreign).unwrap();
    let said = refused(&data);
    assert!(said.contains("taffrail.db"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), foreign, "the file was changed");
}

#[tokio::test]
async fn a_corrupt_log_is_refused_and_left_alone() {
    let (server, directory) = Server::fresh(&[]);
    let mut client = etcd_client(&server).await;
    for index in 0..50 {
        client
            .put(format!("key/{index}"), vec![7; 4096], None)
            .await
            .unwrap();
    }
    server.terminate();
    assert!(server.ended().0.success());
    let file = data_dir(&directory).join("taffrail.db");
    let mut bytes = fs::read(&file).unwrap();
    let length = bytes.len();
    bytes[8192..length.min(65536)].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    let said = refused(&data_dir(&directory));
    assert!(said.contains("taffrail.db") || said.contains("log"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), bytes, "the file was changed");
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let (server, directory) = Server::fresh(&[]);
    let mut client = etcd_client(&server).await;
    let lease = client.lease_grant(1000, None).await.unwrap().id();
    client.put("k", "v", None).await.unwrap();
    let (before, member) = (
        client.get("k", None).await.unwrap(),
        client.status().await.unwrap().leader(),
    );
    server.terminate();
    assert!(server.ended().0.success());
    let server = Start::new(&data_dir(&directory)).run();
    let mut client = etcd_client(&server).await;
    let after = client.get("k", None).await.unwrap();
    assert_eq!(
        (after.kvs()[0].value(), after.kvs()[0].mod_revision()),
        (&b"v"[..], before.kvs()[0].mod_revision())
    );
    assert_eq!(
        client.status().await.unwrap().leader(),
        member,
        "the member has another identity"
    );
    assert_eq!(client.leases().await.unwrap().leases()[0].id(), lease);
}
