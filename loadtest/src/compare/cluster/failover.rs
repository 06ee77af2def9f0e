//! How long a cluster takes no writes when its leader is killed, and whether the others go on answering serializable
//! reads meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Uri;
use proto::etcdserverpb::{PutRequest, RangeRequest};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::members::Members;
use crate::client::wire::frame;
use crate::client::{Dialer, Route};
use crate::compare::sample::{Metric, Sample};

/// Time between two writes that are tried.
const EVERY: Duration = Duration::from_millis(10);

/// Time between two reads.
const PAUSE: Duration = Duration::from_millis(2);

/// How long reads go on before the leader is killed.
const BEFORE: Duration = Duration::from_millis(300);

/// How long the first write may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills the leader once.
pub(super) fn measure(members: &mut Members) -> Result<Sample> {
    let others: Vec<Uri> = (0..members.cluster.len())
        .filter(|member| *member != members.leader)
        .map(|member| members.endpoint(member))
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let (dialer, member, ended) = (members.dialer.clone(), others[0].clone(), Arc::clone(&over));
    let reader = thread::spawn(move || runtime()?.block_on(read_until(&dialer, &member, &ended)));
    // Reads are in the middle of it when the leader goes.
    thread::sleep(BEFORE);
    let killed = Instant::now();
    members.kill_leader()?;
    let written = runtime()?.block_on(first_write(&members.dialer, &others));
    over.store(true, Ordering::Relaxed);
    let silence = reader.join().expect("the reader does not panic")?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(Sample::default()
        .with(Metric::Failover, milliseconds(written?.duration_since(killed)))
        .with(Metric::Silence, milliseconds(silence)))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
}

/// When the first write was acknowledged by any of these members. One is sent to each every few milliseconds, whether or
/// not the last ones were answered: what a member holds back, or has passed on to the dead leader, delays no other.
async fn first_write(dialer: &Dialer, members: &[Uri]) -> Result<Instant> {
    let put = frame(&PutRequest {
        key: "failover".into(),
        value: "done".into(),
        ..Default::default()
    });
    let mut routes = Vec::new();
    for member in members {
        routes.push(dialer.open(member).await?.route("/etcdserverpb.KV/Put")?);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut tries = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    while Instant::now() < deadline {
        tokio::select! {
            _ = ticks.tick() => {
                for route in &routes {
                    tries.spawn(write(route.clone(), put.clone()));
                }
            }
            Some(Ok(Some(moment))) = tries.join_next() => return Ok(moment),
        }
    }
    anyhow::bail!("no write was acknowledged after the leader's death")
}

/// When the write was acknowledged; `None` if it was refused.
async fn write(mut route: Route, put: Bytes) -> Option<Instant> {
    route.call(put).await.ok().map(|_| Instant::now())
}

/// Reads one member without asking the others, and returns the longest time between two answers. One that fails is an
/// error: such reads never stop.
async fn read_until(dialer: &Dialer, member: &Uri, over: &AtomicBool) -> Result<Duration> {
    let mut route: Route = dialer.open(member).await?.route("/etcdserverpb.KV/Range")?;
    let get = frame(&RangeRequest {
        key: "failover".into(),
        serializable: true,
        ..Default::default()
    });
    let mut last = Instant::now();
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let answer = route.call(get.clone()).await;
        answer.context("a serializable read failed while the leader was gone")?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        sleep(PAUSE).await;
    }
    Ok(longest)
}
