//! How long a cluster is without a leader when its leader dies, and how often it loses one for no reason.
//!
//! Three nodes, each a process of its own, over TLS on the loopback address:
//! `cargo run --release -p taffrail-dqlite --example failover -- <latency in ms> <deaths> <busy threads> <seconds>`.
//! First the nodes rest for so many seconds, and what they use is told. Then writes go on as long beside the
//! busy threads, and changes of the leader are counted. Then the leader is killed again and again, and
//! the time until a write succeeds is told. `FAILOVER_PLAIN=1` leaves TLS out, and
//! `FAILOVER_DQLITE_MANAGES_ROLES=1` lets the C library manage roles.

mod cluster;
mod node;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::Cluster;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "node") {
        return node::run(&arguments[1..]).await;
    }
    let number = |at: usize, usual: u64| arguments.get(at).map_or(Ok(usual), |text| text.parse());
    let (latency, deaths) = (number(0, 50)?, number(1, 7)?);
    let (busy, calm) = (number(2, 0)?, number(3, 20)?);
    let begun = Instant::now();
    let mut cluster = Cluster::start(latency).await?;
    println!("latency {latency} ms: three voters after {:?}", begun.elapsed());
    let rest = Duration::from_secs(calm);
    println!(
        "idle: {:.2} % of a processor for each node",
        100.0 * cluster.rest(rest).await?
    );
    let load = Load::start(busy);
    let watched = cluster.watch_calm(rest).await?;
    println!("calm: {watched}");
    let mut times = Vec::new();
    for _ in 0..deaths {
        let time = cluster.kill_leader().await?;
        println!("without a leader for {time:?}");
        times.push(time);
    }
    drop(load);
    times.sort();
    if let (Some(least), Some(most)) = (times.first(), times.last()) {
        println!(
            "latency {latency} ms, {busy} busy: median {:?}, from {least:?} to {most:?}",
            times[times.len() / 2]
        );
    }
    Ok(())
}

/// Threads that do nothing, all the time.
struct Load(Arc<AtomicBool>);

impl Load {
    fn start(threads: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::black_box((0..10_000_u64).sum::<u64>());
                }
            });
        }
        Self(over)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
