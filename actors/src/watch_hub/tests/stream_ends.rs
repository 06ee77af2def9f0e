//! The actor, as the keyspace and the front door see it.

use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use journal::MemoryJournal;
use model::State;

use super::view::short;
use crate::mailbox::Mailbox;
use crate::meter::Meter;
use crate::shared_state::SharedState;
use crate::watch::{WatchCreate, WatchRequest};
use crate::watch_hub::testing::{Rig, watch};
use crate::watch_hub::{HubMeter, WatchHub, WatchResponses, open_stream};

/// What a test may wait for at most.
const PATIENCE: Duration = Duration::from_secs(20);

fn started(shared: &Arc<SharedState>, interval: Duration) -> (Mailbox<WatchHub>, Arc<HubMeter>) {
    let (meter, mailbox) = (Arc::new(HubMeter::default()), Meter::new("watch_hub"));
    let hub = WatchHub::new(
        Arc::clone(shared),
        interval,
        Arc::clone(&meter),
        Arc::clone(&mailbox),
    );
    (Mailbox::new(hub.start(), mailbox), meter)
}

fn empty_store() -> Arc<SharedState> {
    SharedState::new(State::default(), MemoryJournal::new().reader())
}

async fn next(responses: &mut WatchResponses) -> String {
    let next = tokio::time::timeout(PATIENCE, responses.next()).await;
    next.expect("a response in time")
        .as_ref()
        .map_or("closed".into(), short)
}

#[actix::test]
async fn requests_and_batches_go_in_and_responses_come_out() {
    let mut rig = Rig::new();
    let (hub, _) = started(&rig.shared, PATIENCE);
    let (requests, mut responses) = open_stream(&hub);
    requests.ready().await;
    requests.send(WatchRequest::Create(watch("a", "b")));
    assert_eq!(next(&mut responses).await, "0: 1 created");
    rig.commit(&[&[("a", Some("1"))]]);
    hub.tell(rig.undelivered.pop_front().expect("a batch"));
    requests.send(WatchRequest::Progress);
    assert_eq!(next(&mut responses).await, "0: 2 put a=1");
    assert_eq!(next(&mut responses).await, "-1: 2 progress");
    assert_eq!(responses.next_if_ready(), None);
}

#[actix::test]
async fn history_is_read_from_the_log_on_another_thread() {
    let mut rig = Rig::new();
    rig.commit(&[&[("a", Some("1"))], &[("a", Some("2"))]]);
    let (hub, meter) = started(&rig.shared, PATIENCE);
    let (requests, mut responses) = open_stream(&hub);
    let start_revision = model::Revision(2);
    requests.send(WatchRequest::Create(WatchCreate {
        start_revision,
        prev_kv: true,
        ..watch("a", "b")
    }));
    assert_eq!(next(&mut responses).await, "0: 3 created");
    assert_eq!(next(&mut responses).await, "0: 3 put a=1 | put a=2 (was 1@2)");
    assert_eq!(meter.report().pages_from_log, 1);
}

#[actix::test]
async fn an_idle_watch_is_told_its_progress_in_every_interval() {
    let interval = Duration::from_millis(200);
    let (hub, _) = started(&empty_store(), interval);
    let (requests, mut responses) = open_stream(&hub);
    requests.send(WatchRequest::Create(WatchCreate {
        progress_notify: true,
        ..watch("a", "b")
    }));
    assert_eq!(next(&mut responses).await, "0: 1 created");
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(next(&mut responses).await, "0: 1 progress");
    }
    assert!(begun.elapsed() >= 2 * interval, "{:?}", begun.elapsed());
}

#[actix::test]
async fn a_stream_ends_when_both_of_its_ends_are_gone() {
    let (hub, meter) = started(&empty_store(), PATIENCE);
    let (requests, mut responses) = open_stream(&hub);
    requests.send(WatchRequest::Create(watch("a", "b")));
    drop(requests);
    assert_eq!(next(&mut responses).await, "0: 1 created");
    assert_eq!((meter.report().streams, meter.report().watchers), (1, 1));
    drop(responses);
    for _ in 0..1_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if meter.report().streams == 0 {
            break;
        }
    }
    assert_eq!((meter.report().streams, meter.report().watchers), (0, 0));
}

#[actix::test]
async fn a_client_that_stalls_and_reads_again_gets_everything() {
    const WRITES: i64 = 20_000;
    let mut rig = Rig::new();
    let (hub, meter) = started(&rig.shared, PATIENCE);
    let (requests, mut responses) = open_stream(&hub);
    requests.send(WatchRequest::Create(watch("a", "b")));
    assert_eq!(next(&mut responses).await, "0: 1 created");
    for _ in 0..WRITES {
        rig.commit(&[&[("a", Some("1"))]]);
        hub.tell(rig.undelivered.pop_front().expect("a batch"));
    }
    let mut last = 1;
    while last < WRITES + 1 {
        let response = tokio::time::timeout(PATIENCE, responses.next())
            .await
            .expect("in time")
            .expect("open");
        let crate::WatchResponse::Events { events, .. } = response else {
            panic!("{response:?}")
        };
        for event in events.iter() {
            assert_eq!(event.event.version.mod_revision.0, last + 1);
            last += 1;
        }
    }
    assert!(meter.report().stalls > 0);
    assert_eq!(meter.report().pending_events, 0);
}
