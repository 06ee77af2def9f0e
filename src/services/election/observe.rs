//! Following who leads, and what it says.

use std::collections::VecDeque;
use std::sync::Arc;

use actors::{CancelReason, WatchCreate, WatchEvent, WatchResponse, WatchResponses};
use model::{Event, KeyRange, KeyValue, Revision, Value};
use proto::v3electionpb::LeaderResponse;
use tonic::Status;

use crate::services::coordination::{oldest, read, watch, watch_of};
use crate::services::streams::{Session, Shutdown, on_shutdown};
use crate::services::{Context, convert, status};

/// What is looked at to learn of the next news.
enum Looking {
    /// Nothing yet: who leads must be read.
    Afresh,
    /// For somebody to stand for election.
    ForCandidate(WatchResponses),
    /// At the leader's key.
    AtLeader(WatchResponses),
}

/// One observer. It need not see each leader there was, but always hears of the newest.
pub(super) struct ObserveSession {
    context: Arc<Context>,
    queue: KeyRange,
    looking: Looking,
    /// What was seen and not yet told.
    news: VecDeque<LeaderResponse>,
    shutdown: Shutdown,
}

impl ObserveSession {
    pub(super) fn new(context: Arc<Context>, queue: KeyRange) -> Self {
        let shutdown = on_shutdown(context.shutdown());
        Self {
            context,
            queue,
            looking: Looking::Afresh,
            news: VecDeque::new(),
            shutdown,
        }
    }

    /// Reads who leads, and begins to watch what may change that.
    async fn look_up(&mut self) -> Result<(), Status> {
        let reply = read(self.context.store(), oldest(&self.queue)).await?;
        match reply.kvs.into_iter().next() {
            Some(leader) => self.follow(leader, reply.revision),
            None => {
                let watched = watch_of(self.queue.clone(), reply.revision);
                let responses = watch(
                    self.context.store(),
                    WatchCreate {
                        no_delete: true,
                        ..watched
                    },
                );
                self.looking = Looking::ForCandidate(responses);
            }
        }
        Ok(())
    }

    /// Tells of a leader as of a revision, and watches its key from there on.
    fn follow(&mut self, leader: KeyValue, revision: Revision) {
        let watched = watch_of(KeyRange::Single(leader.key.clone()), revision.next());
        let responses = watch(self.context.store(), watched);
        self.looking = Looking::AtLeader(responses);
        self.tell(leader, revision);
    }

    fn tell(&mut self, leader: KeyValue, revision: Revision) {
        let kv = Some(convert::key_value(leader));
        self.news.push_back(LeaderResponse {
            header: self.context.header(revision),
            kv,
        });
    }

    fn heard(&mut self, response: WatchResponse) -> Result<(), Status> {
        match response {
            WatchResponse::Created { .. } | WatchResponse::Progress { .. } => {}
            WatchResponse::Canceled {
                reason: CancelReason::Refused(reason),
                ..
            } => {
                return Err(Status::unknown(reason));
            }
            // History went on without us: what counts is who leads now.
            WatchResponse::Canceled { .. } => self.looking = Looking::Afresh,
            WatchResponse::Events { revision, events, .. } => self.saw(&events, revision),
        }
        Ok(())
    }

    fn saw(&mut self, events: &[WatchEvent], revision: Revision) {
        if matches!(self.looking, Looking::ForCandidate(..)) {
            if let Some(WatchEvent { event, .. }) = events.first() {
                self.follow(pair(event), event.version.mod_revision);
            }
            return;
        }
        for WatchEvent { event, .. } in events {
            if event.is_delete() {
                self.looking = Looking::Afresh;
                return;
            }
            self.tell(pair(event), revision);
        }
    }

    async fn listen(&mut self) -> Result<(), Status> {
        let (Looking::ForCandidate(responses) | Looking::AtLeader(responses)) = &mut self.looking else {
            return self.look_up().await;
        };
        let heard = tokio::select! {
            biased;
            () = &mut self.shutdown => None,
            heard = responses.next() => heard,
        };
        heard.map_or_else(|| Err(status::stopped()), |response| self.heard(response))
    }
}

fn pair(event: &Event) -> KeyValue {
    KeyValue {
        key: event.key.clone(),
        value: Value::Resident(event.value.clone()),
        version: event.version,
    }
}

impl Session for ObserveSession {
    type Answer = LeaderResponse;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(Ok(news));
            }
            if let Err(ended) = self.listen().await {
                return Some(Err(ended));
            }
        }
    }
}
