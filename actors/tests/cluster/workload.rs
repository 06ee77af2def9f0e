//! Clients that do this and that, and remember what they were told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};

use actors::{RequestError, Store};
use bytes::Bytes;
use model::{Command, DeleteRange, Event, KeyRange, LeaseId, Revision};
use tokio::task::JoinHandle;

use crate::client::{Outcome, bytes, delete, grant, look, pairs, put_with, succeeded, swap, text};
use crate::cluster::Cluster;
use crate::dice::Dice;

/// Keys that the clients share.
const KEYS: u64 = 30;
/// Leases that the clients share.
const LEASES: u64 = 8;

/// What a linearizable read saw, and the newest revision that had been acknowledged to anybody before it.
struct Read {
    acknowledged: Revision,
    revision: Revision,
    pairs: BTreeMap<Bytes, String>,
}

/// What clients were told.
#[derive(Default)]
pub struct Told {
    /// Values that were stored, and where.
    stored: Vec<(Revision, String)>,
    /// Values of which it was said that they are not stored.
    refused: Vec<String>,
    /// Values that nobody can say anything about.
    unknown: Vec<String>,
    reads: Vec<Read>,
    /// Every error that was told, and how often.
    errors: HashMap<String, usize>,
}

impl Told {
    pub fn with(mut self, other: Self) -> Self {
        self.stored.extend(other.stored);
        self.refused.extend(other.refused);
        self.unknown.extend(other.unknown);
        self.reads.extend(other.reads);
        for (error, times) in other.errors {
            *self.errors.entry(error).or_default() += times;
        }
        self
    }

    pub fn summary(&self) -> String {
        let [stored, refused, unknown] = [self.stored.len(), self.refused.len(), self.unknown.len()];
        let reads = self.reads.len();
        format!(
            "{stored} stored, {refused} refused, {unknown} unknown, {reads} reads, {:?}",
            self.errors
        )
    }

    /// Checks everything that was told against everything that was stored.
    pub fn is_true(&mut self, cluster: &Cluster) {
        let events = cluster.record.events();
        let mut by_value: HashMap<&[u8], Vec<&Event>> = HashMap::new();
        for event in events.iter().filter(|event| !event.is_delete()) {
            by_value.entry(event.value.as_ref()).or_default().push(event);
        }
        for (revision, value) in &self.stored {
            let found = by_value.get(value.as_bytes()).map(Vec::as_slice);
            let Some([event]) = found else {
                panic!("{value} was stored once, not {found:?}")
            };
            assert_eq!(event.version.mod_revision, *revision, "{value}");
        }
        for value in &self.refused {
            assert!(!by_value.contains_key(value.as_bytes()), "{value} was not stored");
        }
        for value in &self.unknown {
            let found = by_value.get(value.as_bytes());
            assert!(found.is_none_or(|found| found.len() == 1), "{value}: {found:?}");
        }
        self.reads_are_true(&events);
    }

    /// A read saw exactly what was there at its revision, and no older one than had been acknowledged.
    fn reads_are_true(&mut self, events: &[Event]) {
        self.reads.sort_by_key(|read| read.revision);
        let mut events = events.iter().peekable();
        let mut pairs: BTreeMap<Bytes, String> = BTreeMap::new();
        for read in &self.reads {
            assert!(read.revision >= read.acknowledged, "a read of the past");
            while let Some(event) = events.next_if(|event| event.version.mod_revision <= read.revision) {
                if event.is_delete() {
                    pairs.remove(&event.key);
                } else {
                    let value = String::from_utf8_lossy(&event.value).into_owned();
                    pairs.insert(event.key.clone(), value);
                }
            }
            assert_eq!(read.pairs, pairs, "at revision {}", read.revision.0);
        }
    }
}

/// A client at work.
pub struct Worker {
    stop: Arc<AtomicBool>,
    work: JoinHandle<Told>,
}

impl Worker {
    /// A client of this number, on this store. `acknowledged` is the newest revision that any client was told.
    pub fn start(store: Store, number: u64, seed: u64, acknowledged: &Arc<AtomicI64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = Client {
            store,
            name: format!("{seed}-{number}"),
            dice: Dice::new(seed.wrapping_mul(1000).wrapping_add(number)),
            counter: 0,
            acknowledged: Arc::clone(acknowledged),
            told: Told::default(),
        };
        Self {
            work: tokio::spawn(client.work(Arc::clone(&stop))),
            stop,
        }
    }

    /// Ends the client, and tells what it was told.
    pub async fn stop(self) -> Told {
        self.stop.store(true, SeqCst);
        self.work.await.expect("no panic")
    }
}

struct Client {
    store: Store,
    name: String,
    dice: Dice,
    counter: u64,
    acknowledged: Arc<AtomicI64>,
    told: Told,
}

/// Whether an error says that nothing was done.
fn says_no(error: &RequestError) -> bool {
    matches!(
        error,
        RequestError::Refused(_)
            | RequestError::Overloaded
            | RequestError::NotStored(_)
            | RequestError::NoLeader
            | RequestError::NotLeader
    )
}

impl Client {
    async fn work(mut self, stop: Arc<AtomicBool>) -> Told {
        while !stop.load(SeqCst) {
            match self.dice.below(20) {
                0..=7 => self.put().await,
                8..=10 => self.swap().await,
                11..=12 => self.delete().await,
                13..=15 => self.read().await,
                16 => self.look().await,
                17..=18 => self.lease().await,
                _ => self.compact().await,
            }
        }
        self.told
    }

    fn key(&mut self) -> String {
        format!("key-{:02}", self.dice.below(KEYS))
    }

    /// A value that nobody else writes, and this client once.
    fn value(&mut self) -> String {
        self.counter += 1;
        format!("{}-{}", self.name, self.counter)
    }

    fn lease_id(&mut self) -> i64 {
        1 + i64::try_from(self.dice.below(LEASES)).expect("a small number")
    }

    async fn submit(&mut self, command: Command) -> Outcome {
        let outcome = self.store.submit(command).await;
        match &outcome {
            Ok(committed) => drop(self.acknowledged.fetch_max(committed.revision.0, SeqCst)),
            Err(error) => *self.told.errors.entry(error.to_string()).or_default() += 1,
        }
        outcome
    }

    fn remember(&mut self, value: String, outcome: Result<Option<Revision>, RequestError>) {
        match outcome {
            Ok(Some(revision)) => self.told.stored.push((revision, value)),
            Ok(None) => self.told.refused.push(value),
            Err(error) if says_no(&error) => self.told.refused.push(value),
            Err(_) => self.told.unknown.push(value),
        }
    }

    async fn put(&mut self) {
        let (key, value) = (self.key(), self.value());
        let lease = if self.dice.once_in(3) { self.lease_id() } else { 0 };
        let outcome = self.submit(put_with(&key, &value, LeaseId(lease))).await;
        self.remember(value, outcome.map(|committed| Some(committed.revision)));
    }

    /// Puts a value if the key has one that was read before.
    async fn swap(&mut self) {
        let (key, value) = (self.key(), self.value());
        let seen = crate::client::value(&self.store, &key).await;
        let command = swap(&key, &seen.unwrap_or_default(), &value);
        let outcome = self.submit(command).await;
        let outcome = outcome.map(|committed| succeeded(&committed).then_some(committed.revision));
        self.remember(value, outcome);
    }

    async fn delete(&mut self) {
        let key = self.key();
        let command = if self.dice.once_in(4) {
            let end = self.key();
            Command::DeleteRange(DeleteRange {
                range: KeyRange::Between(bytes(&key), bytes(&end)),
                prev_kv: false,
            })
        } else {
            delete(&key)
        };
        let _told = self.submit(command).await;
    }

    async fn look(&mut self) {
        let acknowledged = self.acknowledged.load(SeqCst);
        let key = self.key();
        if let Ok(committed) = self.submit(look(&key)).await {
            assert!(committed.revision.0 >= acknowledged, "a transaction saw the past");
        }
    }

    async fn read(&mut self) {
        let acknowledged = Revision(self.acknowledged.load(SeqCst));
        if self.store.linearize().await.is_err() {
            return;
        }
        let reply = pairs(&self.store).await;
        self.acknowledged.fetch_max(reply.revision.0, SeqCst);
        self.told.reads.push(Read {
            acknowledged,
            revision: reply.revision,
            pairs: reply
                .kvs
                .iter()
                .map(|pair| (pair.key.clone(), text(pair)))
                .collect(),
        });
    }

    async fn lease(&mut self) {
        let id = self.lease_id();
        match self.dice.below(4) {
            0 => drop(self.submit(Command::LeaseRevoke(LeaseId(id))).await),
            1 => drop(self.store.lease_keep_alive(LeaseId(id)).await),
            2 => drop(self.store.lease_time_to_live(LeaseId(id), true).await),
            _ => drop(self.submit(grant(&self.store, id, 3600)).await),
        }
    }

    async fn compact(&mut self) {
        let back = i64::try_from(self.dice.below(300)).expect("a small number");
        let at = Revision(self.store.revision().0 - back);
        if self.dice.once_in(5) {
            let _told = self.submit(Command::Compact(at)).await;
        }
    }
}
