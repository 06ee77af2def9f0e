//! What the rules cost: a command decided, an effect applied, a range read. `make microbench` runs it.

mod ground;

use divan::{Bencher, black_box};
use model::{Command, KeyRange, Overlay, RangeQuery, State};

use ground::{KEYS, all, decided, filled, key, put, read, update};

fn main() {
    divan::main();
}

/// One command on a state of 10,000 keys.
fn decide_one(bencher: Bencher<'_, '_>, command: impl Fn(usize, &State) -> Command) {
    let state = filled();
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            (Overlay::new(&state), command(number, &state))
        })
        .bench_local_values(|(mut overlay, command)| {
            let decision = decided(command, &state, &mut overlay);
            (decision, overlay)
        });
}

#[divan::bench]
fn decide_put(bencher: Bencher<'_, '_>) {
    decide_one(bencher, |number, _| Command::Put(put(number)));
}

#[divan::bench]
fn decide_update(bencher: Bencher<'_, '_>) {
    decide_one(bencher, update);
}

#[divan::bench]
fn apply_put(bencher: Bencher<'_, '_>) {
    let mut state = filled();
    // Decided on a state of its own, which comes as far.
    let mut ahead = filled();
    let mut overlay = Overlay::new(&ahead);
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            let decision = decided(Command::Put(put(number)), &ahead, &mut overlay);
            ahead.apply(&decision.effects[0]);
            overlay.settle(ahead.applied());
            decision.effects
        })
        .bench_local_values(|effects| {
            let replaced = state.apply(&effects[0]);
            (replaced, effects)
        });
}

#[divan::bench]
fn range_of_500(bencher: Bencher<'_, '_>) {
    let state = filled();
    bencher
        .with_inputs(|| RangeQuery { limit: 500, ..all() })
        .bench_values(|query| {
            let reply = read(&state, query);
            assert_eq!(reply.kvs.len(), 500);
            reply
        });
}

#[divan::bench]
fn range_of_10_000(bencher: Bencher<'_, '_>) {
    let state = filled();
    bencher.with_inputs(all).bench_values(|query| {
        let reply = read(&state, query);
        assert_eq!(reply.kvs.len(), KEYS);
        reply
    });
}

#[divan::bench]
fn count_of_10_000(bencher: Bencher<'_, '_>) {
    let state = filled();
    let query = || RangeQuery {
        count_only: true,
        ..all()
    };
    bencher.with_inputs(query).bench_values(|query| {
        let reply = read(&state, query);
        assert_eq!(reply.count, 10_000);
        reply
    });
}

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let state = filled();
    let query = RangeQuery::new(KeyRange::Single(key(4711)));
    bencher.bench(|| read(&state, black_box(&query).clone()));
}
