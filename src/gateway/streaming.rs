//! Calls with a stream: JSON values one after another in the request, lines of `{"result":...}` in the answer.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::StatusCode;
use http_body_util::BodyExt;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::{Method, errors, json};

/// How many messages are read ahead of the service.
const READ_AHEAD: usize = 16;

/// Answers a call. The response begins with the first answer, so that a refusal has its HTTP status.
pub(super) async fn call(method: Method, body: Body) -> Response {
    let mut answers = match begin(method, body).await {
        Ok(answers) => answers,
        Err(status) => return errors::stream_response(&status),
    };
    match answers.next().await {
        Some(Err(status)) => errors::stream_response(&status),
        Some(Ok(first)) => errors::json_response(StatusCode::OK, Body::from_stream(lines(first, answers))),
        None => errors::json_response(StatusCode::OK, Body::empty()),
    }
}

async fn begin(method: Method, body: Body) -> Result<Answers, Status> {
    let (messages, received) = mpsc::channel(READ_AHEAD);
    let (failure, failed) = oneshot::channel();
    let requests = Requests {
        body,
        buffer: BytesMut::new(),
        max_bytes: method.max_body_bytes,
    };
    tokio::spawn(requests.forward(method.input.clone(), messages, failure));
    let (mut client, codec) = method.client();
    let Ok(()) = client.ready().await;
    let call = client
        .streaming(
            Request::new(ReceiverStream::new(received)),
            method.grpc_path,
            codec,
        )
        .await?;
    Ok(Answers {
        call: call.into_inner(),
        failed: Some(failed),
    })
}

/// The answers of the service, until the client's own stream turns out to be broken.
struct Answers {
    call: Streaming<DynamicMessage>,
    failed: Option<oneshot::Receiver<Status>>,
}

impl Answers {
    async fn next(&mut self) -> Option<Result<DynamicMessage, Status>> {
        let Some(failed) = &mut self.failed else {
            return self.call.message().await.transpose();
        };
        tokio::select! {
            biased;
            failure = failed => {
                self.failed = None;
                match failure {
                    Ok(status) => Some(Err(status)),
                    Err(_) => self.call.message().await.transpose(),
                }
            }
            answer = self.call.message() => answer.transpose(),
        }
    }
}

/// The response body: a line for each answer, the last one an error if the call ends with one.
fn lines(first: DynamicMessage, answers: Answers) -> impl Stream<Item = Result<Vec<u8>, Infallible>> + Send {
    stream::unfold((Some(Ok(first)), Some(answers)), |(ready, answers)| async move {
        let mut answers = answers?;
        let answer = match ready {
            Some(answer) => answer,
            None => answers.next().await?,
        };
        Some(match answer.and_then(|message| line(&message)) {
            Ok(line) => (Ok(line), (None, Some(answers))),
            Err(status) => (Ok(errors::stream_line(&status)), (None, None)),
        })
    })
}

fn line(message: &DynamicMessage) -> Result<Vec<u8>, Status> {
    let mut line = br#"{"result":"#.to_vec();
    json::write(message, &mut line)?;
    line.extend_from_slice(b"}\n");
    Ok(line)
}

/// The client's side of a call: a body that holds JSON values one after another.
struct Requests {
    body: Body,
    /// What was received of the next value.
    buffer: BytesMut,
    max_bytes: usize,
}

impl Requests {
    /// Hands the messages on until there are no more, or one is broken.
    async fn forward(
        mut self,
        input: MessageDescriptor,
        messages: mpsc::Sender<DynamicMessage>,
        failure: oneshot::Sender<Status>,
    ) {
        let broken = loop {
            match self
                .next()
                .await
                .map(|value| value.map(|value| json::parse(&value, &input)).transpose())
            {
                Ok(Ok(Some(message))) => {
                    if messages.send(message).await.is_err() {
                        return;
                    }
                }
                Ok(Ok(None)) => return,
                Ok(Err(status)) | Err(status) => break status,
            }
        };
        // Told before `messages` is dropped: the service may take the end of the requests for the end of the call.
        let _gone = failure.send(broken);
    }

    /// The next value; none at the end of the body.
    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(length) = json::first_value(&self.buffer)? {
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
            if self.buffer.len() > self.max_bytes {
                return Err(Status::resource_exhausted(
                    "the message is larger than the server takes",
                ));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.take(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(Status::invalid_argument(error.to_string())),
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => return Err(Status::invalid_argument("the body ends inside of a message")),
            }
        }
    }

    fn take(&mut self, mut data: Bytes) {
        if self.buffer.is_empty() {
            data.advance(data.len() - data.trim_ascii_start().len());
        }
        self.buffer.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use super::super::DESCRIPTORS;
    use super::*;

    async fn forwarded(chunks: &[&'static str]) -> (usize, Option<Status>) {
        let body = Body::from_stream(stream::iter(
            chunks
                .iter()
                .map(|chunk| Ok::<_, Infallible>(*chunk))
                .collect::<Vec<_>>(),
        ));
        let (messages, mut received) = mpsc::channel(100);
        let (failure, failed) = oneshot::channel();
        let input = DESCRIPTORS
            .get_message_by_name("etcdserverpb.LeaseKeepAliveRequest")
            .expect("a message of ours");
        let requests = Requests {
            body,
            buffer: BytesMut::new(),
            max_bytes: 64,
        };
        requests.forward(input, messages, failure).await;
        let mut count = 0;
        while received.recv().await.is_some() {
            count += 1;
        }
        (count, failed.await.ok())
    }

    #[tokio::test]
    async fn values_may_be_cut_and_joined_anywhere() {
        let (count, failure) = forwarded(&[r#"{"ID":"1"}{"I"#, r#"D":"2"} "#, "\n", r#"{"ID":3}"#]).await;
        assert_eq!(count, 3);
        assert!(failure.is_none());
    }

    #[tokio::test]
    async fn a_broken_value_ends_the_call_with_its_error() {
        let (count, failure) = forwarded(&[r#"{"ID":"1"}{"ID":"x"}{"ID":"3"}"#]).await;
        assert_eq!(
            (count, failure.map(|status| status.code())),
            (1, Some(tonic::Code::InvalidArgument))
        );
        let (count, failure) = forwarded(&[r#"{"ID":"1"#]).await;
        assert_eq!((count, failure.is_some()), (0, true));
    }

    #[tokio::test]
    async fn an_endless_value_is_refused() {
        let (_, failure) = forwarded(&[
            r#"{"ID":""#,
            "1111111111111111111111111111111111111111111111111111111111",
        ])
        .await;
        assert!(failure.is_some_and(|status| status.code() == tonic::Code::ResourceExhausted));
    }
}
