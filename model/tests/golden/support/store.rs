//! A store without IO: state, overlay and a log kept as a list.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{
    Alarm, AlarmAction, AlarmMember, Command, Effect, LeaseGrant, LeaseId, Limits, Overlay, Position,
    RangeQuery, Refusal, Revision, Scan, ScanStep, State, Value, ValueSource, decide, validate,
};

use super::parse::{self, Words};
use super::print;

/// The values of every row that was ever stored.
#[derive(Default)]
struct Rows(BTreeMap<Position, Bytes>);

impl ValueSource for Rows {
    fn value(&self, position: Position) -> Option<Bytes> {
        self.0.get(&position).cloned()
    }
}

pub struct Store {
    state: State,
    overlay: Overlay,
    log: Vec<Effect>,
    waiting: Vec<Effect>,
    rows: Rows,
    holding: bool,
}

impl Default for Store {
    fn default() -> Self {
        let state = State::default();
        let overlay = Overlay::new(&state);
        Self {
            state,
            overlay,
            log: Vec::new(),
            waiting: Vec::new(),
            rows: Rows::default(),
            holding: false,
        }
    }
}

impl Store {
    pub fn run(&mut self, line: &str) -> Vec<String> {
        let mut words = Words::new(line);
        let command = match words.word() {
            "range" => return self.range(parse::range(&mut words)),
            "hold" => return self.hold(),
            "commit" => return self.commit(),
            "fail" => return self.fail(),
            "restart" => return self.restart(),
            "scrub" => return self.scrub(),
            "evict" => return self.evict(),
            "tally" => return self.tally(),
            "lease" => return self.lease(LeaseId(words.number())),
            "put" => Command::Put(parse::put(&mut words)),
            "delete" => Command::DeleteRange(parse::delete(&mut words)),
            "txn" => Command::Txn(parse::txn(&mut words)),
            "compact" => Command::Compact(Revision(words.number())),
            "grant" => grant(&mut words),
            "renew" => Command::LeaseRenew {
                id: LeaseId(words.number()),
                deadline_ms: words.number(),
            },
            "revoke" => Command::LeaseRevoke(LeaseId(words.number())),
            "alarm" => alarm(&mut words),
            other => panic!("unknown command: {other}"),
        };
        self.submit(command)
    }

    fn submit(&mut self, command: Command) -> Vec<String> {
        let limits = Limits {
            max_txn_ops: 4,
            ..Limits::default()
        };
        if let Err(refusal) = validate(&command, limits) {
            return vec![format!("refused: {refusal}")];
        }
        match decide(command, &self.state, &mut self.overlay, &self.rows, limits) {
            Err(refusal) => vec![format!("refused: {refusal}")],
            Ok(decision) => {
                let mut lines = vec![format!("@{}", decision.revision.0)];
                lines.extend(print::reply(&decision.reply));
                lines.extend(decision.effects.iter().map(print::effect));
                self.waiting.extend(decision.effects);
                if !self.holding {
                    self.apply_waiting();
                }
                lines
            }
        }
    }

    fn apply_waiting(&mut self) {
        for effect in self.waiting.drain(..) {
            self.state.apply(&effect);
            if let Effect::Key(event) = &effect {
                self.rows.0.insert(event.version.position, event.value.clone());
            }
            self.log.push(effect);
        }
        self.overlay.settle(self.state.applied());
        assert!(self.overlay.is_settled(), "everything decided is applied");
    }

    fn range(&mut self, query: RangeQuery) -> Vec<String> {
        match self.read(query) {
            Ok(lines) => lines,
            Err(refusal) => vec![format!("refused: {refusal}")],
        }
    }

    /// Reads in steps of one key, so that every script also tests the seams.
    fn read(&self, query: RangeQuery) -> Result<Vec<String>, Refusal> {
        query.validate()?;
        let mut scan = Scan::begin(query, &self.state)?;
        while scan.step(&self.state, 1)? == ScanStep::More {}
        if scan.sorts_by_value() {
            for pair in scan.pairs_mut() {
                if let Value::Stored(position) = pair.value {
                    pair.value = Value::Resident(self.rows.value(position).expect("a row"));
                }
            }
        }
        Ok(print::range(&scan.finish()))
    }

    /// From here on decisions wait for `commit`.
    fn hold(&mut self) -> Vec<String> {
        self.holding = true;
        vec!["holding".into()]
    }

    fn commit(&mut self) -> Vec<String> {
        self.holding = false;
        let count = self.waiting.len();
        self.apply_waiting();
        vec![format!(
            "{count} effects are durable, revision {}",
            self.state.revision().0
        )]
    }

    /// The batch was not stored: everything decided on it is void.
    fn fail(&mut self) -> Vec<String> {
        self.holding = false;
        self.waiting.clear();
        self.overlay = Overlay::new(&self.state);
        vec![format!("void, revision {}", self.state.revision().0)]
    }

    /// A new state from the log: leases and alarms as tables hold them, then the rows.
    fn restart(&mut self) -> Vec<String> {
        let mut state = State::default();
        let leases = self.state.leases();
        state.apply(&Effect::Compacted(self.state.compact_revision()));
        leases
            .values()
            .for_each(|lease| drop(state.apply(&Effect::LeaseGranted(*lease))));
        for effect in &self.log {
            let stored =
                matches!(effect, Effect::Key(event) if self.rows.0.contains_key(&event.version.position));
            if stored || matches!(effect, Effect::AlarmRaised(_) | Effect::AlarmCleared(_)) {
                state.apply(effect);
            }
        }
        self.state = state;
        self.overlay = Overlay::new(&self.state);
        vec![format!("revision {}", self.state.revision().0)]
    }

    fn scrub(&mut self) -> Vec<String> {
        let compacted = self.state.compact_revision();
        let mut from = Bytes::new();
        let mut rows = Vec::new();
        loop {
            let step = self.state.index_mut().compact(&from, compacted, 1);
            rows.extend(step.positions);
            let Some(next) = step.next else { break };
            from = next;
        }
        rows.iter().for_each(|row| drop(self.rows.0.remove(row)));
        vec![format!(
            "{} rows deleted, {} versions left",
            rows.len(),
            self.state.index().versions()
        )]
    }

    fn evict(&mut self) -> Vec<String> {
        self.state.index_mut().evict(0, usize::MAX / 2);
        vec![format!("{} bytes in memory", self.state.index().resident_bytes())]
    }

    fn tally(&mut self) -> Vec<String> {
        let tally = self.overlay.take_tally();
        vec![format!(
            "ranges {} puts {} deletes {} transactions {}",
            tally.ranges, tally.puts, tally.deletes, tally.transactions
        )]
    }

    fn lease(&self, id: LeaseId) -> Vec<String> {
        let Some(lease) = self.state.lease(id) else {
            return vec!["none".into()];
        };
        let keys: Vec<String> = self.state.lease_keys(id).map(print::text).collect();
        vec![format!(
            "{} s until {} ms, keys: {}",
            lease.ttl,
            lease.deadline_ms,
            keys.join(" ")
        )]
    }
}

fn grant(words: &mut Words<'_>) -> Command {
    let (id, ttl, now_ms) = (LeaseId(words.number()), words.number(), words.number());
    Command::LeaseGrant(LeaseGrant {
        id,
        chosen: LeaseId(7777),
        ttl,
        now_ms,
    })
}

fn alarm(words: &mut Words<'_>) -> Command {
    let (action, name, member_id) = (words.word(), words.word(), words.number());
    let alarm = AlarmMember {
        alarm: if name == "nospace" {
            Alarm::NoSpace
        } else {
            Alarm::Corrupt
        },
        member_id: member_id.unsigned_abs(),
    };
    Command::Alarm(match action {
        "raise" => AlarmAction::Activate(alarm),
        _ => AlarmAction::Deactivate(alarm),
    })
}
