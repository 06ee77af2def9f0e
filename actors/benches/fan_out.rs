//! What it costs to tell watchers of a write, through the whole pipeline with its log in memory: until the last one of
//! those whom it concerns has it. `make microbench` runs it.

use actors::{
    Pipeline, Settings, Store, WatchCreate, WatchRequest, WatchRequests, WatchResponse, WatchResponses,
};
use divan::Bencher;
use divan::counter::ItemsCount;
use journal::MemoryJournal;
use model::{Command, KeyRange, LeaseId, Put, Revision};
use tokio::runtime::{Builder, Runtime};

/// Numbers of watchers.
const WATCHERS: [i64; 2] = [100, 10_000];

fn main() {
    divan::main();
}

/// The keys below a name, as `/` and what follows it in the order of bytes bound them.
fn below(name: &str) -> KeyRange {
    KeyRange::new(format!("{name}/").into(), format!("{name}0").into())
}

/// A pipeline with watchers, all on one stream.
struct Bench {
    runtime: Runtime,
    store: Store,
    pipeline: Option<Pipeline>,
    requests: WatchRequests,
    responses: WatchResponses,
}

impl Bench {
    fn new(watchers: i64, range: impl Fn(i64) -> KeyRange) -> Self {
        let log = MemoryJournal::new();
        let started = Pipeline::start(log.clone(), log.reader(), Settings::default());
        let (pipeline, store) = started.expect("a pipeline");
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let (requests, responses) = store.open_watch_stream();
        let mut bench = Self {
            runtime,
            store,
            pipeline: Some(pipeline),
            requests,
            responses,
        };
        (0..watchers).for_each(|watcher| bench.watch(range(watcher)));
        bench
    }

    fn watch(&mut self, range: KeyRange) {
        self.requests.send(WatchRequest::Create(WatchCreate {
            watch_id: 0,
            range,
            start_revision: Revision(0),
            prev_kv: false,
            progress_notify: false,
            fragment: false,
            no_put: false,
            no_delete: false,
        }));
        let created = self.runtime.block_on(self.responses.next());
        assert!(
            matches!(created, Some(WatchResponse::Created { .. })),
            "{created:?}"
        );
    }

    /// Writes, and waits until so many watchers have heard of it.
    fn write(&mut self, key: &str, watchers: i64) {
        let put = Put {
            key: key.to_owned().into(),
            value: vec![7; 1024].into(),
            lease: LeaseId::NONE,
            prev_kv: false,
            ignore_value: false,
            ignore_lease: false,
        };
        self.runtime.block_on(async {
            self.store.submit(Command::Put(put)).await.expect("written");
            for _ in 0..watchers {
                let response = self.responses.next().await;
                assert!(
                    matches!(response, Some(WatchResponse::Events { .. })),
                    "{response:?}"
                );
            }
        });
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.stop();
        }
    }
}

/// Everybody watches what is written.
#[divan::bench(args = WATCHERS)]
fn all_are_concerned(bencher: Bencher<'_, '_>, watchers: i64) {
    let mut bench = Bench::new(watchers, |_| below("/registry/pods"));
    bencher
        .counter(ItemsCount::new(usize::try_from(watchers).expect("a number")))
        .bench_local(|| bench.write("/registry/pods/one", watchers));
}

/// Everybody watches something else: what is measured beside a write is the search for the one whom it concerns.
#[divan::bench(args = WATCHERS)]
fn one_is_concerned(bencher: Bencher<'_, '_>, watchers: i64) {
    let mut bench = Bench::new(watchers, |watcher| below(&format!("/registry/pods/{watcher:05}")));
    bencher.bench_local(|| bench.write("/registry/pods/00042/name", 1));
}
