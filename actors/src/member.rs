//! What this member does for the others: the other face of [`Peer`].

use std::sync::Arc;

use crate::cluster::{
    Ask, AskOutcome, Claim, Following, Image, ImageWriter, MemberDescription, Peer, PeerAnswer, PeerError,
    Progress, Promised,
};
use crate::mailbox::Mailbox;
use crate::membership::Membership;
use crate::replicator::{Follow, Replicator};
use crate::store::Store;

/// Bytes that may be on their way to a follower.
const FEED_BYTES: usize = 32 << 20;
/// Bytes of a replica sent at a time.
const IMAGE_PART: usize = 1 << 20;

/// This member, as the others see it.
#[derive(Clone)]
pub struct Member {
    pub(crate) store: Store,
    pub(crate) membership: Membership,
    pub(crate) replicator: Mailbox<Replicator>,
    /// What does not change while it runs.
    pub(crate) description: MemberDescription,
}

impl Member {
    /// The store of this member.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    async fn send_image(self, writer: ImageWriter) {
        let log = Arc::clone(&self.membership.log);
        let image = match tokio::task::spawn_blocking(move || log.image()).await {
            Ok(Ok(image)) => image,
            Ok(Err(error)) => return writer.fail(PeerError::NotReady(error.to_string())).await,
            Err(_) => return writer.fail(PeerError::NotReady("it is stopping".into())).await,
        };
        let mut left = image;
        while !left.is_empty() {
            let part = left.split_to(left.len().min(IMAGE_PART));
            if !writer.send(part).await {
                return;
            }
        }
        writer.finish().await;
    }
}

impl Peer for Member {
    fn ask(&self, ask: Ask) -> PeerAnswer<AskOutcome> {
        let store = self.store.clone();
        Box::pin(async move { store.answer(ask).await })
    }

    fn follow(&self, _: u64, from: Progress) -> Following {
        let (feeder, following) = Following::channel(from, FEED_BYTES);
        self.replicator.tell(Follow {
            feeder,
            progress: from,
        });
        following
    }

    fn promise(&self, claim: Claim) -> PeerAnswer<Result<Promised, PeerError>> {
        let promises = Arc::clone(&self.membership.promises);
        Box::pin(async move {
            if promises.highest() == claim.epoch {
                return Ok(Promised::Granted);
            }
            let considered = tokio::task::spawn_blocking(move || promises.consider(claim)).await;
            let kept = considered.map_err(|_| PeerError::NotReady("it is stopping".into()))?;
            kept.map_err(|error| PeerError::NotReady(format!("a promise cannot be kept: {error}")))
        })
    }

    fn image(&self) -> Image {
        let (writer, image) = Image::channel();
        tokio::spawn(self.clone().send_image(writer));
        image
    }

    fn describe(&self) -> PeerAnswer<Result<MemberDescription, PeerError>> {
        let described = self.store.describe(MemberDescription {
            schemas: self.membership.log.schemas(),
            ..self.description.clone()
        });
        Box::pin(std::future::ready(Ok(described)))
    }
}
