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
use tokio::time::{sleep, timeout};

use super::members::Members;
use crate::client::wire::frame;
use crate::client::{Dialer, Route};
use crate::compare::sample::{Metric, Sample};

/// How long a call may take before another is tried.
const LIMIT: Duration = Duration::from_millis(500);

/// Time between two calls of a client that gets no answer, or that reads.
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
    members.cluster.kill(members.leader)?;
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

/// When the first write was acknowledged by any member.
async fn first_write(dialer: &Dialer, members: &[Uri]) -> Result<Instant> {
    let tries = members
        .iter()
        .map(|member| Box::pin(write_until_done(dialer, member)));
    timeout(PATIENCE, first_of(tries.collect()))
        .await
        .context("no write was acknowledged after the leader's death")
}

/// The first of several futures to end.
async fn first_of<F: Future<Output = Instant> + Unpin>(mut tries: Vec<F>) -> Instant {
    std::future::poll_fn(move |context| {
        for one in &mut tries {
            if let std::task::Poll::Ready(moment) = std::pin::Pin::new(one).poll(context) {
                return std::task::Poll::Ready(moment);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

async fn write_until_done(dialer: &Dialer, member: &Uri) -> Instant {
    let put = frame(&PutRequest {
        key: "failover".into(),
        value: "done".into(),
        ..Default::default()
    });
    loop {
        if matches!(
            call(dialer, member, "/etcdserverpb.KV/Put", &put).await,
            Ok(Ok(_))
        ) {
            return Instant::now();
        }
        sleep(PAUSE).await;
    }
}

async fn call(
    dialer: &Dialer,
    member: &Uri,
    method: &'static str,
    request: &Bytes,
) -> Result<Result<()>, tokio::time::error::Elapsed> {
    timeout(LIMIT, async {
        let mut route = dialer.open(member).await?.route(method)?;
        route.call(request.clone()).await?;
        Ok(())
    })
    .await
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
