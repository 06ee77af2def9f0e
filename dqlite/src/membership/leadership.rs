//! Who leads, as the local node knows it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::context::Context;
use super::line::Line;
use crate::client::Error;
use crate::client::leader::{Finder, Led};
use crate::wire::{Role, Server};

/// How often a node that does not vote asks one that does.
const DISTANT: Duration = Duration::from_millis(500);

/// Keeps `leader` up to date, for ever.
pub(super) async fn watch(context: Arc<Context>, every: Duration, leader: watch::Sender<Option<Server>>) {
    let mut seeker = Seeker::new(context);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let found = seeker.seek().await;
        leader.send_if_modified(|known| {
            let changed = *known != found;
            if changed {
                tracing::info!(leader = ?found, "leadership");
                *known = found;
            }
            changed
        });
    }
}

struct Seeker {
    local: Line,
    distant: Distant,
    context: Arc<Context>,
}

impl Seeker {
    fn new(context: Arc<Context>) -> Self {
        Self {
            local: context.local(),
            distant: Distant::new(&context),
            context,
        }
    }

    async fn seek(&mut self) -> Option<Server> {
        match self.ask_local().await {
            Ok(Answer::Leader(server)) => Some(server),
            Ok(Answer::Election) => None,
            Ok(Answer::NoVote) => self.distant.seek(&self.context).await,
            Err(error) => {
                tracing::warn!(%error, "the local node does not say who leads");
                None
            }
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
