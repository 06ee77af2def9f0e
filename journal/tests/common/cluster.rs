//! Three members in one process, and how to reach the log as one of them.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use dqlite::client::{Client, Options, PlainConnector};
use dqlite::wire::Role;
use journal::{AppendError, Claim, DqliteLog, DqliteOptions, SharedLog as _};
use parking_lot::Mutex;

use crate::support::Single;

/// As long as anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Three nodes that vote.
pub(crate) struct Cluster {
    pub(crate) nodes: [Single; 3],
    /// Which of them leads, as of the last claim.
    leading: usize,
    /// Where the members believe that the leader is.
    known: Arc<Mutex<Option<String>>>,
}

impl Cluster {
    /// Makes a cluster whose first node leads.
    pub(crate) fn start() -> Self {
        let nodes = [1, 2, 3].map(Single::start_as);
        let addresses = nodes.each_ref().map(|node| node.address().to_owned());
        on_client(&addresses[0], async |client| {
            for (id, address) in [2, 3].into_iter().zip(&addresses[1..]) {
                client.add(id, address).await.expect("it can be added");
                client.assign(id, Role::Voter).await.expect("it can vote");
            }
        });
        let known = Arc::new(Mutex::new(Some(addresses[0].clone())));
        Self {
            nodes,
            leading: 0,
            known,
        }
    }

    /// The options of a member, counted from 0.
    pub(crate) fn options(&self, member: usize) -> DqliteOptions {
        let known = Arc::clone(&self.known);
        DqliteOptions {
            leader: Arc::new(move || known.lock().clone()),
            ..DqliteOptions::new(member as u64 + 1, self.nodes[member].address())
        }
    }

    pub(crate) fn log(&self, member: usize) -> DqliteLog {
        DqliteLog::new(self.options(member))
    }

    /// Lets no member know where the leader is.
    pub(crate) fn forget_leader(&self) {
        *self.known.lock() = None;
    }

    /// Lets the members know that this one leads.
    pub(crate) fn find_leader(&self, member: usize) {
        *self.known.lock() = Some(self.nodes[member].address().to_owned());
    }

    /// Makes another member the leader.
    pub(crate) fn transfer(&self, from: usize, to: usize) {
        on_client(self.nodes[from].address(), async |client| {
            client.transfer(Some(to as u64 + 1)).await.expect("it gives way");
        });
    }

    /// Claims the log as whichever of these members leads.
    pub(crate) fn claim(&mut self, members: &[usize]) -> (usize, DqliteLog, Claim) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for &member in members {
                let log = self.log(member);
                match log.claim() {
                    Ok(claim) => {
                        self.find_leader(member);
                        self.leading = member;
                        return (member, log, claim);
                    }
                    Err(AppendError::NotLeader(_) | AppendError::Lost(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(Instant::now() < deadline, "nobody leads");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Cluster {
    /// The leader goes last: dqlite 1.18.7 aborts when a leader is stopped that has yet to write to its own
    /// disk what the others have stored already.
    fn drop(&mut self) {
        let members = self.nodes.iter_mut().enumerate();
        let others = members.filter(|(member, _)| *member != self.leading);
        others.for_each(|(_, node)| node.pause());
    }
}

fn on_client(address: &str, work: impl AsyncFnOnce(&mut Client)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Client::connect(&PlainConnector, address, Options::default()).await;
        work(&mut client.expect("the node can be reached")).await;
    });
}

/// Tries until it succeeds.
pub(crate) fn eventually<T, E: std::fmt::Display>(mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
