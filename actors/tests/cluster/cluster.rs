//! Three members in one process, on a log in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::{
    ClusterReport, Member, MemberDescription, Membership, Patience, Pipeline, Promises, RequestError,
    Settings, Store,
};
use journal::{Identity, MemoryCluster, SharedLog};

use tokio::task::JoinHandle;

use crate::log::{MemberLog, Record};
use crate::members::{MEMBERS, View};
use crate::network::Network;

/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How long a request waits for a leader, unless a test says otherwise.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until something holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for an answer.
pub async fn within<T>(what: &str, answer: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(DEADLINE, answer).await;
    waited.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Waits for an answer that must be a good one.
pub async fn answered<T>(what: &str, answer: JoinHandle<Result<T, RequestError>>) -> T {
    let outcome = within(what, answer).await.expect("no panic");
    outcome.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// What a member is made of, running or not.
struct Node {
    membership: Membership,
    settings: Settings,
    view: Arc<View>,
    log: MemberLog,
    running: Option<(Pipeline, Member)>,
}

impl Node {
    fn start(&mut self) -> Member {
        let description = MemberDescription {
            identity: self.membership.identity,
            ..MemberDescription::default()
        };
        let started = Pipeline::start_member(self.membership.clone(), description, self.settings.clone());
        let (pipeline, member) = started.expect("a member");
        self.running = Some((pipeline, member.clone()));
        member
    }
}

/// The cluster. Its members end with it.
pub struct Cluster {
    pub log: MemoryCluster,
    /// Everything that was ever stored.
    pub record: Record,
    pub network: Arc<Network>,
    nodes: BTreeMap<u64, Node>,
}

/// What a test chooses about a cluster.
pub struct Choices {
    /// The settings of each member.
    pub settings: Box<dyn Fn(u64) -> Settings>,
    /// How long a request waits for a leader.
    pub patience: Duration,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            settings: Box::new(|_| Settings::default()),
            patience: PATIENCE,
        }
    }
}

impl Cluster {
    /// Three members, none of which leads.
    pub fn start(choices: &Choices) -> Self {
        let mut cluster = Self {
            log: MemoryCluster::new(),
            record: Record::default(),
            network: Network::new(),
            nodes: BTreeMap::new(),
        };
        for id in MEMBERS {
            cluster.nodes.insert(id, cluster.node(id, choices));
            cluster.start_again(id);
        }
        cluster
    }

    /// Three members, of which this one leads.
    pub async fn led_by(leader: u64) -> Self {
        let cluster = Self::start(&Choices::default());
        cluster.elect(leader).await;
        cluster
    }

    fn node(&self, id: u64, choices: &Choices) -> Node {
        let view = View::new(id, Arc::clone(&self.network));
        let log = MemberLog::new(&self.log, id, &self.record);
        let membership = Membership {
            identity: Identity {
                cluster_id: 7,
                member_id: id,
            },
            log: Arc::new(log.clone()) as Arc<dyn SharedLog>,
            members: Arc::clone(&view) as Arc<_>,
            promises: Arc::new(Promises::forgetful()),
            patience: Patience {
                request: choices.patience,
                leader: DEADLINE,
            },
            claim_again: Arc::default(),
        };
        Node {
            membership,
            settings: (choices.settings)(id),
            view,
            log,
            running: None,
        }
    }

    /// Ends a member, as an operator does.
    pub async fn stop(&mut self, id: u64) {
        self.network.leave(id);
        if let Some((pipeline, _)) = self.nodes.get_mut(&id).and_then(|node| node.running.take()) {
            let stopped = tokio::task::spawn_blocking(move || pipeline.stop());
            within("the end of a member", stopped).await.expect("a clean end");
        }
    }

    /// Starts a member that was ended. It remembers what it promised, and who leads.
    pub fn start_again(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).expect("a member");
        let member = node.start();
        self.network.join(id, member);
    }

    fn of(&self, id: u64) -> &Node {
        &self.nodes[&id]
    }

    /// A member that runs, as the others see it.
    pub fn member(&self, id: u64) -> Member {
        let running = self.of(id).running.as_ref();
        running.map(|(_, member)| member.clone()).expect("it runs")
    }

    /// The store of a member that runs.
    pub fn store(&self, id: u64) -> Store {
        self.member(id).store().clone()
    }

    /// All stores.
    pub fn stores(&self) -> Vec<Store> {
        MEMBERS.iter().map(|id| self.store(*id)).collect()
    }

    /// A member's hold on the log.
    pub fn log_of(&self, id: u64) -> &MemberLog {
        &self.of(id).log
    }

    /// What a member says of its place among the others.
    pub fn report(&self, id: u64) -> ClusterReport {
        let report = self.store(id).report();
        report.cluster.expect("a member of several")
    }

    pub fn leads(&self, id: u64) -> bool {
        self.report(id).leadership.is_leading()
    }

    /// Tells one member who leads, whatever the log says.
    pub fn sees(&self, id: u64, leader: Option<u64>) {
        self.of(id).view.sees(leader);
    }

    /// The log lets this member lead, and these members learn it.
    pub fn elect_for(&self, leader: Option<u64>, members: impl IntoIterator<Item = u64>) {
        self.log.elect(leader);
        members.into_iter().for_each(|id| self.sees(id, leader));
    }

    /// Everybody learns that nobody leads.
    pub fn depose(&self) {
        self.elect_for(None, MEMBERS);
    }

    /// Makes a member the leader, for everybody, and waits until it leads.
    pub async fn elect(&self, leader: u64) {
        self.elect_for(Some(leader), MEMBERS);
        self.until_leads(leader).await;
    }

    pub async fn until_leads(&self, leader: u64) {
        eventually(&format!("member {leader} leads"), || self.leads(leader)).await;
    }

    /// Waits until everybody has come to where the log is.
    pub async fn settled(&self) {
        let newest = self
            .record
            .events()
            .last()
            .map(|event| event.version.mod_revision);
        for id in MEMBERS {
            let store = self.store(id);
            let reached = || newest.is_none_or(|newest| store.revision() >= newest);
            eventually(&format!("member {id} at the log's end"), reached).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            node.log.release_appends();
            if let Some((pipeline, _)) = node.running.take() {
                std::thread::spawn(move || pipeline.stop());
            }
        }
    }
}
