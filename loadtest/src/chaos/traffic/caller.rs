//! One client's way to the members: connects, calls with a limit in time, and takes down what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::timeout;

use super::Member;
use crate::chaos::history::{Call, Outcome, Recorder, Request, call_of, outcome_of};
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
            member: u32::try_from(self.first + self.member).expect("few members"),
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
