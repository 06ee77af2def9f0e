//! Some members that make one cluster.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use etcd_client::{Client, StatusResponse};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::calls::{client, eventually, get, within};
use super::certificates::Authority;
use super::node::Node;
use super::trust::PeerFiles;

/// What a cluster is to be.
pub(crate) struct Plan {
    /// How many members it has.
    pub(crate) members: usize,
    /// Whether members use TLS.
    pub(crate) tls: bool,
    /// What every member is told as well.
    pub(crate) flags: Vec<String>,
    /// The addresses of the members, and what starts a process there; none: on loopback, directly.
    pub(crate) places: Option<Vec<(String, Vec<String>)>>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            members: 3,
            tls: false,
            flags: Vec::new(),
            places: None,
        }
    }
}

/// A cluster; dropped, its members are killed.
pub(crate) struct Cluster {
    /// The members, in the order in which they were made.
    pub(crate) nodes: Vec<Node>,
    /// Who signed the certificates of members, if they have any.
    pub(crate) authority: Option<Authority>,
    home: TempDir,
    block: Option<Block>,
}

/// Addresses on loopback that are ours as long as we listen on one of them: nobody's outgoing connections come from
/// them, so a member that starts again finds its ports free.
struct Block {
    prefix: String,
    _held: TcpListener,
}

impl Block {
    fn find() -> Self {
        let start = std::process::id();
        let blocks = (0..60_000).map(|step| (start.wrapping_mul(7) + step) % 60_000);
        let mut free = blocks.filter_map(|block| {
            let prefix = format!("127.{}.{}", 1 + block / 250, 1 + block % 250);
            let held = TcpListener::bind(format!("{prefix}.1:2378")).ok()?;
            Some(Self { prefix, _held: held })
        });
        free.next().expect("loopback has many addresses")
    }
}

impl Cluster {
    /// Starts a new cluster, and waits until every member serves.
    pub(crate) async fn start(plan: Plan) -> Self {
        let mut cluster = Self::plan(plan);
        for node in &mut cluster.nodes {
            node.start(&[]);
        }
        for index in 0..cluster.nodes.len() {
            cluster.serves(index).await;
        }
        cluster.all_vote().await;
        cluster
    }

    /// The members, none of them started.
    pub(crate) fn plan(plan: Plan) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            authority: plan.tls.then(|| Authority::new("members")),
            home: tempfile::tempdir().expect("a temporary directory"),
            block: plan.places.is_none().then(Block::find),
        };
        for index in 0..plan.members {
            cluster.add_node(plan.places.as_ref().map(|places| places[index].clone()));
        }
        let initial = cluster.list(&(0..plan.members).collect::<Vec<_>>());
        for node in &mut cluster.nodes {
            node.flags.extend(plan.flags.iter().cloned());
            node.flags.push(format!("--initial-cluster={initial}"));
        }
        cluster
    }

    /// The value of `--initial-cluster` for these members.
    pub(crate) fn list(&self, members: &[usize]) -> String {
        let entry = |index: &usize| format!("{}={}", self.nodes[*index].name, self.nodes[*index].peer_url());
        members.iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// One member more, not started, that does not know of the others.
    pub(crate) fn add_node(&mut self, place: Option<(String, Vec<String>)>) -> usize {
        let index = self.nodes.len();
        let (host, launcher) = place.unwrap_or_else(|| {
            let block = self.block.as_ref().expect("members on loopback");
            (format!("{}.{}", block.prefix, index + 1), Vec::new())
        });
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let mut node = Node::new(&format!("n{}", index + 1), &host, self.home.path(), scheme);
        node.launcher = launcher;
        if let Some(authority) = &self.authority {
            let files = PeerFiles::write(
                self.home.path(),
                &node.name,
                authority,
                &authority.issue(&[&host]),
            );
            node.flags = files.flags();
        }
        self.nodes.push(node);
        index
    }

    /// Where everything of this cluster is.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A client of one member.
    pub(crate) async fn client(&self, index: usize) -> Client {
        client(&self.nodes[index].client_url()).await
    }

    /// Waits until a member answers linearizable reads.
    pub(crate) async fn serves(&self, index: usize) {
        let client = self.client(index).await;
        eventually(|| {
            let mut client = client.clone();
            async move {
                get(&mut client, "/none")
                    .await
                    .map_err(|said| format!("member {index} serves: {said}"))
            }
        })
        .await;
    }

    /// What a member says of itself.
    pub(crate) async fn status(&self, index: usize) -> Result<StatusResponse, String> {
        let mut client = self.client(index).await;
        within(client.status()).await
    }

    /// The value of a metric without labels, as a member's page for Prometheus has it.
    pub(crate) async fn metric(&self, index: usize, name: &str) -> Result<String, String> {
        let page = self.metrics(index).await.map_err(|error| error.to_string())?;
        let named = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(' ')?.trim().to_owned());
        page.lines()
            .find_map(named)
            .ok_or_else(|| format!("{name} in {page}"))
    }

    async fn metrics(&self, index: usize) -> io::Result<String> {
        let mut stream = TcpStream::connect((&*self.nodes[index].host, 2379)).await?;
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        Ok(page)
    }

    /// A member's identity.
    pub(crate) async fn id(&self, index: usize) -> u64 {
        let status = self.status(index).await.expect("it runs");
        status.header().expect("a header").member_id()
    }

    /// Which member leads, as it says itself, among those that run.
    pub(crate) async fn leader(&mut self) -> usize {
        let running: Vec<_> = (0..self.nodes.len())
            .filter(|index| self.nodes[*index].runs())
            .collect();
        self.leader_of(&running).await
    }

    /// Which of some members leads, as it says itself.
    pub(crate) async fn leader_of(&self, among: &[usize]) -> usize {
        eventually(|| async {
            for index in among {
                let leads = |status: &StatusResponse| {
                    status
                        .header()
                        .is_some_and(|header| header.member_id() == status.leader())
                };
                if self.status(*index).await.as_ref().is_ok_and(leads) {
                    return Ok(*index);
                }
            }
            Err(format!("one of {among:?} that leads"))
        })
        .await
    }

    /// One that runs and does not lead.
    pub(crate) async fn follower(&mut self) -> usize {
        let leader = self.leader().await;
        (0..self.nodes.len())
            .find(|index| *index != leader && self.nodes[*index].runs())
            .expect("a follower")
    }

    /// Waits until all members vote, or as many as may.
    pub(crate) async fn all_vote(&self) {
        let wanted = if self.nodes.len() < 3 { 1 } else { 3 };
        eventually(|| async {
            let mut client = self.client(0).await;
            let members = within(client.member_list()).await?;
            let voters = members
                .members()
                .iter()
                .filter(|member| !member.is_learner())
                .count();
            if members.members().len() == self.nodes.len() && voters >= wanted {
                Ok(())
            } else {
                Err(format!("{wanted} voters of {}: {members:?}", self.nodes.len()))
            }
        })
        .await;
    }

    /// Starts members again, and waits until they serve.
    pub(crate) async fn restart(&mut self, indices: &[usize]) {
        for index in indices {
            self.nodes[*index].start(&[]);
        }
        for index in indices {
            self.serves(*index).await;
        }
    }

    /// The others.
    pub(crate) fn others(&self, index: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| *other != index).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- {} logged last:\n{}", node.name, node.last_words());
            }
        }
    }
}
