//! Told to stop, the server finishes what it has begun.

use std::time::{Duration, Instant};

use etcd_client::{Client, GetOptions};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::clients::etcd_client;
use crate::support::process::data_dir;
use crate::support::{Server, Start};

/// Puts numbers until the server is gone, and returns the last one that was acknowledged.
async fn put_until_gone(mut client: Client, writer: usize) -> (usize, i64) {
    let mut number = 0;
    while client
        .put(format!("n/{writer}"), (number + 1).to_string(), None)
        .await
        .is_ok()
    {
        number += 1;
    }
    (writer, number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_the_end_is_stored_and_the_exit_is_clean() {
    let directory = TempDir::new().unwrap();
    let server = Start::new(&data_dir(&directory)).run();
    let mut watcher = etcd_client(&server).await;
    let mut stream = watcher.watch("nothing", None).await.unwrap();
    let (mut keeper, mut kept) = {
        let lease = watcher.lease_grant(100, None).await.unwrap().id();
        watcher.lease_keep_alive(lease).await.unwrap()
    };
    keeper.keep_alive().await.unwrap();
    kept.message().await.unwrap().unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        writers.spawn(put_until_gone(etcd_client(&server).await, writer));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let told = Instant::now();
    server.terminate();
    let acknowledged = writers.join_all().await;
    while let Ok(Some(_)) = stream.message().await {}
    while let Ok(Some(_)) = kept.message().await {}
    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        log.contains(r#""msg":"stopped""#) && !log.contains("did not finish in time"),
        "{log}"
    );
    println!(
        "stopped in {:?} with {acknowledged:?} acknowledged",
        told.elapsed()
    );

    let server = Start::new(&data_dir(&directory)).run();
    let mut client = etcd_client(&server).await;
    let pairs = client
        .get("n/", Some(GetOptions::new().with_prefix()))
        .await
        .unwrap();
    for (writer, number) in acknowledged {
        let stored = pairs
            .kvs()
            .iter()
            .find(|kv| kv.key() == format!("n/{writer}").as_bytes());
        let stored: i64 = stored.map_or(0, |kv| kv.value_str().unwrap().parse().unwrap());
        assert!(
            stored >= number && stored <= number + 1,
            "writer {writer}: {number} acknowledged, {stored} stored"
        );
    }
}

#[tokio::test]
async fn an_open_connection_does_not_hold_the_end_up() {
    let (server, _directory) = Server::fresh(&["--drain-timeout", "20s"]);
    let idle_http = std::net::TcpStream::connect(server.address()).unwrap();
    let _idle_grpc = etcd_client(&server).await;
    let told = Instant::now();
    server.terminate();
    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(told.elapsed() < Duration::from_secs(15), "{:?}", told.elapsed());
    drop(idle_http);
}

#[tokio::test]
async fn a_second_signal_ends_the_wait() {
    let (server, _directory) = Server::fresh(&["--drain-timeout", "1h"]);
    let mut client = etcd_client(&server).await;
    client.lock("held", None).await.unwrap();
    let before = Instant::now();
    server.terminate();
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.terminate();
    let (_, log) = server.ended();
    assert!(before.elapsed() < Duration::from_secs(30), "{log}");
}
