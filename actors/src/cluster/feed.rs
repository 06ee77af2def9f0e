//! The way from a leader to one follower: bounded by bytes, with the follower's progress coming back.
//!
//! Both ends of a connection use it: the leader's pipeline feeds the server's end, the client's end feeds the
//! follower's pipeline. A follower that does not keep up fills its feed and nothing else: whoever feeds it
//! either waits for room or learns that there is none and lets the follower begin again from the log.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::messages::{Followed, Progress};
use super::peers::PeerError;

/// What is on its way, and the room that it takes.
type Sent = Result<(Followed, OwnedSemaphorePermit), PeerError>;

/// The leader's end of a feed. Dropping it ends the feed as a lost connection does.
#[derive(Debug)]
pub struct Feeder {
    sender: mpsc::UnboundedSender<Sent>,
    room: Arc<Semaphore>,
    budget: u32,
    acknowledged: watch::Receiver<Progress>,
}

/// Why something was not fed to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFed {
    /// The follower has too much before it; here is what did not fit.
    Full(Followed),
    /// The follower is gone.
    Gone,
}

impl Feeder {
    /// Feeds this if there is room at once. Something larger than the whole budget fits into an empty feed.
    ///
    /// # Errors
    /// [`NotFed`] says why not.
    pub fn try_send(&self, followed: Followed) -> Result<(), NotFed> {
        match Arc::clone(&self.room).try_acquire_many_owned(self.cost(&followed)) {
            Ok(room) => self.put(followed, room),
            Err(_) if self.is_closed() => Err(NotFed::Gone),
            Err(_) => Err(NotFed::Full(followed)),
        }
    }

    /// Feeds this when there is room.
    ///
    /// # Errors
    /// [`NotFed::Gone`].
    pub async fn send(&self, followed: Followed) -> Result<(), NotFed> {
        let room = Arc::clone(&self.room).acquire_many_owned(self.cost(&followed));
        tokio::select! {
            Ok(room) = room => self.put(followed, room),
            () = self.closed() => Err(NotFed::Gone),
        }
    }

    /// Waits until at least half of the room is free, so that whoever feeds a slow follower does not come back for
    /// every little it takes. False when the follower is gone.
    pub async fn drained(&self) -> bool {
        let half = self.room.acquire_many(self.budget.div_ceil(2));
        tokio::select! {
            half = half => half.is_ok(),
            () = self.closed() => false,
        }
    }

    /// Tells the follower why it hears nothing more, after what it was fed already.
    pub fn end(self, reason: PeerError) {
        let _gone = self.sender.send(Err(reason));
    }

    /// Whether the follower is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the follower is gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// How far the follower says that it is.
    #[must_use]
    pub fn acknowledged(&self) -> Progress {
        *self.acknowledged.borrow()
    }

    /// Waits until the follower says that it is somewhere else than when this was last called; none when the
    /// follower is gone.
    pub async fn next_acknowledged(&mut self) -> Option<Progress> {
        self.acknowledged.changed().await.ok()?;
        Some(*self.acknowledged.borrow_and_update())
    }

    /// The follower's words, for who waits for them apart from feeding.
    #[must_use]
    pub fn acknowledgements(&self) -> watch::Receiver<Progress> {
        self.acknowledged.clone()
    }

    fn cost(&self, followed: &Followed) -> u32 {
        u32::try_from(followed.size()).map_or(self.budget, |size| size.min(self.budget))
    }

    fn put(&self, followed: Followed, room: OwnedSemaphorePermit) -> Result<(), NotFed> {
        self.sender.send(Ok((followed, room))).map_err(|_| NotFed::Gone)
    }
}

/// The follower's end of a feed. Dropping it ends the feed.
#[derive(Debug)]
pub struct Following {
    receiver: mpsc::UnboundedReceiver<Sent>,
    acknowledge: watch::Sender<Progress>,
    ended: Option<PeerError>,
}

impl Following {
    /// A feed for a follower that stands at `from`, with its two ends and with room for `budget` bytes of what
    /// the follower has not taken yet.
    #[must_use]
    pub fn channel(from: Progress, budget: usize) -> (Feeder, Self) {
        let budget = u32::try_from(budget.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let (sender, receiver) = mpsc::unbounded_channel();
        let (acknowledge, acknowledged) = watch::channel(from);
        let feeder = Feeder {
            sender,
            room: Arc::new(Semaphore::new(budget as usize)),
            budget,
            acknowledged,
        };
        let following = Self {
            receiver,
            acknowledge,
            ended: None,
        };
        (feeder, following)
    }

    /// What the leader says next. Giving up waiting loses nothing.
    ///
    /// # Errors
    /// Why there is nothing more; the same again when asked again.
    pub async fn next(&mut self) -> Result<Followed, PeerError> {
        if let Some(reason) = &self.ended {
            return Err(reason.clone());
        }
        let sent = self.receiver.recv().await;
        self.take(sent)
    }

    /// What the leader said already and was not taken yet; none if that is nothing.
    pub fn next_now(&mut self) -> Option<Result<Followed, PeerError>> {
        if let Some(reason) = &self.ended {
            return Some(Err(reason.clone()));
        }
        match self.receiver.try_recv() {
            Ok(sent) => Some(self.take(Some(sent))),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(self.take(None)),
        }
    }

    /// Tells the leader how far this follower is. Only the newest word travels.
    pub fn acknowledge(&self, progress: Progress) {
        self.acknowledge.send_if_modified(|known| {
            let moved = *known != progress;
            *known = progress;
            moved
        });
    }

    fn take(&mut self, sent: Option<Sent>) -> Result<Followed, PeerError> {
        let lost = || PeerError::Lost("the stream ended".into());
        let taken = sent.unwrap_or_else(|| Err(lost()));
        taken.map(|(followed, _room)| followed).inspect_err(|reason| {
            self.receiver.close();
            self.ended = Some(reason.clone());
        })
    }
}
