//! What becomes of leases once clients have stopped and the faults are over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Buf;
use proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};

use super::{Member, Run};
use crate::chaos::history::Fate;
use crate::chaos::leases::GRACE;
use crate::client::wire::{decode, frame};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How often a lease that is waited for is asked about.
const GLANCE: Duration = Duration::from_millis(100);

/// Asks about every lease that must end until it is gone, or until it should long be gone, and takes down which.
///
/// # Errors
///
/// If a member does not answer.
pub(super) async fn follow(run: &Run, members: &[Member]) -> Result<()> {
    let leases = run.recorder.short_leases();
    let longest = leases.iter().map(|(_, ttl)| *ttl).max().unwrap_or(0);
    let longest = Duration::from_secs(u64::try_from(longest).unwrap_or(0));
    let (begun, asked) = (Instant::now(), run.recorder.now());
    // Asked once more when that much time has gone by for certain.
    let deadline = begun + longest + GRACE + GLANCE;
    for ((lease, _), member) in leases.into_iter().zip(members.iter().cycle()) {
        let fate = loop {
            let late = Instant::now() > deadline;
            match time_to_live(member, lease).await {
                Ok(ttl) if ttl < 0 || late => {
                    break Fate {
                        lease,
                        member: member.number,
                        asked,
                        at: run.recorder.now(),
                        ttl,
                    };
                }
                Err(error) if late => {
                    let who = format!("member {} does not tell of lease {lease}", member.number);
                    return Err(error.context(who));
                }
                Ok(_) | Err(_) => tokio::time::sleep(GLANCE).await,
            }
        };
        run.recorder.fate(fate);
    }
    Ok(())
}

async fn time_to_live(member: &Member, lease: i64) -> Result<i64> {
    let request = LeaseTimeToLiveRequest {
        id: lease,
        keys: false,
    };
    let ask = async {
        let connection = member.connect(LIMIT).await?;
        let mut route = connection.route("/etcdserverpb.Lease/LeaseTimeToLive")?;
        let answer = route.call(frame(&request)).await?;
        anyhow::Ok(decode::<LeaseTimeToLiveResponse>(answer.take(usize::MAX))?.ttl)
    };
    tokio::time::timeout(LIMIT, ask)
        .await
        .context("no answer in time")?
}
