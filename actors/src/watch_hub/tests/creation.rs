//! Creating and cancelling watches.

use model::Revision;

use super::view::shorts;
use crate::watch::{WatchCreate, WatchRequest};
use crate::watch_hub::testing::{Rig, watch};

fn with_id(watch_id: i64) -> WatchCreate {
    WatchCreate {
        watch_id,
        ..watch("a", "b")
    }
}

fn from(start: i64) -> WatchCreate {
    WatchCreate {
        start_revision: Revision(start),
        ..watch("a", "b")
    }
}

/// Asks for these watches on one stream and returns what it was told.
fn created(creates: &[WatchCreate]) -> Vec<String> {
    let mut rig = Rig::new();
    let stream = rig.open();
    creates
        .iter()
        .for_each(|create| rig.create(stream, create.clone()));
    shorts(&rig.read_all(stream))
}

#[test]
fn one_stream_multiplexes_many_watches_each_created_before_its_events() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, watch("a", ""));
    rig.create(stream, watch("b", ""));
    rig.put("b", "1");
    rig.put("a", "2");
    let wanted = ["0: 1 created", "1: 1 created", "1: 2 put b=1", "0: 3 put a=2"];
    assert_eq!(shorts(&rig.read_all(stream)), wanted);
}

#[test]
fn a_watch_in_the_past_is_created_before_its_events() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.put("a", "1");
    rig.create(stream, from(2));
    assert_eq!(shorts(&rig.read_all(stream)), ["0: 2 created", "0: 2 put a=1"]);
}

#[test]
fn automatic_ids_count_up_from_zero_and_skip_those_in_use() {
    let told = created(&[with_id(0), with_id(2), with_id(0), with_id(0)]);
    assert_eq!(
        told,
        ["0: 1 created", "2: 1 created", "1: 1 created", "3: 1 created"]
    );
}

#[test]
fn an_automatic_id_is_not_given_out_again() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, with_id(0));
    rig.ask(stream, WatchRequest::Cancel(0));
    rig.create(stream, with_id(0));
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 1 created", "0: 1 canceled", "1: 1 created"]
    );
}

#[test]
fn a_given_id_is_taken_as_it_is_also_a_negative_one() {
    assert_eq!(
        created(&[with_id(7), with_id(-5)]),
        ["7: 1 created", "-5: 1 created"]
    );
}

#[test]
fn a_duplicate_id_is_refused_and_the_other_watch_lives_on() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, with_id(7));
    rig.create(stream, with_id(7));
    rig.put("a", "1");
    let refused = "-1: 1 canceled, refused: mvcc: duplicate watch ID provided on the WatchStream";
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["7: 1 created", refused, "7: 2 put a=1"]
    );
}

#[test]
fn a_cancelled_id_may_be_given_again() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, with_id(7));
    rig.ask(stream, WatchRequest::Cancel(7));
    rig.create(stream, with_id(7));
    rig.put("a", "1");
    let wanted = ["7: 1 created", "7: 1 canceled", "7: 1 created", "7: 2 put a=1"];
    assert_eq!(shorts(&rig.read_all(stream)), wanted);
}

#[test]
fn the_same_id_on_two_streams_is_two_watches() {
    let mut rig = Rig::new();
    let (one, other) = (rig.open(), rig.open());
    rig.create(one, with_id(7));
    rig.create(other, with_id(7));
    rig.ask(one, WatchRequest::Cancel(7));
    rig.put("a", "1");
    assert_eq!(shorts(&rig.read_all(one)), ["7: 1 created", "7: 1 canceled"]);
    assert_eq!(shorts(&rig.read_all(other)), ["7: 1 created", "7: 2 put a=1"]);
}

#[test]
fn an_empty_key_is_the_smallest_key() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, watch("", ""));
    rig.create(stream, watch("", "b"));
    rig.create(stream, watch("", "\0"));
    rig.put("\0", "1");
    rig.put("a", "2");
    rig.put("c", "3");
    let told = shorts(&rig.read_all(stream))[3..].to_vec();
    let wanted = [
        "0: 2 put \0=1",
        "1: 2 put \0=1",
        "2: 2 put \0=1",
        "1: 3 put a=2",
        "2: 3 put a=2",
        "2: 4 put c=3",
    ];
    assert_eq!(sorted(told), sorted(wanted.map(String::from).to_vec()));
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn a_range_that_cannot_hold_a_key_is_refused() {
    let refused = "-1: 1 canceled, refused: mvcc: watcher range is empty";
    assert_eq!(created(&[watch("b", "a"), watch("b", "b")]), [refused, refused]);
}

#[test]
fn a_negative_start_is_refused_as_compacted_before_anything_else() {
    let refused = "-1: 1 canceled, refused: etcdserver: mvcc: required revision has been compacted";
    let empty = WatchCreate {
        start_revision: Revision(-1),
        ..watch("b", "a")
    };
    assert_eq!(created(&[from(-1), empty]), [refused, refused]);
}

#[test]
fn start_zero_begins_after_the_newest_revision() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.put("a", "old");
    rig.create(stream, from(0));
    rig.put("a", "new");
    assert_eq!(shorts(&rig.read_all(stream)), ["0: 2 created", "0: 3 put a=new"]);
}

#[test]
fn start_zero_begins_after_what_can_be_read_though_the_hub_has_not_heard_of_it() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.commit(&[&[("a", Some("readable"))]]);
    rig.create(stream, from(0));
    rig.put("a", "new");
    assert_eq!(shorts(&rig.read_all(stream)), ["0: 2 created", "0: 3 put a=new"]);
}

#[test]
fn a_start_in_the_past_includes_it() {
    let mut rig = Rig::new();
    let stream = rig.open();
    ["2", "3", "4"].into_iter().for_each(|value| rig.put("a", value));
    rig.create(stream, from(3));
    rig.put("a", "5");
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 4 created", "0: 5 put a=3 | put a=4 | put a=5"]
    );
}

#[test]
fn a_start_in_the_future_waits_for_it() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, from(4));
    ["2", "3", "4", "5"]
        .into_iter()
        .for_each(|value| rig.put("a", value));
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 1 created", "0: 4 put a=4", "0: 5 put a=5"]
    );
}

#[test]
fn a_start_below_the_compact_revision_is_created_and_then_cancelled() {
    let mut rig = Rig::new();
    let stream = rig.open();
    ["2", "3", "4"].into_iter().for_each(|value| rig.put("a", value));
    rig.compact(3);
    rig.create(stream, from(2));
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 4 created", "0: 4 canceled, compacted 3"]
    );
    assert_eq!(rig.report().watchers, 0);
    // Its identity is in use until the client cancels it too.
    rig.create(stream, from(0));
    rig.ask(stream, WatchRequest::Cancel(0));
    rig.ask(stream, WatchRequest::Cancel(0));
    assert_eq!(shorts(&rig.read_all(stream)), ["1: 4 created", "0: 4 canceled"]);
}

#[test]
fn a_start_at_the_compact_revision_works_and_shows_a_delete_there() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.put("a", "2");
    rig.write("a", None);
    rig.put("ab", "4");
    rig.compact(3);
    rig.create(
        stream,
        WatchCreate {
            prev_kv: true,
            ..from(3)
        },
    );
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 4 created", "0: 4 delete a | put ab=4"]
    );
}

#[test]
fn cancelling_ends_a_watch_and_an_unknown_id_is_ignored() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.create(stream, from(0));
    rig.ask(stream, WatchRequest::Cancel(3));
    rig.put("a", "1");
    rig.ask(stream, WatchRequest::Cancel(0));
    rig.put("a", "2");
    assert_eq!(
        shorts(&rig.read_all(stream)),
        ["0: 1 created", "0: 2 put a=1", "0: 2 canceled"]
    );
}

#[test]
fn closing_a_stream_ends_its_watches_wherever_they_stand() {
    let mut rig = Rig::new();
    let stream = rig.open();
    rig.put("a", "1");
    rig.create(stream, from(1));
    rig.create(stream, from(0));
    rig.create(stream, from(9));
    assert_eq!(
        (
            rig.report().streams,
            rig.report().watchers,
            rig.report().slow_watchers
        ),
        (1, 3, 1)
    );
    rig.close(stream);
    rig.run();
    assert_eq!(
        (
            rig.report().streams,
            rig.report().watchers,
            rig.report().slow_watchers
        ),
        (0, 0, 0)
    );
    rig.put("a", "2");
}
