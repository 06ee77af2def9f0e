//! Histories of a cluster that keeps its promises: random clients on the model itself, with answers that get lost,
//! members that lag behind, leases that end by themselves, and watches.

mod leases;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fastrand::Rng;

use super::history::{
    Answer, Call, Compare, DeleteRange, Fate, History, Moment, Operation, Outcome, Put, Range, Relation,
    Renewal, Request, Stream, Target, Txn, Watch, Watched, prefix_end,
};
use super::model::{Reply, State};
use super::replay::Replay;

/// Keys that are written.
const KEYS: u64 = 8;
/// Members of the cluster.
const MEMBERS: u32 = 3;
/// Units of time of a second, while a history is made: clients call some times a second.
const SECOND: Moment = 400;
/// Nanoseconds of such a unit.
const UNIT: Moment = 2_500_000;

/// What the cluster does wrong, once, in the middle of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Acknowledges a write and forgets it.
    LostWrite,
    /// Does a write twice.
    DoubledWrite,
    /// Answers a linearizable read from some revisions ago.
    StaleRead,
    /// Loses its newest revisions, as after a crash.
    Rollback,
    /// Ends a lease that was kept alive.
    EarlyEnd,
    /// Does not end a lease.
    NoEnd,
    /// Ends a lease, and leaves its keys.
    EndWithoutKeys,
    /// Deletes the keys of a lease that ends one after the other.
    SplitEnd,
}

impl Bug {
    /// From which call on there may be an occasion: in the middle, but what is to be seen in the end is not to be undone,
    /// and where there are few occasions, any is taken.
    fn first_call(self, calls: usize) -> usize {
        match self {
            Self::NoEnd | Self::EndWithoutKeys => calls,
            Self::SplitEnd => 0,
            _ => calls / 2,
        }
    }
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) clients: u32,
    pub(crate) calls: usize,
    /// Of a thousand calls, how many get no answer.
    pub(crate) lost: u64,
    pub(crate) streams: u64,
    pub(crate) bug: Option<Bug>,
}

/// Something that happens to a call or a lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Invoked(u32),
    Decided(usize),
    Renewed(i64),
    Due(i64),
}

struct Cluster {
    rng: Rng,
    state: State,
    /// The state at every revision, for members that lag behind.
    states: Vec<State>,
    shown: BTreeMap<u32, i64>,
    replay: Replay,
    made: BTreeMap<i64, Moment>,
    calls: Vec<Call>,
    /// Which calls get their answer.
    answered: Vec<bool>,
    queue: BinaryHeap<Reverse<(Moment, Happening)>>,
    renewals: Vec<Renewal>,
    leases: leases::Leases,
    values: u64,
    /// What is still to be done wrong, and from which call on.
    bug: Option<(Bug, usize)>,
}

/// A history in which every promise is kept, but for the bug that is asked for. None if there was no occasion for it.
pub(crate) fn history_with(shape: Shape) -> Option<History> {
    let (history, pending) = generate(shape);
    (!pending).then_some(history)
}

/// A history in which every promise is kept.
pub(crate) fn history(shape: Shape) -> History {
    generate(Shape { bug: None, ..shape }).0
}

fn generate(shape: Shape) -> (History, bool) {
    let start = History::default().start;
    let mut cluster = Cluster {
        rng: Rng::with_seed(shape.seed),
        state: State::default(),
        states: vec![State::default(); 2],
        shown: BTreeMap::new(),
        replay: Replay::new(&start),
        made: BTreeMap::new(),
        calls: Vec::new(),
        answered: Vec::new(),
        queue: BinaryHeap::new(),
        renewals: Vec::new(),
        leases: leases::Leases::default(),
        values: 0,
        bug: shape.bug.map(|bug| (bug, bug.first_call(shape.calls))),
    };
    for client in 0..shape.clients {
        cluster.queue.push(Reverse((1, Happening::Invoked(client))));
    }
    while let Some(Reverse((now, happening))) = cluster.queue.pop() {
        match happening {
            Happening::Invoked(client) if cluster.calls.len() < shape.calls => {
                cluster.invoke(client, now, shape.lost);
            }
            Happening::Invoked(_) => {}
            Happening::Decided(call) => cluster.decide(call, now),
            Happening::Renewed(lease) => cluster.renewed(lease, now),
            Happening::Due(lease) => cluster.due(lease, now),
        }
    }
    let streams = (0..shape.streams).map(|id| cluster.stream(id)).collect();
    let fates = cluster.fates();
    cluster.read_in_the_end(shape.clients, &fates);
    let pending = cluster.bug.is_some();
    let mut history = History {
        calls: cluster.calls,
        renewals: cluster.renewals,
        fates,
        streams,
        ..History::default()
    };
    in_nanoseconds(&mut history);
    (history, pending)
}

/// Makes nanoseconds of all units of time.
fn in_nanoseconds(history: &mut History) {
    let calls = history.calls.iter_mut();
    let calls = calls.flat_map(|call| [&mut call.invoked, &mut call.returned]);
    let renewals = history.renewals.iter_mut();
    let renewals = renewals.flat_map(|renewal| [&mut renewal.invoked, &mut renewal.returned]);
    let fates = history.fates.iter_mut();
    let fates = fates.flat_map(|fate| [&mut fate.asked, &mut fate.at]);
    let responses = history
        .streams
        .iter_mut()
        .flat_map(|stream| &mut stream.responses);
    let responses = responses.map(|response| &mut response.at);
    let all = calls.chain(renewals).chain(fates).chain(responses);
    all.for_each(|moment| *moment *= UNIT);
}

fn everything() -> Range {
    Range {
        range_end: "\0".into(),
        ..Range::default()
    }
}

impl Cluster {
    fn invoke(&mut self, client: u32, now: Moment, lost: u64) {
        let request = self.request(client);
        let call = self.calls.len();
        let answered = self.rng.u64(..1000) >= lost;
        let returned = now + 2 + self.rng.u64(..200);
        // What got no answer happens at any time after it was invoked, or never.
        let decided = match answered {
            true => Some(self.rng.u64(now + 1..returned)),
            false => self.rng.bool().then(|| now + 1 + self.rng.u64(..600)),
        };
        if let Some(decided) = decided {
            self.queue.push(Reverse((decided, Happening::Decided(call))));
        }
        self.calls.push(Call {
            client,
            member: client % MEMBERS,
            invoked: now,
            returned,
            request,
            outcome: Outcome::Unknown("lost".to_owned()),
        });
        self.answered.push(answered);
        let next = returned + 1 + self.rng.u64(..100);
        self.queue.push(Reverse((next, Happening::Invoked(client))));
    }

    fn decide(&mut self, call: usize, now: Moment) {
        let Call { request, member, .. } = self.calls[call].clone();
        let reply = match &request {
            Request::Range(range) if range.serializable => self.alone(member, range),
            _ => match self.bug_for(call) {
                Some(bug) => self.wrongly(bug, member, &request, now),
                None => self.together(member, &request, now),
            },
        };
        if matches!(&reply, Reply::Answered(_)) {
            self.granted(&request, now, self.answered[call]);
        }
        if self.answered[call] {
            self.calls[call].outcome = match reply {
                Reply::Answered(answer) => Outcome::Answered(answer),
                Reply::Refused(refusal) => Outcome::Refused(refusal),
                Reply::Historic(revision) => unreachable!("nobody reads revision {revision}"),
            };
        }
    }

    fn together(&mut self, member: u32, request: &Request, now: Moment) -> Reply {
        let (reply, change) = self.state.apply(request);
        if change.is_revision() {
            self.replay.push(self.state.events(&change));
            self.made.insert(self.state.revision(), now);
            self.states.push(self.state.clone());
        }
        self.shown.insert(member, self.state.revision());
        reply
    }

    /// The bug, if this call is the occasion for it.
    fn bug_for(&mut self, call: usize) -> Option<Bug> {
        let (bug, from) = self.bug?;
        let revision = self.state.revision();
        let is_occasion = match (&self.calls[call].request, bug) {
            (Request::Put(put), Bug::LostWrite | Bug::DoubledWrite) => put.lease == 0,
            (Request::Range(_), Bug::StaleRead) => revision > 25,
            (_, Bug::Rollback) => revision > 10,
            _ => false,
        };
        let now = call >= from && self.answered[call] && is_occasion;
        now.then(|| self.bug.take()).flatten().map(|(bug, _)| bug)
    }

    fn wrongly(&mut self, bug: Bug, member: u32, request: &Request, now: Moment) -> Reply {
        match bug {
            Bug::LostWrite => {
                let (reply, change) = self.state.apply(request);
                self.state.undo(change);
                reply
            }
            Bug::DoubledWrite => {
                let reply = self.together(member, request, now);
                self.together(member, request, now);
                reply
            }
            Bug::StaleRead => {
                let old = self.states.len() - 20;
                self.states[old].clone().apply(request).0
            }
            Bug::Rollback => {
                self.states.truncate(self.states.len() - 3);
                self.state = self.states[self.states.len() - 1].clone();
                self.together(member, request, now)
            }
            Bug::EarlyEnd | Bug::NoEnd | Bug::EndWithoutKeys | Bug::SplitEnd => {
                unreachable!("no call is the occasion")
            }
        }
    }

    fn alone(&mut self, member: u32, range: &Range) -> Reply {
        let shown = self
            .shown
            .get(&member)
            .copied()
            .unwrap_or(1)
            .min(self.state.revision());
        let revision = self.rng.i64(shown..=self.state.revision());
        self.shown.insert(member, revision);
        let state = &self.states[usize::try_from(revision).expect("positive")];
        let body = super::history::Body::Range(state.found(range));
        Reply::Answered(Answer { revision, body })
    }

    fn key(&mut self) -> super::history::Text {
        format!("k/{}", self.rng.u64(..KEYS)).into()
    }

    fn value(&mut self) -> super::history::Text {
        self.values += 1;
        format!("v{}", self.values).into()
    }

    fn put(&mut self, lease: i64) -> Put {
        Put {
            key: self.key(),
            value: self.value(),
            lease,
            prev_kv: self.rng.bool(),
        }
    }

    fn range(&mut self) -> Range {
        let list = self.rng.bool();
        Range {
            key: if list { "k/".into() } else { self.key() },
            range_end: if list { prefix_end("k/") } else { "".into() },
            limit: self.rng.i64(0..4),
            serializable: self.rng.u8(..3) == 0,
            keys_only: self.rng.u8(..4) == 0,
            ..Range::default()
        }
    }

    /// Deletes or overwrites a key if it stands where a client that looked just now saw it.
    fn txn(&mut self) -> Request {
        let put = self.put(0);
        let seen = self.state.pair(&put.key).map_or(0, |pair| pair.mod_revision);
        let delete = DeleteRange {
            key: put.key.clone(),
            ..DeleteRange::default()
        };
        let failure = Range {
            key: put.key.clone(),
            ..Range::default()
        };
        Request::Txn(Txn {
            compare: vec![Compare {
                key: put.key.clone(),
                result: Relation::Equal,
                target: Target::ModRevision(seen - self.rng.i64(0..2).min(seen)),
            }],
            success: match self.rng.u8(..3) {
                0 => vec![Operation::Put(put)],
                1 => vec![Operation::DeleteRange(delete)],
                _ => {
                    let mut other = self.put(0);
                    other.key = format!("{}/two", put.key).into();
                    vec![Operation::Put(put), Operation::Put(other)]
                }
            },
            failure: vec![Operation::Range(failure)],
        })
    }

    /// A lease of this client: one that ends by itself, or one that is granted and revoked again and again.
    fn lease(&mut self, client: u32) -> i64 {
        match self.leases.held.get(&client) {
            Some(lease) if self.rng.u8(..4) > 0 => *lease,
            _ => i64::from(client) + 1,
        }
    }

    fn grant(&mut self, client: u32) -> Request {
        match self.rng.bool() {
            true => Request::LeaseGrant {
                id: i64::from(client) + 1,
                ttl: 9000,
            },
            false => Request::LeaseGrant {
                id: self.leases.new_for(client),
                ttl: self.rng.i64(1..4),
            },
        }
    }

    fn request(&mut self, client: u32) -> Request {
        match self.rng.u8(..100) {
            ..30 => Request::Range(self.range()),
            30..50 => Request::Put(self.put(0)),
            50..60 => Request::DeleteRange(DeleteRange {
                key: self.key(),
                prev_kv: self.rng.bool(),
                ..DeleteRange::default()
            }),
            60..75 => self.txn(),
            75..80 => self.grant(client),
            80..95 => {
                let lease = self.lease(client);
                Request::Put(self.put(lease))
            }
            95..98 => Request::LeaseRevoke {
                id: self.lease(client),
            },
            _ => {
                let current = self.state.revision();
                let revision = self.rng.i64(current - 20..current + 2);
                Request::Compact {
                    revision: revision.max(0),
                }
            }
        }
    }

    /// A watch of everything or of one key, live from a random revision on, asked for its progress at the end.
    fn stream(&mut self, id: u64) -> Stream {
        let all = id == 0 || self.rng.bool();
        let last = self.replay.last();
        let start = if id == 0 { 1 } else { self.rng.i64(1..=last) };
        let watch = Watch {
            key: if all { "k/".into() } else { self.key() },
            range_end: if all { prefix_end("k/") } else { "".into() },
            start_revision: start,
            prev_kv: self.rng.bool(),
            progress_notify: true,
            invoked: 0,
        };
        let mut responses = vec![Watched {
            at: self.made.get(&start).copied().unwrap_or(0),
            revision: start,
            created: true,
            ..Watched::default()
        }];
        for revision in start..=last {
            responses.extend(self.response(&watch, revision));
        }
        responses.push(Watched {
            at: self.end_of_all(),
            watch: -1,
            revision: last,
            ..Watched::default()
        });
        Stream {
            id,
            member: 0,
            watches: [(0, watch)].into(),
            responses,
            settled: Some(last),
        }
    }

    /// When nothing happens any more.
    fn end_of_all(&self) -> Moment {
        let calls = self.calls.iter().map(|call| call.returned);
        let renewals = self.renewals.iter().map(|renewal| renewal.returned);
        let made = self.made.values().copied();
        let all = calls.chain(renewals).chain(made).chain(self.leases.last_end());
        all.max().unwrap_or(0) + 1000
    }

    /// Somebody reads everything when all leases were asked about.
    fn read_in_the_end(&mut self, client: u32, fates: &[Fate]) {
        let asked = fates.iter().map(|fate| fate.at).max();
        let invoked = self.end_of_all().max(asked.unwrap_or(0)) + 1;
        let body = super::history::Body::Range(self.state.found(&everything()));
        let revision = self.state.revision();
        self.calls.push(Call {
            client,
            member: 0,
            invoked,
            returned: invoked + 1,
            request: Request::Range(everything()),
            outcome: Outcome::Answered(Answer { revision, body }),
        });
    }

    fn response(&mut self, watch: &Watch, revision: i64) -> Option<Watched> {
        let events = self.replay.between(revision, revision);
        let wanted = events
            .flat_map(|(_, events)| events)
            .filter(|event| super::history::in_range(&event.pair.key, &watch.key, &watch.range_end));
        let mut events: Vec<_> = wanted.cloned().collect();
        if !watch.prev_kv {
            events.iter_mut().for_each(|event| event.previous = None);
        }
        // Every now and then, where nothing came, the watch says how far it is.
        let silent = events.is_empty() && self.rng.u8(..4) > 0;
        (!silent).then(|| Watched {
            at: self.made.get(&revision).copied().unwrap_or(0) + 1,
            revision,
            events,
            ..Watched::default()
        })
    }
}
