//! A replica on its way to a member without one, in parts.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::peers::PeerError;

/// Parts that may be under way: enough that neither end waits for the other's every step.
const PARTS: usize = 4;

/// A part; none says that it was the last.
type Part = Result<Option<Bytes>, PeerError>;

/// The end that writes. Dropping it before the end is a lost connection to the reader.
#[derive(Debug)]
pub struct ImageWriter {
    sender: mpsc::Sender<Part>,
}

impl ImageWriter {
    /// Sends a part of any size when there is room. Returns whether anybody still reads.
    pub async fn send(&self, part: Bytes) -> bool {
        self.sender.send(Ok(Some(part))).await.is_ok()
    }

    /// The replica is complete.
    pub async fn finish(self) {
        let _gone = self.sender.send(Ok(None)).await;
    }

    /// The replica cannot be sent to its end.
    pub async fn fail(self, reason: PeerError) {
        let _gone = self.sender.send(Err(reason)).await;
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// The end that reads. Dropping it ends the transfer.
#[derive(Debug)]
pub struct Image {
    receiver: mpsc::Receiver<Part>,
}

impl Image {
    /// A way for a replica, with its two ends.
    #[must_use]
    pub fn channel() -> (ImageWriter, Self) {
        let (sender, receiver) = mpsc::channel(PARTS);
        (ImageWriter { sender }, Self { receiver })
    }

    /// The next part; none when the replica is complete.
    ///
    /// # Errors
    /// Why the replica will not be complete. It is not to be asked again then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, PeerError> {
        let lost = || PeerError::Lost("the replica ended early".into());
        self.receiver.recv().await.unwrap_or_else(|| Err(lost()))
    }

    /// The whole replica, in parts.
    ///
    /// # Errors
    /// Why it will not be complete.
    pub async fn collect(mut self) -> Result<Vec<Bytes>, PeerError> {
        let mut parts = Vec::new();
        while let Some(part) = self.next().await? {
            parts.push(part);
        }
        Ok(parts)
    }
}
