//! What live watchers are told.

use model::{KeyRange, Revision};

use super::view::{short, shorts};
use crate::watch::{WatchCreate, WatchResponse};
use crate::watch_hub::live::MAX_LAG;
use crate::watch_hub::testing::{Rig, watch};

/// A store with one live watch, whose creation was read already.
fn watching(create: WatchCreate) -> (Rig, usize) {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, create);
    rig.read(stream);
    (rig, stream)
}

#[test]
fn a_delete_carries_its_key_and_revision_alone() {
    let (mut rig, stream) = watching(watch("a", ""));
    rig.put("a", "1");
    rig.write("a", None);
    let responses = rig.read_all(stream);
    let WatchResponse::Events { events, .. } = &responses[1] else {
        panic!("{responses:?}")
    };
    let version = events[0].event.version;
    assert!(events[0].event.is_delete() && events[0].event.value.is_empty());
    assert_eq!(
        (version.mod_revision, version.create_revision, version.lease.0),
        (Revision(3), Revision(0), 0)
    );
}

#[test]
fn prev_kv_is_there_on_updates_and_deletes_and_absent_on_creates() {
    let (mut rig, stream) = watching(WatchCreate {
        prev_kv: true,
        ..watch("a", "")
    });
    rig.put("a", "1");
    rig.put("a", "2");
    rig.write("a", None);
    rig.put("a", "3");
    let wanted = [
        "0: 2 put a=1",
        "0: 3 put a=2 (was 1@2)",
        "0: 4 delete a (was 2@3)",
        "0: 5 put a=3",
    ];
    assert_eq!(shorts(&rig.read_all(stream)), wanted);
}

#[test]
fn prev_kv_that_is_not_in_memory_is_read_from_the_log_and_the_order_stays() {
    let (mut rig, stream) = watching(WatchCreate {
        prev_kv: true,
        ..watch("a", "z")
    });
    rig.put("a", "1");
    rig.evict();
    rig.commit(&[&[("a", Some("2"))]]);
    rig.commit(&[&[("b", Some("3"))]]);
    rig.deliver();
    assert_eq!(
        shorts(&rig.read(stream)),
        ["0: 2 put a=1"],
        "nothing overtakes the batch that waits"
    );
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 3 put a=2 (was 1@2)", "0: 4 put b=3"]
    );
}

#[test]
fn watches_without_prev_kv_do_not_wait_for_the_log() {
    let (mut rig, stream) = watching(watch("a", ""));
    rig.put("a", "1");
    rig.evict();
    rig.put("a", "2");
    assert_eq!(shorts(&rig.read(stream)), ["0: 2 put a=1", "0: 3 put a=2"]);
}

#[test]
fn filters_drop_events_and_a_response_left_empty_is_not_sent() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(
        stream,
        WatchCreate {
            no_put: true,
            ..watch("a", "b")
        },
    );
    rig.create(
        stream,
        WatchCreate {
            no_delete: true,
            ..watch("a", "b")
        },
    );
    rig.create(
        stream,
        WatchCreate {
            no_put: true,
            no_delete: true,
            ..watch("a", "b")
        },
    );
    rig.read(stream);
    rig.put("a", "1");
    rig.write("a", None);
    rig.put("a", "2");
    rig.commit(&[&[("a", None), ("ab", Some("3"))]]);
    let wanted = [
        "1: 2 put a=1",
        "0: 3 delete a",
        "1: 4 put a=2",
        "0: 5 delete a",
        "1: 5 put ab=3",
    ];
    assert_eq!(shorts(&rig.read_all(stream)), wanted);
}

#[test]
fn the_header_of_a_live_response_is_the_revision_of_its_events() {
    let (mut rig, stream) = watching(watch("a", "b"));
    rig.commit(&[&[("a", Some("1"))], &[("z", Some("2"))], &[("a", Some("3"))]]);
    assert_eq!(shorts(&rig.read_all(stream)), ["0: 2 put a=1", "0: 4 put a=3"]);
}

#[test]
fn all_events_of_a_revision_come_in_one_response_in_request_order() {
    let (mut rig, stream) = watching(watch("a", "z"));
    rig.commit(&[&[
        ("c", Some("1")),
        ("a", Some("2")),
        ("zz", Some("3")),
        ("b", Some("4")),
    ]]);
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 2 put c=1 | put a=2 | put b=4"]
    );
}

#[test]
fn watches_of_the_same_range_share_what_they_are_told() {
    let (mut rig, stream) = watching(watch("a", "b"));
    rig.create(stream, watch("a", "b"));
    rig.put("a", "1");
    let responses = rig.read_all(stream);
    let [
        _,
        WatchResponse::Events { events: one, .. },
        WatchResponse::Events { events: other, .. },
    ] = &responses[..]
    else {
        panic!("{responses:?}")
    };
    assert!(std::sync::Arc::ptr_eq(one, other));
}

#[test]
fn fragment_is_passed_on() {
    let (mut rig, stream) = watching(WatchCreate {
        fragment: true,
        ..watch("a", "")
    });
    rig.put("a", "1");
    assert!(matches!(
        rig.read_all(stream)[..],
        [WatchResponse::Events { fragment: true, .. }]
    ));
}

#[test]
fn a_stream_that_does_not_read_slows_nobody_else() {
    let (mut rig, slow) = watching(watch("a", ""));
    let brisk = rig.open();
    rig.create(brisk, watch("a", ""));
    rig.read(brisk);
    for number in 0..5_000 {
        rig.put("a", "1");
        assert_eq!(rig.read(brisk).len(), 1, "{number}");
    }
    assert_eq!((rig.report().parked_watchers, rig.report().stalls), (1, 1));
    assert!(
        rig.report().pending_bytes < 2 << 20,
        "{}",
        rig.report().pending_bytes
    );
    assert_eq!(
        all_revisions(&rig.read_all(slow)),
        (2..5_002).collect::<Vec<i64>>()
    );
}

fn all_revisions(responses: &[WatchResponse]) -> Vec<i64> {
    let mut revisions = Vec::new();
    for response in responses {
        let WatchResponse::Events { events, .. } = response else {
            panic!("{}", short(response))
        };
        revisions.extend(events.iter().map(|event| event.event.version.mod_revision.0));
    }
    revisions
}

#[test]
fn large_responses_fill_a_stream_by_their_bytes() {
    let (mut rig, stream) = watching(watch("a", ""));
    let value = "v".repeat(300 << 10);
    (0..12).for_each(|_| rig.put("a", &value));
    assert_eq!(
        (rig.report().pending_events, rig.report().parked_watchers),
        (4, 1)
    );
    assert_eq!(
        all_revisions(&rig.read_all(stream)),
        (2..14).collect::<Vec<i64>>()
    );
}

#[test]
fn batches_that_never_came_are_made_up_from_the_log() {
    let (mut rig, stream) = watching(watch("a", "b"));
    rig.put("a", "2");
    ["3", "4"]
        .into_iter()
        .for_each(|value| rig.commit(&[&[("a", Some(value))]]));
    rig.undelivered.clear();
    rig.put("a", "5");
    assert_eq!(rig.report().skips, 1);
    assert_eq!(all_revisions(&rig.read_all(stream)), [2, 3, 4, 5]);
}

#[test]
fn a_hub_that_lags_too_far_behind_sends_its_watchers_to_the_log() {
    let (mut rig, stream) = watching(watch("a", "b"));
    let revisions: Vec<&[(&str, Option<&str>)]> = vec![&[("c", Some("1"))]; 1000];
    rig.commit(&[&[("a", Some("2"))]]);
    (0..=MAX_LAG / 1000).for_each(|_| rig.commit(&revisions));
    rig.commit(&[&[("a", Some("last"))]]);
    rig.deliver_one();
    assert_eq!((rig.report().skips, rig.report().slow_watchers), (1, 1));
    let last = rig.shared.revision().0;
    assert_eq!(all_revisions(&rig.read_all(stream)), [2, last]);
    assert_eq!((rig.report().slow_watchers, rig.report().lag), (0, 0));
}

#[test]
fn ten_thousand_idle_watches_are_found_by_key() {
    let mut rig = Rig::new();
    let streams: Vec<usize> = (0..100).map(|_| rig.open()).collect();
    for number in 0..10_000 {
        let (start, end) = (
            format!("/registry/{number:05}/"),
            format!("/registry/{number:05}0"),
        );
        let range = KeyRange::Between(start.into(), end.into());
        rig.create(
            streams[number % 100],
            WatchCreate {
                range,
                ..watch("a", "b")
            },
        );
    }
    streams.iter().for_each(|stream| drop(rig.read(*stream)));
    rig.put("/registry/04217/name", "1");
    assert_eq!(
        shorts(&rig.read(streams[17])),
        ["42: 2 put /registry/04217/name=1"]
    );
    assert_eq!((rig.report().watchers, rig.report().pending_events), (10_000, 0));
}
