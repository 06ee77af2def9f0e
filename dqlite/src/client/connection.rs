//! One connection: a request goes out, a response comes in.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::connector::BoxedStream;
use super::error::{Error, Risk};
use crate::wire::{DecodeError, EncodeError, HANDSHAKE, HEADER_LENGTH, Header, Request, Response};

/// Room that is made for reading at least, bytes; it doubles while a message comes in.
const READ: usize = 16 * 1024;

/// Room for writing that is kept between requests, bytes.
const KEPT: usize = 256 * 1024;

/// How long to wait for a response and how long it may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) time: Duration,
    pub(super) length: u64,
}

/// A connection on which no request is in flight; while one is, its call owns the connection.
pub(super) struct Connection {
    stream: BoxedStream,
    input: BytesMut,
    output: BytesMut,
    /// What is at stake in the request last sent.
    risk: Risk,
}

impl Connection {
    /// Tells the node which protocol is spoken. It does not answer.
    pub(super) async fn open(mut stream: BoxedStream) -> io::Result<Self> {
        stream.write_all(&HANDSHAKE).await?;
        stream.flush().await?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            risk: Risk::Harmless,
        })
    }

    /// Makes a request ready to be sent.
    pub(super) fn load(&mut self, request: &Request<'_>) -> Result<(), EncodeError> {
        if self.output.capacity() > KEPT {
            self.output = BytesMut::new();
        }
        self.output.clear();
        self.risk = Risk::of(request);
        request.encode(&mut self.output)
    }

    pub(super) fn risk(&self) -> Risk {
        self.risk
    }

    /// Sends what is loaded and reads the response. After an error the connection is of no more use.
    pub(super) async fn exchange(&mut self, limits: Limits) -> Result<Response, Error> {
        let mut sent = false;
        let exchange = async {
            self.stream.write_all(&self.output).await?;
            // A node carries out only what it has read to the end, so before this nothing can be done.
            sent = true;
            self.stream.flush().await?;
            read(&mut self.stream, &mut self.input, limits.length).await
        };
        let outcome = within(limits.time, exchange).await;
        outcome.map_err(|error| if sent { self.risk.unanswered(error) } else { error })
    }

    /// Reads one more response to the last request.
    pub(super) async fn more(&mut self, limits: Limits) -> Result<Response, Error> {
        let reading = read(&mut self.stream, &mut self.input, limits.length);
        within(limits.time, reading)
            .await
            .map_err(|error| self.risk.unanswered(error))
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match timeout(time, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Io(late(time))),
    }
}

pub(super) fn late(time: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("not done within {time:?}"))
}

async fn read(stream: &mut BoxedStream, input: &mut BytesMut, limit: u64) -> Result<Response, Error> {
    fill(stream, input, HEADER_LENGTH).await?;
    let header = input.split_to(HEADER_LENGTH);
    let header = Header::decode(header[..].try_into().map_err(|_| DecodeError::CutOff)?);
    let length = usize::try_from(header.body_length()).unwrap_or(usize::MAX);
    if header.body_length() > limit {
        return Err(Error::Protocol(format!(
            "a response of {length} bytes, more than {limit}"
        )));
    }
    fill(stream, input, length).await?;
    let response = Response::decode(header, input.split_to(length).freeze())?;
    let ended = !matches!(&response, Response::Rows(page) if page.more);
    if ended && !input.is_empty() {
        return Err(Error::Protocol(
            "more than one response to one request".to_owned(),
        ));
    }
    Ok(response)
}

/// Reads until so many bytes are there. Room is made for what came, doubled, not for what is announced.
async fn fill(stream: &mut BoxedStream, input: &mut BytesMut, length: usize) -> io::Result<()> {
    while input.len() < length {
        let missing = length - input.len();
        input.reserve(missing.min(input.len()).max(READ));
        if stream.read_buf(input).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the node closed the connection",
            ));
        }
    }
    Ok(())
}
