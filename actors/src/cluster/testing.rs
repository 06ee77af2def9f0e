//! Members that a test plays.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Ask, AskOutcome, Claim, Feeder, Following, Image, MemberDescription, Members, Peer, PeerAnswer,
    PeerError, Progress, Promised,
};
use crate::errors::RequestError;

/// Bytes that may be on their way to a follower.
const FEED_BYTES: usize = 1 << 20;

/// Something that a member was asked, and where the answer goes.
pub(crate) type Question<Q, A> = (Q, oneshot::Sender<A>);

/// A member of which the test sees what it is asked, and answers.
pub(crate) struct Puppet {
    asked: mpsc::UnboundedSender<Question<Ask, AskOutcome>>,
    claimed: mpsc::UnboundedSender<Question<Claim, Promised>>,
    /// The newest stream of a follower, and where it wanted to begin.
    stream: Mutex<Option<(Feeder, Progress)>>,
}

/// The test's end of a puppet.
pub(crate) struct Strings {
    pub(crate) asked: mpsc::UnboundedReceiver<Question<Ask, AskOutcome>>,
    pub(crate) claimed: mpsc::UnboundedReceiver<Question<Claim, Promised>>,
}

impl Puppet {
    pub(crate) fn new() -> (Arc<Self>, Strings) {
        let (ask, asked) = mpsc::unbounded_channel();
        let (claim, claimed) = mpsc::unbounded_channel();
        let puppet = Arc::new(Self {
            asked: ask,
            claimed: claim,
            stream: Mutex::new(None),
        });
        (puppet, Strings { asked, claimed })
    }

    /// Says this to the follower.
    pub(crate) fn say(&self, followed: super::Followed) {
        let stream = self.stream.lock();
        let (feeder, _) = stream.as_ref().expect("it is followed");
        feeder.try_send(followed).expect("room");
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.stream.lock().is_some()
    }

    pub(crate) fn followed_from(&self) -> Progress {
        self.stream.lock().as_ref().expect("it is followed").1
    }

    /// Ends the stream of the follower.
    pub(crate) fn forget_follower(&self) {
        *self.stream.lock() = None;
    }
}

impl Peer for Puppet {
    fn ask(&self, ask: Ask) -> PeerAnswer<AskOutcome> {
        let (answer, answered) = oneshot::channel();
        let _gone = self.asked.send((ask, answer));
        Box::pin(async {
            answered
                .await
                .unwrap_or(Err(RequestError::TimedOutConnectionLost))
        })
    }

    fn follow(&self, _: u64, from: Progress) -> Following {
        let (feeder, following) = Following::channel(from, FEED_BYTES);
        *self.stream.lock() = Some((feeder, from));
        following
    }

    fn promise(&self, claim: Claim) -> PeerAnswer<Result<Promised, PeerError>> {
        let (answer, answered) = oneshot::channel();
        let _gone = self.claimed.send((claim, answer));
        Box::pin(async { answered.await.map_err(|_| PeerError::Lost("it is gone".into())) })
    }

    fn image(&self) -> Image {
        Image::channel().1
    }

    fn describe(&self) -> PeerAnswer<Result<MemberDescription, PeerError>> {
        Box::pin(std::future::ready(Ok(MemberDescription::default())))
    }
}

/// The cluster of member 1, whose others are puppets, numbered from 2 on.
pub(crate) struct Puppets(pub(crate) Vec<Arc<Puppet>>);

impl Members for Puppets {
    fn me(&self) -> u64 {
        1
    }

    fn voters(&self) -> Option<Vec<u64>> {
        Some((1..=self.0.len() as u64 + 1).collect())
    }

    fn peer(&self, member: u64) -> Option<Arc<dyn Peer>> {
        let index = usize::try_from(member).ok()?.checked_sub(2)?;
        let puppet = self.0.get(index).cloned();
        puppet.map(|puppet| puppet as Arc<dyn Peer>)
    }

    fn leader(&self) -> watch::Receiver<Option<u64>> {
        watch::channel(None).1
    }
}
