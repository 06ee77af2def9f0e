//! What members count for etcd's metrics: each what it applies, whoever decided it.

use model::{Command, LeaseGrant, LeaseId};

use crate::client::{delete, put};
use crate::cluster::{Cluster, eventually};
use crate::members::MEMBERS;

/// Puts, deletes, transactions, leases granted, revoked and there, as a member counts them.
fn counts(cluster: &Cluster, member: u64) -> [u64; 6] {
    let report = cluster.store(member).report();
    [
        report.keyspace.puts,
        report.keyspace.deletes,
        report.keyspace.transactions,
        report.leases.granted,
        report.leases.revoked,
        report.leases.active as u64,
    ]
}

fn grant(id: i64, now_ms: i64) -> Command {
    Command::LeaseGrant(LeaseGrant {
        id: LeaseId(id),
        chosen: LeaseId(id),
        ttl: 600,
        now_ms,
    })
}

#[tokio::test]
async fn every_member_counts_what_it_applies() {
    let cluster = Cluster::led_by(1).await;
    let now_ms = cluster.store(1).lease_clock_ms();
    let commands = [
        put("one", "1"),
        put("two", "2"),
        delete("one"),
        delete("one"),
        grant(5, now_ms),
        grant(6, now_ms),
        Command::LeaseRevoke(LeaseId(5)),
        put("last", "3"),
    ];
    for (command, through) in commands.into_iter().zip(MEMBERS.into_iter().cycle()) {
        cluster.store(through).submit(command).await.expect("stored");
    }
    // One of the deletes had no effect. The answer to a revocation does not wait for the lease actor.
    for member in MEMBERS {
        eventually(&format!("{member} counts what was done"), || {
            let [puts, deletes, _, granted, revoked, active] = counts(&cluster, member);
            [puts, deletes, granted, revoked, active] == [3, 2, 2, 1, 1]
        })
        .await;
    }
    let transactions = MEMBERS.map(|member| counts(&cluster, member)[2]);
    assert_eq!(transactions, [transactions[0]; 3]);

    // Whoever leads next goes on counting, and nothing is counted twice.
    cluster.elect(2).await;
    cluster.store(3).submit(delete("two")).await.expect("stored");
    cluster.store(3).submit(put("two", "4")).await.expect("stored");
    for member in MEMBERS {
        eventually(&format!("{member} counts on"), || {
            let [puts, deletes, _, granted, revoked, active] = counts(&cluster, member);
            [puts, deletes, granted, revoked, active] == [4, 3, 2, 1, 1]
        })
        .await;
    }
}
