//! A pipeline on the threads of the server that it belongs to.

use std::sync::{Arc, Mutex};

use actors::{Pipeline, RequestError, Settings, Store, Threads, serve_on};
use bytes::Bytes;
use journal::{AppendError, Journal, MemoryJournal};
use model::{Command, Effect, LeaseId, Put, Revision};

/// Writes that are tried until one is committed where it is wanted: on a machine that is busy commits take long.
const MOST_WRITES: usize = 20_000;

/// The names of the threads that appended.
type Names = Arc<Mutex<Vec<String>>>;

/// A log that notes who writes it.
struct Noting {
    log: MemoryJournal,
    names: Names,
}

impl Journal for Noting {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        let name = std::thread::current().name().unwrap_or("none").to_owned();
        self.names.lock().expect("no panic").push(name);
        self.log.append(effects)
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        self.log.upkeep()
    }
}

fn start(log: &MemoryJournal, threads: Threads) -> (Pipeline, Store, Names) {
    let names = Names::default();
    let noting = Noting {
        log: log.clone(),
        names: Arc::clone(&names),
    };
    let settings = Settings {
        threads,
        ..Settings::default()
    };
    let (pipeline, store) = Pipeline::start(noting, log.reader(), settings).expect("a pipeline");
    (pipeline, store, names)
}

fn put(key: &str) -> Command {
    Command::Put(Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::from_static(b"value"),
        lease: LeaseId::NONE,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    })
}

async fn stop(pipeline: Pipeline) {
    let stopped = tokio::task::spawn_blocking(move || pipeline.stop()).await;
    stopped.expect("a clean end");
}

#[test]
fn on_one_thread_and_on_several_what_was_admitted_is_stored_and_nothing_comes_after_the_end() {
    for threads in [1, 2] {
        let log = MemoryJournal::new();
        let served = serve_on(threads, |place| async {
            assert_eq!(matches!(place, Threads::Shared(_)), threads == 1);
            let (pipeline, store, _) = start(&log, place);
            let writes = (0..50).map(|number| {
                let store = store.clone();
                tokio::spawn(async move { store.submit(put(&format!("key-{number}"))).await })
            });
            for write in writes.collect::<Vec<_>>() {
                write.await.expect("no panic").expect("stored");
            }
            stop(pipeline).await;
            store.submit(put("late")).await
        });
        assert_eq!(served.expect("threads"), Err(RequestError::Stopped), "{threads}");
        let events = log.reader().events(Revision(0), usize::MAX).expect("readable");
        assert_eq!(events.events.len(), 50);
    }
}

/// Whoever has written alone for a while has writes committed where they are decided, which is the thread of the test.
#[test]
fn only_who_writes_alone_wakes_no_other_thread() {
    let log = MemoryJournal::new();
    serve_on(1, |place| async {
        let (pipeline, store, names) = start(&log, place);
        let last = || names.lock().expect("no panic").last().cloned().expect("a write");
        store.submit(put("first")).await.expect("stored");
        assert_eq!(last(), "log-writer");
        let mut writes = 0;
        while last() == "log-writer" {
            store.submit(put("alone")).await.expect("stored");
            writes += 1;
            assert!(writes < MOST_WRITES, "it was never seen to be alone");
        }
        let (left, right) = tokio::join!(store.submit(put("left")), store.submit(put("right")));
        left.and(right).expect("stored");
        store.submit(put("after")).await.expect("stored");
        assert_eq!(last(), "log-writer");
        stop(pipeline).await;
    })
    .expect("threads");
}
