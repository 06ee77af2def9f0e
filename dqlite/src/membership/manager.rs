//! Giving out roles, while this node leads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::RoleSettings;
use super::context::{ANSWER, Context};
use super::line::{Described, Line};
use super::roles::{Assignment, Health, Node, plan};
use crate::client::{Error, Metadata};
use crate::wire::{Member, Server};

/// How long an assignment may take: a new voter has its log sent first.
const CATCH_UP: Duration = Duration::from_secs(120);
/// How long a member that could not be given a role is passed over.
const PASSED_OVER: Duration = Duration::from_secs(10);

/// How long a node that takes itself for another is passed over. One that was removed has heard of it by then, and ended;
/// a new one that was sent its predecessor's log knows no better before it is given a role.
const STAND_IN: Duration = Duration::from_secs(20);

/// Manages roles whenever this node leads, for ever.
pub(super) async fn manage(
    context: Arc<Context>,
    mut leader: watch::Receiver<Option<Server>>,
    settings: RoleSettings,
) {
    let own = context.server.id;
    let leads = |leader: &Option<Server>| leader.as_ref().is_some_and(|leader| leader.id == own);
    loop {
        if leader.wait_for(leads).await.is_err() {
            return;
        }
        let mut manager = Manager::new(Arc::clone(&context), settings);
        tokio::select! {
            () = manager.run() => {}
            _ = leader.wait_for(|leader| !leads(leader)) => {}
        }
    }
}

struct Manager {
    context: Arc<Context>,
    settings: RoleSettings,
    local: Line,
    contacts: HashMap<u64, Contact>,
}

/// What this leader knows of a member.
struct Contact {
    line: Option<Line>,
    metadata: Metadata,
    answers: bool,
    last_answer: Instant,
    passed_over_until: Instant,
    /// Since when the node there takes itself for another.
    stands_in_since: Option<Instant>,
}

impl Manager {
    fn new(context: Arc<Context>, settings: RoleSettings) -> Self {
        let local = context.line(&context.server.address, CATCH_UP);
        Self {
            context,
            settings,
            local,
            contacts: HashMap::new(),
        }
    }

    async fn run(&mut self) {
        let mut ticks = interval(self.settings.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while let Some(assignment) = self.consider().await {
                self.carry_out(assignment).await;
            }
        }
    }

    /// Asks every member, and decides. Nothing is decided unless the members are known.
    async fn consider(&mut self) -> Option<Assignment> {
        let members = match self.members().await {
            Ok(members) => members,
            Err(error) => {
                tracing::debug!(%error, "the local node does not tell the members");
                return None;
            }
        };
        self.ask_all(&members).await;
        let nodes: Vec<_> = members.iter().map(|member| self.node(member)).collect();
        plan(&nodes, self.context.server.id, self.settings.targets)
    }

    async fn members(&mut self) -> Result<Vec<Member>, Error> {
        self.local.client().await?.cluster().await
    }

    async fn ask_all(&mut self, members: &[Member]) {
        self.contacts
            .retain(|id, _| members.iter().any(|member| member.id == *id));
        let mut asked = JoinSet::new();
        for member in members {
            let contact = self.contacts.entry(member.id).or_insert_with(Contact::new);
            let kept = contact
                .line
                .take()
                .filter(|line| line.address() == member.address);
            let mut line = kept.unwrap_or_else(|| self.context.line(&member.address, ANSWER));
            let id = member.id;
            asked.spawn(async move {
                let answer = line.describe(id).await;
                (id, line, answer)
            });
        }
        while let Some(answer) = asked.join_next().await {
            if let Ok((id, line, answer)) = answer
                && let Some(contact) = self.contacts.get_mut(&id)
            {
                contact.hear(line, answer);
            }
        }
    }

    fn node(&self, member: &Member) -> Node {
        let contact = self.contacts.get(&member.id);
        let offline_after = self.settings.offline_after;
        let metadata = contact.map(|contact| contact.metadata).unwrap_or_default();
        Node {
            id: member.id,
            role: member.role,
            health: contact.map_or(Health::Wavering, |contact| contact.health(offline_after)),
            failure_domain: metadata.failure_domain,
            weight: metadata.weight,
        }
    }

    async fn carry_out(&mut self, Assignment { id, role }: Assignment) {
        let assigned = async { self.local.client().await?.assign(id, role).await };
        match assigned.await {
            Ok(()) => tracing::info!(id, %role, "a member has a new role"),
            Err(error) => {
                tracing::warn!(id, %role, %error, "a member could not be given a role");
                if let Some(contact) = self.contacts.get_mut(&id) {
                    contact.passed_over_until = Instant::now() + PASSED_OVER;
                }
                tokio::time::sleep(self.settings.poll).await;
            }
        }
    }
}

impl Contact {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            line: None,
            metadata: Metadata::default(),
            answers: false,
            last_answer: now,
            passed_over_until: now,
            stands_in_since: None,
        }
    }

    fn hear(&mut self, line: Line, answer: Result<Described, Error>) {
        self.line = Some(line);
        self.answers = match answer {
            Ok(Described::Member(metadata)) => {
                self.metadata = metadata;
                self.stands_in_since = None;
                true
            }
            Ok(Described::StandIn(reason)) => {
                let since = *self.stands_in_since.get_or_insert_with(Instant::now);
                tracing::debug!(%reason, "a member is passed over for a while");
                since.elapsed() >= STAND_IN
            }
            Err(_) => false,
        };
        if self.answers {
            self.last_answer = Instant::now();
        }
    }

    fn health(&self, offline_after: Duration) -> Health {
        let now = Instant::now();
        match self.answers {
            true if now >= self.passed_over_until => Health::Online,
            false if now.duration_since(self.last_answer) >= offline_after => Health::Offline,
            _ => Health::Wavering,
        }
    }
}
