//! The quiet end of a run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Buf;
use proto::etcdserverpb::{HashKvRequest, HashKvResponse};

use super::caller::Caller;
use super::{Member, Phase, Run, SETTLING, fates};
use crate::chaos::history::{Hash, Outcome, Put, Range, Request, prefix_end};
use crate::client::wire::{decode, frame};

/// The client of the last calls: behind all others.
const CLIENT: u32 = 1_000;
/// How long the last calls may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How often members are looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Brings a run to its end.
pub(super) async fn finish(run: &Run, members: &Arc<[Member]>, prefix: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    run.enter(Phase::Quiet);
    while run.clients().load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(GLANCE).await;
        anyhow::ensure!(Instant::now() < deadline, "a client does not stop");
    }
    fates::follow(run, members).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut caller = Caller::new(CLIENT, members, &run.recorder, LIMIT).roaming();
    let revision = last_put(&mut caller, prefix, deadline).await?;
    run.enter(Phase::Settling {
        revision,
        deadline: Instant::now() + SETTLING,
    });
    read_everywhere(run, members, prefix, deadline).await?;
    // One watcher at each member never rests.
    while run.shared.settled.load(Ordering::Relaxed) < members.len() {
        tokio::time::sleep(GLANCE).await;
        anyhow::ensure!(Instant::now() < deadline, "a watch does not come back");
    }
    hashes(run, members, revision, deadline).await
}

/// Writes until a write is answered. Clients have stopped, but what they left without an answer may still
/// happen, so the revision is settled when two writes follow each other.
async fn last_put(caller: &mut Caller, prefix: &str, deadline: Instant) -> Result<i64> {
    let mut before = 0;
    for number in 0.. {
        let request = Request::Put(Put {
            key: format!("{prefix}last").into(),
            value: format!("last{number}").into(),
            ..Put::default()
        });
        match caller.call(request).await {
            Some(Outcome::Answered(answer)) if answer.revision == before + 1 => return Ok(answer.revision),
            Some(Outcome::Answered(answer)) => before = answer.revision,
            _ => {}
        }
        tokio::time::sleep(GLANCE).await;
        anyhow::ensure!(
            Instant::now() < deadline,
            "nothing can be written in the end: {number} tries"
        );
    }
    unreachable!("numbers do not end")
}

/// Everything is read from every member.
async fn read_everywhere(run: &Run, members: &Arc<[Member]>, prefix: &str, deadline: Instant) -> Result<()> {
    for (client, member) in (CLIENT + 1..).zip(0..members.len()) {
        let alone: Arc<[Member]> = vec![members[member].clone()].into();
        let mut caller = Caller::new(client, &alone, &run.recorder, LIMIT).at(member);
        for serializable in [false, true] {
            let request = Request::Range(Range {
                key: prefix.into(),
                range_end: prefix_end(prefix),
                serializable,
                ..Range::default()
            });
            while !matches!(caller.call(request.clone()).await, Some(Outcome::Answered(_))) {
                tokio::time::sleep(GLANCE).await;
                anyhow::ensure!(Instant::now() < deadline, "member {member} does not answer");
            }
        }
    }
    Ok(())
}

/// Takes down the hash of every member, once all have compacted as far.
async fn hashes(run: &Run, members: &[Member], revision: i64, deadline: Instant) -> Result<()> {
    loop {
        let mut hashes = Vec::new();
        for member in members {
            hashes.push(hash(member, revision, deadline).await?);
        }
        let same = hashes
            .iter()
            .all(|hash| hash.compact_revision == hashes[0].compact_revision);
        if same || Instant::now() > deadline {
            hashes.into_iter().for_each(|hash| run.recorder.member_hash(hash));
            return Ok(());
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Asks until there is an answer: a member may have what it shows on disk a moment later.
async fn hash(member: &Member, revision: i64, deadline: Instant) -> Result<Hash> {
    let answer = loop {
        match ask_hash(member, revision).await {
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("member {} does not tell its hash", member.number)));
            }
            Err(_) => tokio::time::sleep(GLANCE).await,
            Ok(answer) => break answer,
        }
    };
    Ok(Hash {
        member: member.number,
        revision,
        compact_revision: answer.compact_revision,
        hash: answer.hash,
    })
}

async fn ask_hash(member: &Member, revision: i64) -> Result<HashKvResponse> {
    let ask = async {
        let connection = member.connect(LIMIT).await?;
        let mut route = connection.route("/etcdserverpb.Maintenance/HashKV")?;
        let answer = route.call(frame(&HashKvRequest { revision })).await?;
        anyhow::Ok(decode::<HashKvResponse>(answer.take(usize::MAX))?)
    };
    tokio::time::timeout(LIMIT, ask)
        .await
        .context("no answer in time")?
}
