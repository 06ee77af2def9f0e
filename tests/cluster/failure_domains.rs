//! Members that fail together: votes are spread over their failure domains.

use crate::support::calls::within;
use crate::support::{Cluster, Plan, eventually, get, put};

/// Three voters share a rack: the fourth member, in another one, gets the vote of one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_another_domain_gets_a_vote() {
    let mut cluster = Cluster::start(Plan::default()).await;
    put(&mut cluster.client(0).await, "kept", "yes")
        .await
        .expect("a majority");
    let join = format!("--join={}:2380", cluster.nodes[0].host);
    let fourth = cluster.add_node(None);
    cluster.nodes[fourth].start(&[&join, "--failure-domain=7"]);
    cluster.serves(fourth).await;
    let id = cluster.id(fourth).await;
    eventually(|| async {
        match voters(&cluster).await? {
            voters if voters.len() == 3 && voters.contains(&id) => Ok(()),
            voters => Err(format!(
                "{id:x} has no vote, or the voters are not three: {voters:x?}"
            )),
        }
    })
    .await;
    let found = get(&mut cluster.client(fourth).await, "kept")
        .await
        .expect("it serves");
    assert_eq!(found.value.expect("it is there").0, "yes");
}

async fn voters(cluster: &Cluster) -> Result<Vec<u64>, String> {
    let list = within(cluster.client(0).await.member_list()).await?;
    let voting = list.members().iter().filter(|member| !member.is_learner());
    Ok(voting.map(|member| member.id()).collect())
}
