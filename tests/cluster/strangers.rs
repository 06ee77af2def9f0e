//! Who is not trusted gets nothing: not in, and nothing out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::calls::within;
use crate::support::certificates::Authority;
use crate::support::trust::PeerFiles;
use crate::support::{Cluster, Load, Plan, eventually};

/// Dqlite's protocol begins with its version, 1, in eight bytes; the request for the leader follows.
const HELLO: [u8; 24] = [
    1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// What comes back for some first bytes, until the connection is closed.
fn answer(address: &str, first: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    stream.write_all(first).expect("it is taken");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("the connection stays open: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dqlite_is_not_spoken_with_strangers() {
    let cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let load = Load::start(&cluster);
    for node in &cluster.nodes {
        let address = format!("{}:2380", node.host);
        let said = tokio::task::spawn_blocking(move || answer(&address, &HELLO))
            .await
            .expect("an answer");
        // A TLS alert at most: its type is 21.
        assert!(said.is_empty() || said[0] == 21, "{said:?}");
    }
    load.more(50).await;
    load.check(&cluster, &[0, 1, 2]).await;
}

/// Starts a fourth member with these files, and waits until it has been turned away for this reason often enough.
async fn is_turned_away(cluster: &mut Cluster, index: usize, files: &PeerFiles, because: &str) {
    let join = format!("--join={}:2380", cluster.nodes[0].host);
    cluster.nodes[index].flags = files.flags();
    std::fs::write(&cluster.nodes[index].log, "").expect("a log file");
    cluster.nodes[index].start(&[&join]);
    eventually(|| async {
        let log = cluster.nodes[index].logged();
        let refused = |line: &&str| line.contains("waiting for a member of the cluster to join");
        let refusals: Vec<&str> = log.lines().filter(refused).collect();
        // Not every time: it may be told so after the connection is closed for it.
        let says_why = |line: &&str| line.contains(because);
        match (refusals.len(), refusals.iter().any(says_why)) {
            (3.., true) => Ok(()),
            _ => Err(format!("three refusals, {because}: {log}")),
        }
    })
    .await;
    cluster.nodes[index].kill();
    let listed = cluster.client(0).await.member_list().await.expect("a list");
    assert_eq!(listed.members().len(), 3, "{listed:?}");
}

/// Certificates alone make the difference: with a good one the same member gets in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_with_bad_certificates_are_turned_away() {
    let mut cluster = Cluster::start(Plan {
        tls: true,
        ..Plan::default()
    })
    .await;
    let fourth = cluster.add_node(None);
    let good = cluster.nodes[fourth].flags.clone();
    let host = cluster.nodes[fourth].host.clone();
    let home = cluster.home().to_owned();

    let stranger = Authority::new("strangers");
    let trusted = cluster.authority.take().expect("an authority");
    let files = PeerFiles::write(&home, "stranger", &trusted, &stranger.issue(&[&host]));
    is_turned_away(&mut cluster, fourth, &files, "received fatal alert: UnknownCA").await;

    let expired = trusted.issue_with(&[&host], |parameters| {
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let files = PeerFiles::write(&home, "expired", &trusted, &expired);
    is_turned_away(
        &mut cluster,
        fourth,
        &files,
        "received fatal alert: CertificateExpired",
    )
    .await;

    cluster.nodes[fourth].flags = good;
    let join = format!("--join={}:2380", cluster.nodes[0].host);
    cluster.nodes[fourth].start(&[&join]);
    cluster.serves(fourth).await;
    let id = cluster.id(fourth).await;
    eventually(|| async {
        let listed = within(cluster.client(0).await.member_list()).await?;
        let found = listed.members().iter().any(|member| member.id() == id);
        found.then_some(()).ok_or(format!("{listed:?}"))
    })
    .await;
}
