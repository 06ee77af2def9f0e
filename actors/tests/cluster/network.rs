//! The links between the members, which a test cuts and heals, each direction by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use actors::{
    Ask, AskOutcome, Claim, Feeder, Following, Image, ImageWriter, Member, MemberDescription, Peer,
    PeerAnswer, PeerError, Progress, Promised, RequestError,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Bytes that a link holds of what one member streams to another.
const LINK_BYTES: usize = 1 << 20;

/// From one member to another.
type Link = (u64, u64);

/// What connects the members of a cluster in one process.
pub struct Network {
    /// What a member was asked goes on here, also when nobody waits for the answer any more.
    runtime: Handle,
    members: Mutex<BTreeMap<u64, Member>>,
    cut: watch::Sender<BTreeSet<Link>>,
    /// Members to whom nothing is streamed at the moment.
    starved: watch::Sender<BTreeSet<u64>>,
    claims: AtomicU64,
    confirmations: AtomicU64,
}

impl Network {
    /// A network without members. What is asked over it runs where this is called.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            runtime: Handle::current(),
            members: Mutex::default(),
            cut: watch::channel(BTreeSet::new()).0,
            starved: watch::channel(BTreeSet::new()).0,
            claims: AtomicU64::new(0),
            confirmations: AtomicU64::new(0),
        })
    }

    /// A member can be reached from now on.
    pub fn join(&self, id: u64, member: Member) {
        self.members.lock().insert(id, member);
    }

    /// A member cannot be reached any more.
    pub fn leave(&self, id: u64) {
        self.members.lock().remove(&id);
    }

    /// Nothing gets from one member to the other any more, and what is under way is lost.
    pub fn cut(&self, from: u64, to: u64) {
        self.cut.send_modify(|cut| {
            cut.insert((from, to));
        });
    }

    /// Cuts a member off from these others, in both directions.
    pub fn isolate(&self, member: u64, others: impl IntoIterator<Item = u64>) {
        for other in others.into_iter().filter(|other| *other != member) {
            self.cut(member, other);
            self.cut(other, member);
        }
    }

    /// All links work again.
    pub fn heal(&self) {
        self.cut.send_modify(BTreeSet::clear);
    }

    /// Nothing that is streamed to this member gets there any more, though the connection stands.
    pub fn starve(&self, member: u64) {
        self.starved.send_modify(|starved| {
            starved.insert(member);
        });
    }

    /// All streams flow again.
    pub fn feed(&self) {
        self.starved.send_modify(BTreeSet::clear);
    }

    /// How often a member was asked for a promise.
    pub fn claims(&self) -> u64 {
        self.claims.load(Relaxed)
    }

    /// How often a member was asked to confirm a leadership.
    pub fn confirmations(&self) -> u64 {
        self.confirmations.load(Relaxed)
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cut.borrow().contains(&(from, to))
    }
}

/// The way from one member to another.
#[derive(Clone)]
pub struct Way {
    network: Arc<Network>,
    from: u64,
    to: u64,
}

impl Way {
    pub fn new(network: Arc<Network>, from: u64, to: u64) -> Self {
        Self { network, from, to }
    }

    /// The other member, if a question gets there.
    fn there(&self) -> Option<Member> {
        let reached = !self.network.is_cut(self.from, self.to);
        let member = self.network.members.lock().get(&self.to).cloned();
        member.filter(|_| reached)
    }

    /// Waits until the connection is broken: it needs both directions.
    async fn broken(&self) {
        let links = [(self.from, self.to), (self.to, self.from)];
        let mut cut = self.network.cut.subscribe();
        let broken = cut.wait_for(|cut| links.iter().any(|link| cut.contains(link)));
        broken.await.expect("the network lasts as long as its ways");
    }

    /// Carries a question over and the answer back. What was asked is done although the answer may be lost.
    fn carry<T: Send + 'static>(&self, work: PeerAnswer<T>, lost: T) -> PeerAnswer<T> {
        let (way, answer) = (self.clone(), self.network.runtime.spawn(work));
        Box::pin(async move {
            tokio::select! {
                biased;
                () = way.broken() => lost,
                answer = answer => answer.unwrap_or(lost),
            }
        })
    }

    /// Waits until something may be streamed over this way.
    async fn flows(&self) {
        let mut starved = self.network.starved.subscribe();
        let flows = starved.wait_for(|starved| !starved.contains(&self.from));
        flows.await.expect("the network lasts as long as its ways");
    }

    async fn pump(self, source: Following, feeder: Feeder) {
        let ended = tokio::select! {
            () = self.broken() => PeerError::Lost("the link is cut".into()),
            ended = self.pass_on(source, &feeder) => ended,
        };
        feeder.end(ended);
    }

    /// Passes on what a leader streams, and what its follower acknowledges. Returns why it ended.
    async fn pass_on(&self, mut source: Following, feeder: &Feeder) -> PeerError {
        let mut acknowledged = feeder.acknowledgements();
        loop {
            self.flows().await;
            let followed = tokio::select! {
                followed = source.next() => followed,
                () = feeder.closed() => return PeerError::Lost("the follower is gone".into()),
                Ok(()) = acknowledged.changed() => {
                    source.acknowledge(*acknowledged.borrow_and_update());
                    continue;
                }
            };
            self.flows().await;
            match followed {
                Ok(followed) => drop(feeder.send(followed).await),
                Err(reason) => return reason,
            }
        }
    }

    async fn pass_image(self, mut source: Image, writer: ImageWriter) {
        let pass = async {
            while let Some(part) = source.next().await? {
                writer.send(part).await;
            }
            Ok(())
        };
        let passed = tokio::select! {
            () = self.broken() => Err(PeerError::Lost("the link is cut".into())),
            passed = pass => passed,
        };
        match passed {
            Ok(()) => writer.finish().await,
            Err(reason) => writer.fail(reason).await,
        }
    }
}

fn unreachable() -> PeerError {
    PeerError::Unreachable("the link is cut, or the member is down".into())
}

fn answered<T>(answer: T) -> Ready<T> {
    ready(answer)
}

impl Peer for Way {
    fn ask(&self, ask: Ask) -> PeerAnswer<AskOutcome> {
        match self.there() {
            Some(member) => self.carry(member.ask(ask), Err(RequestError::TimedOutConnectionLost)),
            None => Box::pin(answered(Err(RequestError::NoLeader))),
        }
    }

    fn follow(&self, follower: u64, from: Progress) -> Following {
        let (feeder, following) = Following::channel(from, LINK_BYTES);
        match self.there() {
            Some(member) => drop(tokio::spawn(
                self.clone().pump(member.follow(follower, from), feeder),
            )),
            None => feeder.end(unreachable()),
        }
        following
    }

    fn promise(&self, claim: Claim) -> PeerAnswer<Result<Promised, PeerError>> {
        let counter = if claim.confirm {
            &self.network.confirmations
        } else {
            &self.network.claims
        };
        counter.fetch_add(1, Relaxed);
        match self.there() {
            Some(member) => {
                let lost = Err(PeerError::Lost("the link was cut".into()));
                self.carry(member.promise(claim), lost)
            }
            None => Box::pin(answered(Err(unreachable()))),
        }
    }

    fn image(&self) -> Image {
        let (writer, image) = Image::channel();
        match self.there() {
            Some(member) => drop(tokio::spawn(self.clone().pass_image(member.image(), writer))),
            None => drop(tokio::spawn(writer.fail(unreachable()))),
        }
        image
    }

    fn describe(&self) -> PeerAnswer<Result<MemberDescription, PeerError>> {
        match self.there() {
            Some(member) => {
                let lost = Err(PeerError::Lost("the link was cut".into()));
                self.carry(member.describe(), lost)
            }
            None => Box::pin(answered(Err(unreachable()))),
        }
    }
}
