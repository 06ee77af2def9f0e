//! Clients at work on every member: writers, readers and watchers that record everything they see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{Client, WatchOptions};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::calls::{PATIENCE, client, eventually, get, put, within};
use super::cluster::Cluster;
use super::history::{Done, Log, Operation, faults};

/// Keys that all writers share, so that every reader sees everybody's writes.
const KEYS: usize = 5;
/// Writers per member.
const WRITERS: usize = 2;
/// The pause after each call: a debug build on a small machine has better to do than to be saturated.
const PAUSE: Duration = Duration::from_millis(3);

/// What was recorded so far.
#[derive(Default)]
struct Records {
    operations: Mutex<Vec<Operation>>,
    acknowledged: AtomicUsize,
    /// What the watcher of each member saw, in the order in which it came.
    seen: Vec<Mutex<Vec<(i64, String, String)>>>,
}

/// Clients that are at work.
pub(crate) struct Load {
    records: Arc<Records>,
    working: CancellationToken,
    watching: CancellationToken,
    workers: JoinSet<()>,
    watchers: JoinSet<()>,
}

/// One client's way to a member.
struct Worker {
    number: usize,
    member: usize,
    url: String,
    records: Arc<Records>,
    working: CancellationToken,
}

impl Load {
    /// Sets clients to work on all members.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let members = cluster.nodes.len();
        let mut load = Self {
            records: Arc::new(Records {
                seen: (0..members).map(|_| Mutex::default()).collect(),
                ..Records::default()
            }),
            working: CancellationToken::new(),
            watching: CancellationToken::new(),
            workers: JoinSet::new(),
            watchers: JoinSet::new(),
        };
        for (member, node) in cluster.nodes.iter().enumerate() {
            load.add(member, &node.client_url());
        }
        load
    }

    fn add(&mut self, member: usize, url: &str) {
        for role in 0..=WRITERS {
            let worker = Worker {
                number: member * 10 + role,
                member,
                url: url.to_owned(),
                records: Arc::clone(&self.records),
                working: self.working.clone(),
            };
            if role < WRITERS {
                self.workers.spawn(worker.write());
            } else {
                self.workers.spawn(worker.read());
            }
        }
        let watching = self.watching.clone();
        let watch = watch(member, url.to_owned(), Arc::clone(&self.records));
        self.watchers.spawn(async move {
            watching.run_until_cancelled(watch).await;
        });
    }

    /// Waits until so many more writes have been acknowledged.
    pub(crate) async fn more(&self, writes: usize) {
        let before = self.records.acknowledged.load(Ordering::Relaxed);
        eventually(|| async {
            let now = self.records.acknowledged.load(Ordering::Relaxed);
            let missing = (before + writes).saturating_sub(now);
            if missing == 0 {
                Ok(())
            } else {
                Err(format!("{missing} of {writes} acknowledged writes"))
            }
        })
        .await;
    }

    /// Waits until a member has acknowledged so many more writes.
    pub(crate) async fn more_through(&self, member: usize, writes: usize) {
        let count = || {
            let operations = self.records.operations.lock();
            let good = |operation: &&Operation| {
                operation.member == member && matches!(operation.done, Done::Write { outcome: Ok(_), .. })
            };
            operations.iter().filter(good).count()
        };
        let wanted = count() + writes;
        eventually(|| async {
            if count() >= wanted {
                Ok(())
            } else {
                Err(format!("{writes} more writes through member {member}"))
            }
        })
        .await;
    }

    /// The operations recorded so far.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.records.operations.lock().clone()
    }

    /// Has what others did checked with the rest.
    pub(crate) fn include(&self, operations: impl IntoIterator<Item = Operation>) {
        self.records.operations.lock().extend(operations);
    }

    /// What was said of writes that were not acknowledged, each with how often.
    pub(crate) fn refusals(&self) -> BTreeMap<String, usize> {
        let mut refusals = BTreeMap::new();
        for operation in self.operations() {
            if let Done::Write {
                outcome: Err(said), ..
            } = operation.done
            {
                *refusals.entry(said).or_default() += 1;
            }
        }
        refusals
    }

    /// Ends the work and checks everything, with these members, which must be up.
    pub(crate) async fn check(mut self, cluster: &Cluster, members: &[usize]) {
        self.working.cancel();
        while self.workers.join_next().await.is_some() {}
        let mut newest = 0;
        for member in members {
            let mut client = cluster.client(*member).await;
            newest = get(&mut client, "/none").await.expect("it serves").revision;
        }
        for member in members {
            self.has_seen(*member, newest).await;
        }
        self.watching.cancel();
        while self.watchers.join_next().await.is_some() {}
        equal_hashes(cluster, members, newest).await;
        let log = whole_log(&mut cluster.client(members[0]).await, newest).await;
        for member in members {
            check_watcher(*member, &self.records.seen[*member].lock(), &log);
        }
        let operations = self.operations();
        println!(
            "{} operations, revision {newest}, not acknowledged: {:?}",
            operations.len(),
            self.refusals()
        );
        let faults = faults(&operations, &log);
        assert!(
            faults.is_empty(),
            "{} faults:\n{}",
            faults.len(),
            faults[..faults.len().min(10)].join("\n")
        );
    }

    async fn has_seen(&self, member: usize, revision: i64) {
        eventually(|| async {
            let last = self.records.seen[member].lock().last().map_or(1, |seen| seen.0);
            if last >= revision {
                Ok(())
            } else {
                Err(format!(
                    "the watcher of member {member} is at {last} of {revision}"
                ))
            }
        })
        .await;
    }
}

/// Every revision once, in order, and as the log has it.
fn check_watcher(member: usize, seen: &[(i64, String, String)], log: &Log) {
    for pair in seen.windows(2) {
        assert!(
            pair[0].0 < pair[1].0,
            "the watcher of member {member} saw {pair:?}"
        );
    }
    let seen: Log = seen
        .iter()
        .map(|(revision, key, value)| (*revision, (key.clone(), value.clone())))
        .collect();
    let unlike: Vec<_> = log
        .iter()
        .filter(|(revision, entry)| seen.get(revision) != Some(entry))
        .collect();
    assert!(
        unlike.is_empty(),
        "the watcher of member {member} has not seen {unlike:?} of the log"
    );
    assert_eq!(
        seen.len(),
        log.len(),
        "the watcher of member {member} saw more than the log has"
    );
}

/// All members hold the same.
pub(crate) async fn equal_hashes(cluster: &Cluster, members: &[usize], revision: i64) {
    let mut hashes = Vec::new();
    for member in members {
        let client = cluster.client(*member).await;
        // A member says so if its own replica has not come that far yet.
        let hash = eventually(|| {
            let mut client = client.clone();
            async move { within(client.hash_kv(revision)).await }
        });
        hashes.push(hash.await.hash());
    }
    assert!(
        hashes.windows(2).all(|pair| pair[0] == pair[1]),
        "hashes at {revision}: {hashes:?}"
    );
}

/// The log as a new watcher sees it.
async fn whole_log(client: &mut Client, newest: i64) -> Log {
    let mut log = Log::new();
    let options = WatchOptions::new().with_all_keys().with_start_revision(1);
    let mut stream = client.watch("", Some(options)).await.expect("a watch");
    let begun = Instant::now();
    while log.last_key_value().map_or(1, |(revision, _)| *revision) < newest {
        let message = tokio::time::timeout(PATIENCE.saturating_sub(begun.elapsed()), stream.message());
        let message = message
            .await
            .expect("in time")
            .expect("no error")
            .expect("no end");
        for (revision, key, value) in message.events().iter().map(written) {
            assert!(log.insert(revision, (key, value)).is_none(), "{revision} twice");
        }
    }
    log
}

fn written(event: &etcd_client::Event) -> (i64, String, String) {
    let kv = event.kv().expect("an event has a key");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (kv.mod_revision(), text(kv.key()), text(kv.value()))
}

impl Worker {
    async fn write(self) {
        let mut client = client(&self.url).await;
        let mut count = 0;
        while !self.working.is_cancelled() {
            count += 1;
            let (key, value) = (key(count), format!("{}-{count}", self.number));
            let begun = Instant::now();
            let outcome = put(&mut client, &key, &value).await;
            let failed = outcome.is_err();
            self.record(begun, Done::Write { key, value, outcome });
            self.pause(failed).await;
        }
    }

    async fn read(self) {
        let mut client = client(&self.url).await;
        let mut count = 0;
        while !self.working.is_cancelled() {
            count += 1;
            let key = key(count);
            let begun = Instant::now();
            let found = get(&mut client, &key).await;
            let failed = found.is_err();
            if let Ok(found) = found {
                self.record(begun, Done::Read { key, found });
            }
            self.pause(failed).await;
        }
    }

    fn record(&self, begun: Instant, done: Done) {
        let good = matches!(done, Done::Write { outcome: Ok(_), .. });
        self.records
            .acknowledged
            .fetch_add(usize::from(good), Ordering::Relaxed);
        self.records.operations.lock().push(Operation {
            member: self.member,
            begun,
            ended: Instant::now(),
            done,
        });
    }

    async fn pause(&self, failed: bool) {
        tokio::time::sleep(if failed { 10 * PAUSE } else { PAUSE }).await;
    }
}

fn key(count: usize) -> String {
    format!("r/{}", count % KEYS)
}

/// Watches everything through one member for ever, and goes on after every interruption where it was.
async fn watch(member: usize, url: String, records: Arc<Records>) {
    loop {
        let mut client = client(&url).await;
        let next = records.seen[member].lock().last().map_or(1, |seen| seen.0) + 1;
        let options = WatchOptions::new().with_all_keys().with_start_revision(next);
        if let Ok(mut stream) = client.watch("", Some(options)).await {
            while let Ok(Some(message)) = stream.message().await {
                if message.canceled() {
                    break;
                }
                records.seen[member]
                    .lock()
                    .extend(message.events().iter().map(written));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
