//! A client that connects anew a thousand times a second is borne, and nobody else is kept waiting.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto::etcdserverpb::RangeRequest;
use proto::etcdserverpb::kv_client::KvClient;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::support::http;
use crate::support::{Server, grpc_channel, kv_client};

/// Connections in all, and the time between two of them.
const CONNECTIONS: usize = 4000;
const INTERVAL: Duration = Duration::from_millis(1);
/// As many as may be open at once; the rest wait for their turn on a slow machine.
const AT_ONCE: usize = 200;

/// Connects, asks something every other time, and goes away without a word.
async fn visit(address: SocketAddr, number: usize) {
    let channel = grpc_channel(address).await;
    if number.is_multiple_of(2) {
        let range = RangeRequest {
            key: "k".into(),
            ..RangeRequest::default()
        };
        KvClient::new(channel).range(range).await.expect("an answer");
    }
}

async fn visit_all(address: SocketAddr) -> Duration {
    let mut visitors = JoinSet::new();
    let begun = Instant::now();
    let mut clock = tokio::time::interval(INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..CONNECTIONS {
        clock.tick().await;
        while visitors.len() >= AT_ONCE {
            visitors.join_next().await.expect("somebody is there").unwrap();
        }
        visitors.spawn(visit(address, number));
    }
    visitors.join_all().await;
    begun.elapsed()
}

/// Puts one key after the other until told to stop; the answer is the longest that one took.
async fn put_on(server: &Server, visits: &tokio::task::JoinHandle<Duration>) -> (usize, Duration) {
    let mut client = kv_client(server).await;
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !visits.is_finished() {
        let begun = Instant::now();
        let put = proto::etcdserverpb::PutRequest {
            key: "k".into(),
            value: "v".into(),
            ..Default::default()
        };
        client.put(put).await.expect("writes go on");
        longest = longest.max(begun.elapsed());
        count += 1;
    }
    (count, longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reconnects_a_thousand_times_a_second_is_borne() {
    let (server, _directory) = Server::fresh(&[]);
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{}/fd", server.pid()))
            .unwrap()
            .count()
    };
    let before = descriptors();
    let visits = tokio::spawn(visit_all(server.address()));
    let (puts, longest) = put_on(&server, &visits).await;
    let took = visits.await.unwrap();
    println!(
        "{CONNECTIONS} connections in {took:?}, meanwhile {puts} puts, the longest of {longest:?}; {} MiB",
        server.resident_bytes() >> 20
    );
    assert!(
        puts > 0 && longest < Duration::from_secs(5),
        "a put took {longest:?}"
    );
    let patience = Instant::now();
    while descriptors() > before + 20 {
        assert!(
            patience.elapsed() < Duration::from_secs(30),
            "{before} descriptors were open before, {} after",
            descriptors()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(http::get(server.address(), "/readyz").status, 200);
}
