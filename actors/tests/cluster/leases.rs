//! Leases run on the leader, whoever that is, and by one clock, whatever the members' own clocks say.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actors::{LeaseClock, Settings, Store};
use model::{Effect, Lease, LeaseId, Limits};

use crate::client::{grant, pairs, put_with, value};
use crate::cluster::{Choices, Cluster, eventually, within};
use crate::members::MEMBERS;
use crate::picture::{all_agree_with_the_log, every_leader_knows_the_leases};

const HOUR_MS: i64 = 3_600_000;

/// A lease clock that was left this far from the wall clock.
fn clock_off_by(folder: &Path, id: u64, off_ms: i64) -> LeaseClock {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a wall clock");
    let wall_ms = i64::try_from(wall.as_millis()).expect("a time of this age");
    let path = folder.join(format!("clock-{id}"));
    let lease_ms = wall_ms + off_ms;
    let anchor = format!("taffrail lease clock 1\nlease_ms {lease_ms}\nwall_ms {wall_ms}\n");
    fs::write(&path, anchor).expect("written");
    LeaseClock::resume(path)
}

/// Three members that allow short leases, each with its clock an hour from the next one's.
fn with_clocks_apart(folder: &Path) -> Cluster {
    let folder = folder.to_owned();
    let settings = move |id: u64| Settings {
        limits: Limits {
            min_lease_ttl: 1,
            ..Limits::default()
        },
        clock: clock_off_by(&folder, id, (id as i64 - 2) * HOUR_MS),
        ..Settings::default()
    };
    Cluster::start(&Choices {
        settings: Box::new(settings),
        ..Choices::default()
    })
}

async fn granted(store: &Store, id: i64, ttl: i64) {
    store.submit(grant(store, id, ttl)).await.expect("granted");
}

async fn attached(store: &Store, key: &str, lease: i64) {
    let put = put_with(key, "1", LeaseId(lease));
    store.submit(put).await.expect("stored");
}

fn revocations(cluster: &Cluster, id: i64) -> usize {
    let effects = cluster.record.effects();
    let revoked = effects
        .iter()
        .filter(|effect| **effect == Effect::LeaseRevoked(LeaseId(id)));
    revoked.count()
}

/// Checks that a lease is over, everywhere and once.
async fn is_over(cluster: &Cluster, id: i64, key: &str) {
    all_agree_with_the_log(cluster).await;
    assert_eq!(revocations(cluster, id), 1);
    for store in cluster.stores() {
        assert_eq!(value(&store, key).await, None);
        let reply = store.lease_keep_alive(LeaseId(id)).await.expect("an answer");
        assert_eq!(reply.ttl, 0);
        let left = store
            .lease_time_to_live(LeaseId(id), true)
            .await
            .expect("an answer");
        assert_eq!((left.ttl, left.keys.len()), (-1, 0));
    }
}

#[tokio::test]
async fn a_lease_is_granted_and_kept_alive_through_every_member_and_ends_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = with_clocks_apart(folder.path());
    cluster.elect(1).await;
    granted(&cluster.store(2), 7, 1).await;
    attached(&cluster.store(3), "key", 7).await;
    let begun = Instant::now();
    let mut kept = Instant::now();
    for n in 0_u64.. {
        if begun.elapsed() > Duration::from_secs(4) {
            break;
        }
        let reply = cluster.store(n % 3 + 1).lease_keep_alive(LeaseId(7)).await;
        let late = kept.elapsed() > Duration::from_millis(900);
        assert!(reply.expect("an answer").ttl == 1 || late, "it ended early");
        kept = Instant::now();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eventually("the lease ends", || revocations(&cluster, 7) > 0).await;
    assert!(
        kept.elapsed() >= Duration::from_millis(990),
        "{:?}",
        kept.elapsed()
    );
    is_over(&cluster, 7, "key").await;
}

#[tokio::test]
async fn leader_changes_neither_shorten_a_lease_nor_keep_it_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = with_clocks_apart(folder.path());
    cluster.elect(1).await;
    granted(&cluster.store(3), 7, 2).await;
    granted(&cluster.store(2), 8, 600).await;
    attached(&cluster.store(2), "short", 7).await;
    attached(&cluster.store(3), "long", 8).await;
    let begun = Instant::now();
    for leader in [2, 3, 1, 2, 3] {
        cluster.elect(leader).await;
        let early = begun.elapsed() < Duration::from_millis(1900);
        assert!(revocations(&cluster, 7) == 0 || !early, "it ended early");
        for store in cluster.stores() {
            let long = store
                .lease_time_to_live(LeaseId(8), true)
                .await
                .expect("an answer");
            assert!((595..=600).contains(&long.ttl), "{long:?}");
            assert_eq!(long.keys.len(), 1);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    eventually("the lease ends", || revocations(&cluster, 7) > 0).await;
    let lasted = begun.elapsed();
    assert!(lasted >= Duration::from_millis(1900), "{lasted:?}");
    assert!(lasted < Duration::from_secs(30), "{lasted:?}");
    is_over(&cluster, 7, "short").await;
    assert_eq!(pairs(&cluster.store(1)).await.count, 1);
    every_leader_knows_the_leases(&cluster).await;
}

#[tokio::test]
async fn a_lease_that_is_asked_for_where_the_clock_is_wrong_lasts_as_long_as_any() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = with_clocks_apart(folder.path());
    // Members 1 and 3 have not heard the leader's clock when they are asked.
    cluster.network.starve(1);
    cluster.network.starve(3);
    cluster.elect(2).await;
    for id in MEMBERS {
        let lease = LeaseId(id as i64);
        granted(&cluster.store(id), lease.0, 60).await;
        let wanted = cluster.store(2).lease_clock_ms() + Lease::ttl_ms(60) + Lease::slack_ms(60);
        let effects = cluster.record.effects();
        let stored = effects.iter().find_map(|effect| match effect {
            Effect::LeaseGranted(granted) if granted.id == lease => Some(granted.deadline_ms),
            _ => None,
        });
        let off = wanted.abs_diff(stored.expect("granted"));
        assert!(off < 10_000, "off by {off} ms when asked of member {id}");
    }
    cluster.network.feed();
    all_agree_with_the_log(&cluster).await;
    every_leader_knows_the_leases(&cluster).await;
}

/// Keeps a lease alive, and looks at it, until told to stop. Every answer must be good.
async fn keep_on(store: Store, lease: LeaseId, kept: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Relaxed) {
        let reply = store.lease_keep_alive(lease).await.expect("kept alive");
        assert_eq!(reply.ttl, 600);
        store.leases().await.expect("leases");
        let left = store.lease_time_to_live(lease, false).await;
        assert!(left.expect("it is there").ttl > 300);
        kept.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn who_keeps_a_lease_alive_is_not_bothered_with_leader_changes() {
    let cluster = Cluster::led_by(1).await;
    granted(&cluster.store(1), 7, 600).await;
    let (stop, kept) = (Arc::new(AtomicBool::new(false)), MEMBERS.map(|_| Arc::default()));
    let keepers: Vec<_> = cluster
        .stores()
        .into_iter()
        .zip(&kept)
        .map(|(store, kept)| {
            let keeping = keep_on(store, LeaseId(7), Arc::clone(kept), Arc::clone(&stop));
            tokio::spawn(keeping)
        })
        .collect();
    for leader in [2, 3, 1, 3, 2, 1, 2, 1, 3] {
        cluster.depose();
        tokio::time::sleep(Duration::from_millis(10)).await;
        cluster.elect(leader).await;
        for (keeper, kept) in keepers.iter().zip(&kept) {
            let before = kept.load(Relaxed);
            let goes_on = || kept.load(Relaxed) > before + 1 || keeper.is_finished();
            eventually("the lease is kept alive", goes_on).await;
        }
    }
    stop.store(true, Relaxed);
    for keeper in keepers {
        within("a keeper", keeper).await.expect("every answer is good");
    }
}
