//! Leases keep their promise, whoever leads: not before their time, and not for ever.

use std::time::{Duration, Instant};

use etcd_client::PutOptions;

use crate::support::calls::within;
use crate::support::{Cluster, Plan, eventually, get};

/// A lease kept alive through one member after the other outlives leaders; one that is not ends, on time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_survive_leaders() {
    let mut cluster = Cluster::start(Plan::default()).await;
    let mut client = cluster.client(0).await;
    let kept = within(client.lease_grant(6, None)).await.expect("a lease").id();
    let left = within(client.lease_grant(6, None)).await.expect("a lease").id();
    for (key, lease) in [("kept", kept), ("left", left)] {
        let options = PutOptions::new().with_lease(lease);
        within(client.put(key, "x", Some(options)))
            .await
            .expect("a majority");
    }
    let granted = Instant::now();
    for round in 0..6 {
        let leader = cluster.leader().await;
        if round % 3 == 0 {
            cluster.nodes[leader].kill();
            cluster.restart(&[leader]).await;
        }
        let mut through = cluster.client(round % 3).await;
        eventually(|| {
            let mut through = through.clone();
            async move {
                let (mut keeper, mut stream) = within(through.lease_keep_alive(kept)).await?;
                within(keeper.keep_alive()).await?;
                let answer = within(stream.message()).await?.ok_or("the stream ends")?;
                (answer.ttl() > 0)
                    .then_some(())
                    .ok_or_else(|| format!("the lease has ended: {answer:?}"))
            }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let found = get(&mut through, "kept").await.expect("a majority");
        assert!(
            found.value.is_some(),
            "a lease that is kept alive ended in round {round}"
        );
    }
    // A new leader gives every lease its whole time again, as etcd's does: twice it led, and a third time at most.
    eventually(|| {
        let mut client = client.clone();
        async move {
            let found = get(&mut client, "left").await?;
            found
                .value
                .is_none()
                .then_some(())
                .ok_or_else(|| "the end of the other lease".to_owned())
        }
    })
    .await;
    println!("the lease that nobody kept ended after {:?}", granted.elapsed());
    assert!(granted.elapsed() >= Duration::from_secs(6), "before its time");
}
