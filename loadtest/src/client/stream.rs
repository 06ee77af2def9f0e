//! A stream of messages in both directions: watches and keep-alives.

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};

use super::segments::PREFIX;
use super::{CallError, Segments, accepted, finished};

/// The answer's head arrives only once the server has something to say, so it is waited for by the first read.
enum Answer {
    Awaited(ResponseFuture),
    Open(RecvStream),
    Ended,
}

/// One open call that carries any number of messages each way. Dropping it cancels the call.
pub(crate) struct Stream {
    body: SendStream<Bytes>,
    answer: Answer,
    arrived: Segments,
    /// Length of the message whose prefix has been read and whose body has not.
    announced: Option<usize>,
}

impl Stream {
    pub(super) fn new(body: SendStream<Bytes>, answer: ResponseFuture) -> Self {
        Self {
            body,
            answer: Answer::Awaited(answer),
            arrived: Segments::default(),
            announced: None,
        }
    }

    /// Sends one framed message.
    pub(crate) fn send(&mut self, message: Bytes) -> Result<(), CallError> {
        Ok(self.body.send_data(message, false)?)
    }

    /// Sends one framed message, and says that it is the only one or the last.
    pub(crate) fn send_last(&mut self, message: Bytes) -> Result<(), CallError> {
        Ok(self.body.send_data(message, true)?)
    }

    /// Says that no more messages will be sent.
    pub(crate) fn finish(&mut self) -> Result<(), CallError> {
        Ok(self.body.send_data(Bytes::new(), true)?)
    }

    /// The next message without its frame; `None` when the server has ended the stream in good order.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            if let Some(message) = self.complete()? {
                return Ok(Some(message));
            }
            if !self.receive().await? {
                return Ok(None);
            }
        }
    }

    fn complete(&mut self) -> Result<Option<Bytes>, CallError> {
        if self.announced.is_none() && self.arrived.remaining() >= PREFIX {
            self.announced = Some(self.arrived.take_prefix()?);
        }
        match self.announced {
            Some(length) if self.arrived.remaining() >= length => {
                self.announced = None;
                Ok(Some(self.arrived.copy_to_bytes(length)))
            }
            _ => Ok(None),
        }
    }

    /// Waits for more bytes; false at the end of the stream.
    async fn receive(&mut self) -> Result<bool, CallError> {
        match &mut self.answer {
            Answer::Awaited(answer) => {
                self.answer = Answer::Open(accepted(answer).await?);
                Ok(true)
            }
            Answer::Open(body) => match body.data().await {
                Some(piece) => {
                    let piece = piece?;
                    body.flow_control().release_capacity(piece.len())?;
                    self.arrived.push(piece);
                    Ok(true)
                }
                None => {
                    let trailers = body.trailers().await?;
                    self.answer = Answer::Ended;
                    finished(trailers.as_ref())?;
                    Ok(false)
                }
            },
            Answer::Ended => Ok(false),
        }
    }
}
