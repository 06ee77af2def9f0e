//! A slow and lossy network between members.

use std::time::Duration;

use crate::support::relay::{Slowness, relay};
use crate::support::{Cluster, Load, Plan};

/// 200 ms there and back and five of a hundred pieces late; the election timeout is what an operator chooses for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_far_apart() {
    let flags = vec!["--election-timeout=3000".to_owned()];
    let mut cluster = Cluster::plan(Plan {
        tls: true,
        flags,
        ..Plan::default()
    });
    let slowness = Slowness {
        delay: Duration::from_millis(100),
        lost_percent: 5,
        again_after: Duration::from_millis(400),
    };
    for node in &mut cluster.nodes {
        node.listen_peer = Some(format!("{}://{}:2381", node.scheme, node.host));
        relay(
            format!("{}:2380", node.host),
            format!("{}:2381", node.host),
            slowness,
        )
        .await;
        node.start(&[]);
    }
    for index in 0..3 {
        cluster.serves(index).await;
    }
    cluster.all_vote().await;
    let load = Load::start(&cluster);
    for member in 0..3 {
        load.more_through(member, 10).await;
    }
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    load.more(10).await;
    cluster.restart(&[leader]).await;
    load.more_through(leader, 5).await;
    load.check(&cluster, &[0, 1, 2]).await;
}
