//! A member that does what a test says, and remembers what it was told.

use std::sync::Arc;

use actors::{
    Ask, AskOutcome, Claim, Feeder, Following, Image, ImageWriter, MemberDescription, Peer, PeerAnswer,
    PeerError, Progress, Promised, Told,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// What a member answers to what it is asked.
pub(super) type Answering = Box<dyn Fn(&Ask) -> PeerAnswer<AskOutcome> + Send + Sync>;

/// What a member answers to claims.
pub(super) type Promising = Box<dyn Fn(Claim) -> PeerAnswer<Result<Promised, PeerError>> + Send + Sync>;

/// A follower that came.
pub(super) struct Follower {
    pub(super) member: u64,
    pub(super) from: Progress,
    pub(super) feeder: Feeder,
}

/// The member.
pub(super) struct FakeMember {
    answering: Answering,
    promising: Promising,
    budget: usize,
    asked: Mutex<Vec<Ask>>,
    followers: mpsc::UnboundedSender<Follower>,
    writers: mpsc::UnboundedSender<ImageWriter>,
}

/// What comes to a member that a test deals with itself.
pub(super) struct Visitors {
    pub(super) followers: mpsc::UnboundedReceiver<Follower>,
    pub(super) writers: mpsc::UnboundedReceiver<ImageWriter>,
}

/// An answer that is there.
pub(super) fn at_once<T: Send + 'static>(answer: T) -> PeerAnswer<T> {
    Box::pin(std::future::ready(answer))
}

/// An answer that never comes.
pub(super) fn never<T: Send + 'static>() -> PeerAnswer<T> {
    Box::pin(std::future::pending())
}

/// An answer that a test gives later.
pub(super) fn later<T: Send + 'static>() -> (oneshot::Sender<T>, PeerAnswer<T>) {
    let (answer, answered) = oneshot::channel();
    (
        answer,
        Box::pin(async move { answered.await.expect("an answer") }),
    )
}

impl FakeMember {
    /// A member that answers everything with "done" and grants everything, and feeds followers `budget` bytes.
    pub(super) fn new(budget: usize) -> (Self, Visitors) {
        let (followers, came) = mpsc::unbounded_channel();
        let (writers, wanted) = mpsc::unbounded_channel();
        let member = Self {
            answering: Box::new(|_| at_once(Ok(Told::Done))),
            promising: Box::new(|_| at_once(Ok(Promised::Granted))),
            budget,
            asked: Mutex::default(),
            followers,
            writers,
        };
        let visitors = Visitors {
            followers: came,
            writers: wanted,
        };
        (member, visitors)
    }

    /// A member that answers what it is asked so.
    pub(super) fn answering(
        answering: impl Fn(&Ask) -> PeerAnswer<AskOutcome> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let answering: Answering = Box::new(answering);
        let (member, _) = Self::new(1);
        Arc::new(Self { answering, ..member })
    }

    /// A member that answers claims so.
    pub(super) fn promising(
        promising: impl Fn(Claim) -> PeerAnswer<Result<Promised, PeerError>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let promising: Promising = Box::new(promising);
        let (member, _) = Self::new(1);
        Arc::new(Self { promising, ..member })
    }

    /// Everything it was asked so far.
    pub(super) fn asked(&self) -> Vec<Ask> {
        self.asked.lock().clone()
    }
}

impl Peer for FakeMember {
    fn ask(&self, ask: Ask) -> PeerAnswer<AskOutcome> {
        let answer = (self.answering)(&ask);
        self.asked.lock().push(ask);
        answer
    }

    fn follow(&self, member: u64, from: Progress) -> Following {
        let (feeder, following) = Following::channel(from, self.budget);
        let _nobody_looks = self.followers.send(Follower { member, from, feeder });
        following
    }

    fn promise(&self, claim: Claim) -> PeerAnswer<Result<Promised, PeerError>> {
        (self.promising)(claim)
    }

    fn image(&self) -> Image {
        let (writer, image) = Image::channel();
        let _nobody_looks = self.writers.send(writer);
        image
    }

    fn describe(&self) -> PeerAnswer<Result<MemberDescription, PeerError>> {
        at_once(Ok(MemberDescription {
            name: "fake".into(),
            client_urls: vec!["http://localhost:1".into()],
            leader: Some(3),
            ..MemberDescription::default()
        }))
    }
}
