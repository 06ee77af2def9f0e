//! How whatever starts an etcd learns that it may go on, and how it passes settings.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::clients::etcd_client;
use crate::support::process::{PATIENCE, data_dir};
use crate::support::{Server, Start};

#[tokio::test]
async fn systemd_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = Start::new(&data_dir(&directory))
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .run();
    let mut buffer = [0; 64];
    let told = |buffer: &mut [u8; 64]| {
        let length = socket.recv(buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(told(&mut buffer), "READY=1");
    server.terminate();
    assert_eq!(told(&mut buffer), "STOPPING=1");
}

#[tokio::test]
async fn kubeadms_flags_are_understood() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Start::new(&data_dir(&directory))
        .flags(&[
            "--name=node-1",
            "--advertise-client-urls=http://10.0.0.1:2379",
            "--initial-advertise-peer-urls=http://10.0.0.1:2380",
            "--initial-cluster=node-1=http://10.0.0.1:2380",
            "--listen-peer-urls=http://10.0.0.1:2380",
            "--listen-metrics-urls=http://127.0.0.1:0",
            "--peer-client-cert-auth=true",
            "--experimental-initial-corrupt-check=true",
            "--experimental-watch-progress-notify-interval=5s",
            "--feature-gates=InitialCorruptCheck=true",
            "--snapshot-count=10000",
        ])
        .run();
    let members = etcd_client(&server).await.member_list().await.unwrap();
    assert_eq!(members.members()[0].name(), "node-1");
    assert_eq!(members.members()[0].client_urls(), ["http://10.0.0.1:2379"]);
    assert_eq!(members.members()[0].peer_urls(), ["http://10.0.0.1:2380"]);
    let log = server.log();
    assert!(
        log.contains("--snapshot-count") && !log.contains("--advertise-client-urls"),
        "{log}"
    );
}

#[tokio::test]
async fn idle_watches_are_told_the_revision_at_the_interval() {
    let (server, _directory) = Server::fresh(&["--watch-progress-notify-interval", "200ms"]);
    let mut client = etcd_client(&server).await;
    let options = etcd_client::WatchOptions::new().with_progress_notify();
    let mut stream = client.watch("quiet", Some(options)).await.unwrap();
    assert!(stream.message().await.unwrap().unwrap().created());
    client.put("loud", "x", None).await.unwrap();
    loop {
        let told = tokio::time::timeout(Duration::from_secs(30), stream.message())
            .await
            .expect("progress");
        let told = told.unwrap().unwrap();
        assert!(told.events().is_empty());
        if told.header().unwrap().revision() == 2 {
            break;
        }
    }
}
