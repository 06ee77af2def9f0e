//! Progress, asked for and periodic.

use model::Revision;

use super::view::shorts;
use crate::watch::{WatchCreate, WatchRequest};
use crate::watch_hub::progress::TICK_PARTS;
use crate::watch_hub::testing::{Rig, watch};

fn ask(rig: &mut Rig, stream: usize) -> Vec<String> {
    rig.ask(stream, WatchRequest::Progress);
    shorts(&rig.read(stream))
}

/// Ticks once for every stream.
fn tick(rig: &mut Rig) {
    for _ in 0..TICK_PARTS {
        rig.hub.tick();
        rig.settle();
    }
}

fn notifying(start: i64) -> WatchCreate {
    WatchCreate {
        progress_notify: true,
        start_revision: Revision(start),
        ..watch("a", "b")
    }
}

fn opened(creates: &[WatchCreate]) -> (Rig, usize) {
    let mut rig = Rig::new();
    let stream = rig.open();
    creates
        .iter()
        .for_each(|create| rig.create(stream, create.clone()));
    rig.run();
    rig.read(stream);
    (rig, stream)
}

#[test]
fn a_request_is_answered_once_for_the_whole_stream() {
    let (mut rig, stream) = opened(&[watch("a", "b"), watch("c", "d")]);
    rig.put("z", "1");
    assert_eq!(ask(&mut rig, stream), ["-1: 2 progress"]);
}

#[test]
fn a_stream_without_watches_gets_no_answer() {
    let (mut rig, stream) = opened(&[]);
    assert_eq!(ask(&mut rig, stream), Vec::<String>::new());
}

#[test]
fn the_answer_stands_behind_the_events_it_vouches_for() {
    let (mut rig, stream) = opened(&[watch("a", "b")]);
    rig.put("a", "1");
    assert_eq!(ask(&mut rig, stream), ["0: 2 put a=1", "-1: 2 progress"]);
}

#[test]
fn there_is_no_answer_while_a_watch_catches_up() {
    let (mut rig, stream) = opened(&[watch("a", "b")]);
    rig.put("a", "1");
    rig.create(
        stream,
        WatchCreate {
            start_revision: Revision(2),
            ..watch("a", "b")
        },
    );
    rig.read(stream);
    assert_eq!(ask(&mut rig, stream), Vec::<String>::new());
    rig.run();
    assert_eq!(ask(&mut rig, stream), ["1: 2 put a=1", "-1: 2 progress"]);
}

#[test]
fn there_is_no_answer_while_a_watch_starts_in_the_future() {
    let (mut rig, stream) = opened(&[watch("a", "b"), notifying(3)]);
    rig.put("z", "1");
    assert_eq!(ask(&mut rig, stream), Vec::<String>::new());
    rig.put("z", "2");
    assert_eq!(ask(&mut rig, stream), ["-1: 3 progress"]);
}

#[test]
fn an_answer_waits_for_what_could_be_read_when_it_was_asked_for() {
    let (mut rig, stream) = opened(&[watch("a", "b")]);
    rig.commit(&[&[("a", Some("1"))]]);
    assert_eq!(
        ask(&mut rig, stream),
        Vec::<String>::new(),
        "never ahead of the events"
    );
    rig.deliver();
    assert_eq!(shorts(&rig.read(stream)), ["0: 2 put a=1", "-1: 2 progress"]);
    rig.put("z", "1");
    assert_eq!(shorts(&rig.read(stream)), Vec::<String>::new(), "one answer only");
}

#[test]
fn a_waiting_answer_is_dropped_with_its_stream_or_when_a_watch_stalls() {
    let (mut rig, stream) = opened(&[watch("a", "b")]);
    rig.commit(&[&[("a", Some("1"))]]);
    rig.undelivered.clear();
    assert_eq!(ask(&mut rig, stream), Vec::<String>::new());
    rig.put("b", "2");
    assert_eq!(
        shorts(&rig.read(stream)),
        Vec::<String>::new(),
        "the watch fell behind"
    );
    assert_eq!(shorts(&rig.read_all(stream)), ["0: 3 put a=1"]);
    rig.commit(&[&[("a", Some("1"))]]);
    rig.ask(stream, WatchRequest::Progress);
    rig.close(stream);
    rig.deliver();
}

#[test]
fn an_idle_watch_that_wants_it_is_told_on_every_tick() {
    let (mut rig, stream) = opened(&[notifying(0), watch("a", "b")]);
    rig.put("z", "1");
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), ["0: 2 progress"]);
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), ["0: 2 progress"]);
}

#[test]
fn a_watch_that_had_events_since_the_last_tick_is_told_on_the_next() {
    let (mut rig, stream) = opened(&[notifying(0)]);
    rig.put("a", "1");
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), ["0: 2 put a=1"]);
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), ["0: 2 progress"]);
}

#[test]
fn a_watch_that_starts_in_the_future_is_told_nothing() {
    let (mut rig, stream) = opened(&[notifying(3)]);
    rig.put("z", "1");
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), Vec::<String>::new());
    rig.put("z", "2");
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), ["0: 3 progress"]);
}

#[test]
fn a_watch_called_minus_one_does_not_speak_for_those_that_are_not_synced() {
    let (mut rig, stream) = opened(&[
        WatchCreate {
            watch_id: -1,
            ..notifying(0)
        },
        notifying(3),
    ]);
    rig.put("z", "1");
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), Vec::<String>::new());
    rig.put("z", "2");
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)).len(), 2);
}

#[test]
fn a_watch_that_catches_up_is_told_nothing() {
    let (mut rig, stream) = opened(&[]);
    rig.put("z", "1");
    rig.create(stream, notifying(1));
    rig.read(stream);
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), Vec::<String>::new());
    rig.run();
    tick(&mut rig);
    assert_eq!(shorts(&rig.read(stream)), ["0: 2 progress"]);
}

#[test]
fn a_full_stream_is_told_nothing_and_grows_no_further() {
    let (mut rig, stream) = opened(&[notifying(0), watch("c", "")]);
    (0..3_000).for_each(|_| rig.put("c", "1"));
    let pending = rig.report().pending_bytes;
    (0..100).for_each(|_| tick(&mut rig));
    (0..100).for_each(|_| rig.ask(stream, WatchRequest::Progress));
    assert_eq!(rig.report().pending_bytes, pending);
    let told = shorts(&rig.read_all(stream));
    assert!(!told.iter().any(|line| line.contains("progress")), "{told:?}");
}
