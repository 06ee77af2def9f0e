//! Does one of the hot things 200 times, or only prepares for it: the difference of the instructions that both take is what
//! the thing takes, whatever else the machine does. `make instructions` runs it under valgrind.

#[path = "../benches/ground/mod.rs"]
mod ground;

use std::hint::black_box;
use std::process::ExitCode;

use model::{Command, Effect, KeyRange, Overlay, RangeQuery, State};

use ground::{KEYS, all, decided, filled, key, put, read, update};

/// How often.
const TIMES: usize = 200;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (case, what) = (arguments.next().unwrap_or_default(), arguments.next());
    let state = filled();
    let runs = what.as_deref() == Some("run");
    match case.as_str() {
        "decide-put" => decide(&state, |number, _| Command::Put(put(number)), runs),
        "decide-update" => decide(&state, update, runs),
        "apply-put" => apply(state, runs),
        "get" => query(&state, &RangeQuery::new(KeyRange::Single(key(4711))), runs),
        "range-of-500" => query(&state, &RangeQuery { limit: 500, ..all() }, runs),
        "count-of-10000" => query(
            &state,
            &RangeQuery {
                count_only: true,
                ..all()
            },
            runs,
        ),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

/// Prepares, and if it is to run hands everything that was prepared to the work.
fn measure<T>(prepare: impl FnMut(usize) -> T, runs: bool, mut work: impl FnMut(&mut T)) {
    let mut prepared: Vec<T> = (0..TIMES).map(prepare).collect();
    if runs {
        prepared.iter_mut().for_each(&mut work);
    }
    black_box(prepared);
}

fn decide(state: &State, command: impl Fn(usize, &State) -> Command, runs: bool) {
    let prepare = |number| (Overlay::new(state), Some(command(number, state)));
    measure(prepare, runs, |(overlay, command)| {
        black_box(command.take().map(|command| decided(command, state, overlay)));
    });
}

fn apply(mut state: State, runs: bool) {
    let mut overlay = Overlay::new(&state);
    let effects: Vec<Effect> = (0..TIMES)
        .flat_map(|number| decided(Command::Put(put(number * 37 % KEYS)), &state, &mut overlay).effects)
        .collect();
    measure(
        |number| effects[number].clone(),
        runs,
        |effect| {
            black_box(state.apply(effect));
        },
    );
}

fn query(state: &State, query: &RangeQuery, runs: bool) {
    measure(
        |_| query.clone(),
        runs,
        |query| {
            black_box(read(state, query.clone()));
        },
    );
}
