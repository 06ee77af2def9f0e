//! Clients that have all endpoints and try again, as etcd's own client for Go does: what a member could not do goes to
//! the next one, a bounded number of times.
//!
//! A read may always be tried again. A write whose answer was lost may have been done, so it is made to be done once
//! only, as Kubernetes makes its own: by a transaction that asks for the revision that was written before.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{Client, Compare, CompareOp, Error, Txn, TxnOp, TxnOpResponse};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::calls::{Found, PATIENCE, eventually, found, reason};
use super::cluster::Cluster;
use super::history::{Done, Operation};

/// How often one request is tried: as often as Go's client does.
const ATTEMPTS: usize = 100;
/// The pause after an attempt that came to nothing.
const BACK_OFF: Duration = Duration::from_millis(100);
/// The pause after a request.
const PAUSE: Duration = Duration::from_millis(3);
/// Keys of each client.
const KEYS: usize = 5;

/// Such clients at work: every one of their requests succeeds in the end, or the test fails.
pub(crate) struct Steady {
    answered: Arc<AtomicUsize>,
    working: CancellationToken,
    workers: JoinSet<Requester>,
}

/// One of them.
struct Requester {
    number: usize,
    clients: Vec<Client>,
    /// Which member is asked now.
    member: usize,
    /// The revision at which each key was written last.
    written: BTreeMap<String, i64>,
    operations: Vec<Operation>,
    /// What was said of attempts that came to nothing, each with how often.
    retried: BTreeMap<String, usize>,
}

impl Steady {
    /// Sets as many clients to work as there are members, each beginning with another.
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let mut steady = Self {
            answered: Arc::default(),
            working: CancellationToken::new(),
            workers: JoinSet::new(),
        };
        for number in 0..cluster.nodes.len() {
            let mut clients = Vec::new();
            for index in 0..cluster.nodes.len() {
                clients.push(cluster.client(index).await);
            }
            let requester = Requester {
                number,
                clients,
                member: number,
                written: BTreeMap::new(),
                operations: Vec::new(),
                retried: BTreeMap::new(),
            };
            let (working, answered) = (steady.working.clone(), Arc::clone(&steady.answered));
            steady.workers.spawn(requester.work(working, answered));
        }
        steady
    }

    /// Waits until so many more requests have been answered.
    pub(crate) async fn more(&self, requests: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + requests;
        eventually(|| async {
            let answered = self.answered.load(Ordering::Relaxed);
            if answered >= wanted {
                Ok(())
            } else {
                Err(format!("{} of {requests} requests", wanted - answered))
            }
        })
        .await;
    }

    /// Ends the work, and returns what was done.
    ///
    /// # Panics
    /// If a request did not succeed.
    pub(crate) async fn stop(self) -> Vec<Operation> {
        self.working.cancel();
        let mut operations = Vec::new();
        for requester in self.workers.join_all().await {
            println!(
                "steady client {}: {} requests, tried again: {:?}",
                requester.number,
                requester.operations.len(),
                requester.retried
            );
            operations.extend(requester.operations);
        }
        operations
    }
}

impl Requester {
    async fn work(mut self, working: CancellationToken, answered: Arc<AtomicUsize>) -> Self {
        for count in 0.. {
            if working.is_cancelled() {
                break;
            }
            let key = format!("steady/{}/{}", self.number, count % KEYS);
            let value = count.to_string();
            self.write(&key, &value).await;
            answered.fetch_add(1, Ordering::Relaxed);
            self.read(&key, &value).await;
            answered.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
        self
    }

    /// Nobody else writes the key: so it has the new value, or the one before.
    async fn write(&mut self, key: &str, value: &str) {
        let before = self.written.get(key).copied().unwrap_or_default();
        let once = Txn::new()
            .when([Compare::mod_revision(key, CompareOp::Equal, before)])
            .and_then([TxnOp::put(key, value, None)])
            .or_else([TxnOp::get(key, None)]);
        let begun = Instant::now();
        let answer = self
            .until_answered(|mut client| {
                let once = once.clone();
                async move { client.txn(once).await }
            })
            .await;
        let mut revision = answer.header().expect("a header").revision();
        if !answer.succeeded() {
            let [TxnOpResponse::Get(read)] = &answer.op_responses()[..] else {
                panic!("{key}: {answer:?}");
            };
            let (found, at) = found(read).value.expect("it has been written");
            assert_eq!(
                found, value,
                "{key}, written last at {before}, is at {at} what nobody wrote"
            );
            revision = at;
        }
        self.written.insert(key.to_owned(), revision);
        self.record(
            begun,
            Done::Write {
                key: key.to_owned(),
                value: value.to_owned(),
                outcome: Ok(revision),
            },
        );
    }

    async fn read(&mut self, key: &str, written: &str) {
        let begun = Instant::now();
        let answer = self
            .until_answered(|mut client| {
                let key = key.to_owned();
                async move { client.get(key, None).await }
            })
            .await;
        let found: Found = found(&answer);
        assert_eq!(
            found.value,
            Some((written.to_owned(), self.written[key])),
            "{key}"
        );
        let key = key.to_owned();
        self.record(begun, Done::Read { key, found });
    }

    /// Asks one member after the other until one answers.
    async fn until_answered<T, F>(&mut self, ask: impl Fn(Client) -> F) -> T
    where
        F: Future<Output = Result<T, Error>>,
    {
        let begun = Instant::now();
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let asked = timeout(left, ask(self.clients[self.member].clone())).await;
            let outcome = asked.unwrap_or_else(|_| panic!("no answer in {PATIENCE:?}; before: {said}"));
            match outcome {
                Ok(answer) => return answer,
                Err(error) if may_be_tried_again(&error) => said = reason(&error),
                Err(error) => panic!("member {} failed a request: {error:?}", self.member),
            }
            *self.retried.entry(said.clone()).or_default() += 1;
            self.member = (self.member + 1) % self.clients.len();
            sleep(BACK_OFF).await;
        }
        panic!("a request failed {ATTEMPTS} times, at last: {said}");
    }

    fn record(&mut self, begun: Instant, done: Done) {
        self.operations.push(Operation {
            member: self.member,
            begun,
            ended: Instant::now(),
            done,
        });
    }
}

/// Whether Go's client would try again: a member says that it cannot be used, or its connection broke, which Go's
/// library calls the same.
fn may_be_tried_again(error: &Error) -> bool {
    match error {
        Error::GRpcStatus(status) => status.code() == Code::Unavailable || status.source().is_some(),
        Error::TransportError(_) => true,
        _ => false,
    }
}
