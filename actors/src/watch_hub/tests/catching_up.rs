//! Watchers on their way to the live flow.

use journal::ReadError;
use model::Revision;

use super::view::shorts;
use crate::watch::{WatchCreate, WatchRequest, WatchResponse};
use crate::watch_hub::log_reads::ReadDone;
use crate::watch_hub::page::PAGE_BYTES;
use crate::watch_hub::ring::RING_BYTES;
use crate::watch_hub::testing::{Rig, watch};

fn from(start: i64) -> WatchCreate {
    WatchCreate {
        start_revision: Revision(start),
        ..watch("a", "b")
    }
}

/// Revisions 2 to `last` on key `a`, in batches of one.
fn written(last: i64) -> Rig {
    let mut rig = Rig::new();
    (2..=last).for_each(|revision| rig.put("a", &revision.to_string()));
    rig
}

/// Lets the ring forget everything that was written until now.
fn flood(rig: &mut Rig) {
    let value = "v".repeat(RING_BYTES / 2 + 1);
    (0..2).for_each(|_| rig.put("z", &value));
}

fn revisions(responses: &[WatchResponse]) -> Vec<i64> {
    let mut revisions = Vec::new();
    for response in responses {
        if let WatchResponse::Events { events, .. } = response {
            revisions.extend(events.iter().map(|event| event.event.version.mod_revision.0));
        }
    }
    revisions
}

#[test]
fn what_is_in_the_ring_is_not_read_from_the_log() {
    let mut rig = written(9);
    let stream = rig.open();
    rig.create(stream, from(3));
    assert_eq!(revisions(&rig.read_all(stream)), (3..=9).collect::<Vec<i64>>());
    assert_eq!(
        (rig.report().pages_from_log, rig.report().pages_from_ring),
        (0, 1)
    );
}

#[test]
fn what_the_ring_has_forgotten_is_read_from_the_log() {
    let mut rig = written(9);
    flood(&mut rig);
    let stream = rig.open();
    rig.create(
        stream,
        WatchCreate {
            prev_kv: true,
            ..from(8)
        },
    );
    let wanted = ["0: 11 created", "0: 9 put a=8 (was 7@7) | put a=9 (was 8@8)"];
    let told = shorts(&rig.read_all(stream));
    assert_eq!(told[0], wanted[0]);
    assert!(
        told[1].ends_with("put a=8 (was 7@7) | put a=9 (was 8@8)"),
        "{told:?}"
    );
    assert!(rig.report().pages_from_log >= 1);
    rig.put("a", "live");
    assert_eq!(shorts(&rig.read_all(stream)), ["0: 12 put a=live (was 9@9)"]);
}

#[test]
fn the_header_of_a_catch_up_response_is_not_below_its_last_event() {
    let mut rig = written(9);
    rig.put("z", "unwatched");
    let stream = rig.open();
    rig.create(stream, from(3));
    let responses = rig.read_all(stream);
    let WatchResponse::Events { revision, .. } = responses[1] else {
        panic!("{responses:?}")
    };
    assert_eq!(revision, Revision(10), "the store's revision");
}

#[test]
fn long_histories_come_in_pages_cut_at_revisions() {
    let mut rig = Rig::new();
    let value = "v".repeat(PAGE_BYTES / 3);
    for _ in 0..100 {
        rig.commit(&[&[("a", Some(&value)), ("ab", Some(&value))]]);
    }
    rig.deliver();
    let stream = rig.open();
    rig.create(stream, from(2));
    let responses = rig.read_all(stream);
    assert_eq!(
        revisions(&responses),
        (2..=101)
            .flat_map(|revision| [revision, revision])
            .collect::<Vec<i64>>()
    );
    for response in &responses[1..] {
        let WatchResponse::Events { events, .. } = response else {
            panic!("{response:?}")
        };
        assert!(events.len() <= 6 && events.len() % 2 == 0, "{}", events.len());
    }
    assert!(
        rig.report().pages_from_log > 10 && rig.report().pages_from_ring > 10,
        "{:?}",
        rig.report()
    );
}

#[test]
fn writes_during_a_read_of_the_log_are_neither_lost_nor_told_twice() {
    let mut rig = written(9);
    flood(&mut rig);
    let stream = rig.open();
    rig.create(stream, from(2));
    rig.put("a", "before the read");
    rig.read_log();
    rig.put("a", "after the read");
    rig.tell_read();
    rig.put("a", "after it was handed out");
    let wanted: Vec<i64> = (2..=9).chain(12..=14).collect();
    assert_eq!(revisions(&rig.read_all(stream)), wanted);
}

#[test]
fn what_is_durable_but_not_told_to_the_hub_is_not_told_early() {
    let mut rig = written(9);
    flood(&mut rig);
    rig.commit(&[&[("a", Some("not told yet"))]]);
    let stream = rig.open();
    rig.create(stream, from(9));
    while rig.read_log() || rig.tell_read() || rig.turn() {}
    assert_eq!(revisions(&rig.read(stream)), [9]);
    assert_eq!(revisions(&rig.read_all(stream)), [12]);
}

#[test]
fn a_watcher_that_compaction_overtakes_is_cancelled() {
    let mut rig = written(9);
    flood(&mut rig);
    let stream = rig.open();
    rig.create(stream, from(3));
    rig.compact(5);
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 11 created", "0: 11 canceled, compacted 5"]
    );
    assert_eq!(rig.report().compacted, 1);
}

#[test]
fn compaction_during_a_read_of_the_log_cancels_instead_of_leaving_a_gap() {
    for compacted_before_the_read in [true, false] {
        let mut rig = written(9);
        flood(&mut rig);
        let stream = rig.open();
        rig.create(stream, from(3));
        rig.create(stream, from(6));
        if compacted_before_the_read {
            rig.compact(6);
            rig.read_log();
        } else {
            rig.read_log();
            rig.compact(6);
        }
        rig.tell_read();
        let responses = rig.read_all(stream);
        assert_eq!(revisions(&responses), [6, 7, 8, 9]);
        assert!(shorts(&responses).contains(&"0: 11 canceled, compacted 6".to_owned()));
    }
}

#[test]
fn a_stalled_watcher_that_compaction_overtakes_is_cancelled_when_it_is_read() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, watch("a", "b"));
    (0..3_000).for_each(|_| rig.put("a", "1"));
    rig.compact(2_900);
    let told = shorts(&rig.read_all(stream));
    assert_eq!(
        told.last().map(String::as_str),
        Some("0: 3001 canceled, compacted 2900")
    );
    let responses = told.len() - 2;
    assert!(
        responses > 1_000 && responses < 1_100,
        "what was queued is delivered: {responses}"
    );
}

#[test]
fn a_stalled_watch_can_be_cancelled_and_its_stream_goes_on() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, watch("a", ""));
    rig.create(stream, watch("b", ""));
    (0..3_000).for_each(|_| rig.put("a", "1"));
    rig.ask(stream, WatchRequest::Cancel(0));
    rig.put("b", "2");
    let told = shorts(&rig.read_all(stream));
    let end: Vec<&str> = told[told.len() - 2..].iter().map(String::as_str).collect();
    assert_eq!(end, ["0: 3001 canceled", "1: 3002 put b=2"]);
}

#[test]
fn values_before_that_are_neither_in_memory_nor_in_the_ring_come_from_the_log() {
    let mut rig = Rig::new();
    rig.put("a", "1");
    rig.evict();
    rig.put("a", "2");
    let stream = rig.open();
    rig.create(
        stream,
        WatchCreate {
            prev_kv: true,
            ..from(2)
        },
    );
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 3 created", "0: 3 put a=1 | put a=2 (was 1@2)"]
    );
    assert_eq!(rig.report().pages_from_log, 1);
}

#[test]
fn a_failed_read_is_tried_again() {
    let mut rig = written(9);
    flood(&mut rig);
    let stream = rig.open();
    rig.create(stream, from(8));
    rig.read(stream);
    rig.jobs.clear();
    rig.done
        .push_back(ReadDone::Page(Err(ReadError::Failed("the disk is tired".into()))));
    rig.run();
    assert!(rig.hub.needs_retry() && rig.jobs.is_empty());
    rig.hub.retry();
    rig.settle();
    assert_eq!(revisions(&rig.read_all(stream)), [8, 9]);
    assert_eq!(rig.report().failed_reads, 1);
}

#[test]
fn values_that_cannot_be_read_send_the_watchers_to_the_log() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(
        stream,
        WatchCreate {
            prev_kv: true,
            ..watch("a", "b")
        },
    );
    rig.put("a", "1");
    rig.evict();
    rig.put("a", "2");
    rig.jobs.clear();
    rig.done.push_back(ReadDone::Batches(Err(ReadError::Failed(
        "the disk is tired".into(),
    ))));
    let told = shorts(&rig.read_all(stream));
    assert_eq!(told, ["0: 1 created", "0: 2 put a=1", "0: 3 put a=2 (was 1@2)"]);
    assert_eq!((rig.report().skips, rig.report().slow_watchers), (1, 0));
}

#[test]
fn watchers_that_begin_far_back_do_not_hold_up_those_nearly_there() {
    let mut rig = Rig::new();
    let value = "v".repeat(PAGE_BYTES);
    (0..60).for_each(|_| rig.put("a", &value));
    let (far, near) = (rig.open(), rig.open());
    rig.create(near, from(10));
    for _ in 0..2 {
        rig.read_log();
        rig.create(far, from(2));
        rig.tell_read();
    }
    assert!(
        revisions(&rig.read(near)).contains(&11),
        "the page goes on where the last one ended"
    );
    assert_eq!(revisions(&rig.read_all(far)).len(), 2 * 60);
}
