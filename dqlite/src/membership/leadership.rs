//! Who leads, as the local node knows it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::context::Context;
use super::line::Line;
use crate::client::Error;
use crate::client::leader::{Finder, Led};
use crate::node::Leadership;
use crate::wire::{Role, Server};

/// How often a node that does not vote asks one that does.
const DISTANT: Duration = Duration::from_millis(500);

/// After how long without a leader a voter asks others.
const PUZZLING: Duration = Duration::from_secs(3);
/// How often a node is asked that tells by itself when it hears of a leader.
const CALM: Duration = Duration::from_secs(1);

/// Keeps `leader` up to date, for ever: when the local node tells that something changed, and from time to time.
pub(super) async fn watch(
    context: Arc<Context>,
    told: Option<watch::Receiver<Leadership>>,
    every: Duration,
    leader: watch::Sender<Option<Server>>,
) {
    let mut seeker = Seeker::new(context, told);
    loop {
        let found = seeker.seek().await;
        leader.send_if_modified(|known| {
            let changed = *known != found;
            if changed {
                tracing::info!(leader = ?found, "leadership");
                *known = found;
            }
            changed
        });
        seeker.rest(every).await;
    }
}

struct Seeker {
    local: Line,
    distant: Distant,
    context: Arc<Context>,
    /// What the local node tells by itself.
    told: Option<watch::Receiver<Leadership>>,
    /// Whether that is enough to know the leader by.
    told_enough: bool,
    /// Since when the local node has known no leader.
    leaderless: Option<Instant>,
}

impl Seeker {
    fn new(context: Arc<Context>, told: Option<watch::Receiver<Leadership>>) -> Self {
        Self {
            local: context.local(),
            distant: Distant::new(&context),
            context,
            told,
            told_enough: false,
            leaderless: None,
        }
    }

    async fn seek(&mut self) -> Option<Server> {
        let answer = self.ask_local().await;
        self.told_enough = self.told.is_some() && matches!(answer, Ok(Answer::Leader(_)));
        if matches!(answer, Ok(Answer::Leader(_))) {
            self.leaderless = None;
        }
        match answer {
            Ok(Answer::Leader(server)) => Some(server),
            Ok(Answer::Election) if !self.is_puzzled() => None,
            Ok(Answer::Election | Answer::NoVote) => self.distant.seek(&self.context).await,
            Err(error) => {
                tracing::warn!(%error, "the local node does not say who leads");
                None
            }
        }
    }

    /// Whether an election goes on for too long: a voter that was demoted while it was away takes itself for one
    /// still, and the leader does not speak to it any more.
    fn is_puzzled(&mut self) -> bool {
        self.leaderless.get_or_insert_with(Instant::now).elapsed() >= PUZZLING
    }

    /// Until it is time to ask again, or the node tells something.
    async fn rest(&mut self, every: Duration) {
        let time = sleep(if self.told_enough { CALM } else { every });
        let Some(told) = &mut self.told else {
            return time.await;
        };
        tokio::select! {
            () = time => {}
            changed = told.changed() => match changed {
                Ok(()) => self.distant.hurry(),
                Err(_) => self.told = None,
            },
        }
    }

    async fn ask_local(&mut self) -> Result<Answer, Error> {
        let client = self.local.client().await?;
        if let Some(server) = client.leader().await? {
            return Ok(Answer::Leader(server));
        }
        let members = client.cluster().await?;
        Ok(match self.context.own_role(&members) {
            Some(Role::Voter) => Answer::Election,
            _ => Answer::NoVote,
        })
    }
}

/// What the local node says.
enum Answer {
    Leader(Server),
    /// It votes and knows no leader.
    Election,
    /// It does not vote, so it is not told.
    NoVote,
}

/// Asking others.
struct Distant {
    finder: Finder,
    led: Option<Led>,
    next: Instant,
}

impl Distant {
    fn new(context: &Context) -> Self {
        Self {
            finder: context.finder(),
            led: None,
            next: Instant::now(),
        }
    }

    /// Something has changed: asks again at once.
    fn hurry(&mut self) {
        self.next = Instant::now();
    }

    /// The leader last found, which is asked again when it is time.
    async fn seek(&mut self, context: &Context) -> Option<Server> {
        if Instant::now() >= self.next {
            self.confirm().await;
            if self.led.is_none() {
                self.find(context).await;
            }
            self.next = Instant::now() + DISTANT;
        }
        self.led.as_ref().map(|led| led.leader.clone())
    }

    async fn confirm(&mut self) {
        if let Some(mut led) = self.led.take()
            && let Ok(Some(leader)) = led.client.leader().await
            && leader == led.leader
        {
            self.led = Some(led);
        }
    }

    async fn find(&mut self, context: &Context) {
        let others = match context.other_members().await {
            Ok(others) => others,
            Err(error) => return tracing::warn!(%error, "the members are not known"),
        };
        match self.finder.round(&others).await {
            Ok(led) => self.led = Some(led),
            Err(error) => tracing::debug!(%error, "nobody knows who leads"),
        }
    }
}
