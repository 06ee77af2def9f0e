//! One client's way to the members: connects, calls with a limit in time, and takes down what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use prost::Message;
use proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use tokio::time::timeout;

use super::Member;
use crate::chaos::history::{Call, Outcome, Recorder, Renewal, Request, call_of, outcome_of};
use crate::client::wire::frame;
use crate::client::{CallError, Connection, Stream};

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_millis(500);
/// How long to wait before trying to connect again.
const PAUSE: Duration = Duration::from_millis(20);
/// Calls without an answer in a row after which a connection is given up.
const PATIENCE: u32 = 5;

/// A client that calls one thing at a time.
pub(super) struct Caller {
    client: u32,
    members: Arc<[Member]>,
    /// Number of the first of its members.
    first: usize,
    /// The member it calls now, among those it knows.
    member: usize,
    /// Goes to another member when one does not answer.
    roams: bool,
    connection: Option<Connection>,
    silent: u32,
    recorder: Recorder,
    /// How long an answer may take.
    limit: Duration,
}

impl Caller {
    pub(super) fn new(client: u32, members: &Arc<[Member]>, recorder: &Recorder, limit: Duration) -> Self {
        Self {
            client,
            members: Arc::clone(members),
            first: 0,
            member: client as usize % members.len(),
            roams: false,
            connection: None,
            silent: 0,
            recorder: recorder.clone(),
            limit,
        }
    }

    /// The same, going to another member when one does not answer.
    pub(super) fn roaming(self) -> Self {
        Self { roams: true, ..self }
    }

    /// The same, for a client that knows one member only, which is taken down under its number.
    pub(super) fn at(self, first: usize) -> Self {
        Self {
            first,
            member: 0,
            ..self
        }
    }

    /// Makes a call and takes it down. None if there was no connection, so that nothing was sent.
    pub(super) async fn call(&mut self, request: Request) -> Option<Outcome> {
        let connection = self.connected().await?;
        let invoked = self.recorder.now();
        let end = match timeout(self.limit, exchange(&connection, &request)).await {
            Ok(end) => end,
            Err(_) => Err(CallError::Wrong("no answer in time".to_owned())),
        };
        let returned = self.recorder.now();
        let lost = matches!(end, Err(CallError::Transport(_)));
        let outcome = outcome_of(&request, end);
        self.recorder.call(Call {
            client: self.client,
            member: self.number(),
            invoked,
            returned,
            request,
            outcome: outcome.clone(),
        });
        self.silent = match outcome {
            Outcome::Unknown(_) => self.silent + 1,
            Outcome::Answered(_) | Outcome::Refused(_) => 0,
        };
        if lost || self.silent >= PATIENCE || (self.roams && self.silent > 0) {
            self.give_up();
        }
        Some(outcome)
    }

    /// Keeps a lease alive and takes it down: the seconds that the server answered, 0 if there is no such lease. None
    /// without an answer.
    pub(super) async fn renew(&mut self, lease: i64) -> Option<i64> {
        let connection = self.connected().await?;
        let invoked = self.recorder.now();
        let end = timeout(self.limit, keep_alive(&connection, lease)).await;
        let returned = self.recorder.now();
        let ttl = end.ok().and_then(Result::ok);
        self.recorder.renewal(Renewal {
            client: self.client,
            member: self.number(),
            lease,
            invoked,
            returned,
            ttl,
        });
        if ttl.is_none() {
            self.give_up();
        }
        ttl
    }

    /// The number of the member it calls now.
    fn number(&self) -> u32 {
        u32::try_from(self.first + self.member).expect("few members")
    }

    async fn connected(&mut self) -> Option<Connection> {
        if self.connection.is_none() {
            self.connection = self.members[self.member].connect(CONNECTING).await.ok();
        }
        if self.connection.is_none() {
            self.give_up();
            tokio::time::sleep(PAUSE).await;
        }
        self.connection.clone()
    }

    fn give_up(&mut self) {
        self.connection = None;
        self.silent = 0;
        if self.roams {
            self.member = (self.member + 1) % self.members.len();
        }
    }
}

/// Sends a request and waits for the messages that answer it.
async fn exchange(connection: &Connection, request: &Request) -> Result<Vec<Bytes>, CallError> {
    let (method, message) = call_of(request);
    let route = connection.route(method);
    let mut route = route.map_err(|error| CallError::Malformed(error.to_string()))?;
    if !matches!(request, Request::Range(range) if range.streamed) {
        let mut answer = route.call(message).await?;
        return Ok(vec![answer.copy_to_bytes(answer.remaining())]);
    }
    let mut stream: Stream = route.stream().await?;
    stream.send(message)?;
    stream.finish()?;
    let mut messages = Vec::new();
    while let Some(message) = stream.next().await? {
        messages.push(message);
    }
    Ok(messages)
}

/// Sends one keep-alive on a stream of its own and waits for its answer.
async fn keep_alive(connection: &Connection, lease: i64) -> Result<i64, CallError> {
    let route = connection.route("/etcdserverpb.Lease/LeaseKeepAlive");
    let mut route = route.map_err(|error| CallError::Malformed(error.to_string()))?;
    let mut stream = route.stream().await?;
    stream.send_last(frame(&LeaseKeepAliveRequest { id: lease }))?;
    let answer = stream.next().await?;
    let answer = answer.ok_or_else(|| CallError::Malformed("a stream without an answer".to_owned()))?;
    let answer = LeaseKeepAliveResponse::decode(answer)?;
    match answer.id == lease {
        true => Ok(answer.ttl),
        false => Err(CallError::Wrong(format!("an answer about lease {}", answer.id))),
    }
}
