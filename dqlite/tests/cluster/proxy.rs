use std::io;
use std::net::TcpListener as StdListener;
use std::time::{Duration, Instant};

use dqlite::client::{Client, Options as ClientOptions};
use dqlite::dial::Dialer;
use dqlite::node::{BOOTSTRAP_ID, Options, Running, Stopped};
use dqlite::proxy::{NodeSocket, Outgoing, Protocol, attach, serve, sniff};
use dqlite::store::DataDirectory;
use dqlite::tls::Tls;
use dqlite::wire::Server;
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::certificates::{Authority, settings};
use crate::wait::PATIENCE;

async fn node() -> (TempDir, Running) {
    let folder = tempdir().unwrap();
    let server = Server {
        id: BOOTSTRAP_ID,
        address: "127.0.0.1:1".to_owned(),
    };
    let directory = DataDirectory::open(folder.path()).unwrap();
    let node = Stopped::new(directory, server, Options::default());
    (folder, node.start(Dialer::plain()).await.unwrap())
}

fn tls() -> (TempDir, Tls) {
    let (folder, authority) = (tempdir().unwrap(), Authority::new("ours"));
    let tls = Tls::load(settings(
        folder.path(),
        &authority.issue(),
        &authority.certificate(),
    ))
    .unwrap();
    (folder, tls)
}

#[tokio::test]
async fn two_protocols_share_a_port() {
    let (_folder, node) = node().await;
    let (_files, tls) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (accepting, socket) = (tls.clone(), node.socket().clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = accepting.accept(stream, PATIENCE).await.unwrap();
            match sniff(stream, PATIENCE).await.unwrap() {
                (Protocol::Dqlite, stream) => drop(tokio::spawn({
                    let socket = socket.clone();
                    async move { attach(stream, &socket).await }
                })),
                (Protocol::Http2, mut stream) => {
                    let mut preface = [0; 24];
                    stream.read_exact(&mut preface).await.unwrap();
                    stream.write_all(&preface).await.unwrap();
                    stream.shutdown().await.unwrap();
                }
                (Protocol::Other, _) => {}
            }
        }
    });
    let dialer = Dialer::tls(tls);
    let mut client = Client::connect(&dialer, &address, ClientOptions::default())
        .await
        .unwrap();
    assert_eq!(client.cluster().await.unwrap().len(), 1);

    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut grpc = dialer.dial(&address).await.unwrap();
    grpc.write_all(preface).await.unwrap();
    let mut answer = Vec::new();
    grpc.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, preface);

    let mut other = dialer.dial(&address).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let ended = other.read(&mut [0]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn connections_end_with_the_node_and_none_come_after() {
    let (_folder, node) = node().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let socket = node.socket().clone();
    let serving = tokio::spawn(serve(listener, None, socket.clone()));
    let mut client = Client::connect(&Dialer::plain(), &address, ClientOptions::default())
        .await
        .unwrap();
    assert_eq!(client.cluster().await.unwrap().len(), 1);
    let (mut peer, stream) = duplex(64);
    let attached = tokio::spawn({
        let socket = socket.clone();
        async move { attach(stream, &socket).await }
    });
    node.stop().await.unwrap();
    serving.await.unwrap();
    assert!(client.cluster().await.is_err());
    assert!(attached.await.unwrap().is_err());
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    assert!(
        Dialer::plain().dial(&address).await.is_err(),
        "the port is closed"
    );
    let (_peer, late) = duplex(64);
    assert!(attach(late, &socket).await.is_err());
}

/// Dials as a node does, from a thread of its own.
async fn connect(dialer: Dialer, address: &str, socket: &NodeSocket) -> (io::Result<()>, Duration) {
    let outgoing = Outgoing::new(dialer, Handle::current(), socket);
    let address = address.to_owned();
    let dialling = move || {
        let begun = Instant::now();
        (outgoing.connect(&address).map(drop), begun.elapsed())
    };
    tokio::task::spawn_blocking(dialling).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_says_nothing_is_given_up_in_time() {
    // The kernel accepts for it, and nobody ever answers the handshake.
    let silent = StdListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (_files, tls) = tls();
    let socket = NodeSocket::new("nobody");
    let dialer = Dialer::tls(tls).with_timeout(Duration::from_millis(200));
    let (outcome, time) = connect(dialer, &address, &socket).await;
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(time >= Duration::from_millis(200) && time < PATIENCE, "{time:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialling_ends_with_the_node() {
    let silent = StdListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (_files, tls) = tls();
    let socket = NodeSocket::new("nobody");
    let dialling = connect(Dialer::tls(tls).with_timeout(2 * PATIENCE), &address, &socket);
    let closing = async {
        // Once the connection stands, the handshake is waited for.
        let silent = TcpListener::from_std({
            silent.set_nonblocking(true).unwrap();
            silent
        });
        let _held = silent.unwrap().accept().await.unwrap();
        socket.close();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        (outcome, _) = dialling => outcome,
        () = closing => unreachable!(),
    };
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_looked_up_and_unknown_ones_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = NodeSocket::new("nobody");
    let (known, _) = connect(Dialer::plain(), &format!("localhost:{port}"), &socket).await;
    known.unwrap();
    let (unknown, _) = connect(Dialer::plain(), "no port here", &socket).await;
    assert!(unknown.is_err());
}
