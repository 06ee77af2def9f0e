//! A peer of another release, played with the generated client.

use std::sync::Arc;

use actors::{Ask, Peer, PeerError, RequestError, Told};
use proto::peer as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::ground::{CALLED, CALLER};
use super::*;
use crate::peers::client::Channel;
use crate::peers::convert::{ask_to_wire, outcome_from_wire};
use crate::peers::errors::from_status;

fn hello() -> pb::Hello {
    Introduction {
        caller: CALLER,
        called: CALLED.member_id,
    }
    .hello()
}

async fn channel(ground: &Ground) -> Channel {
    Channel::open(&ground.connector(), ground::PATIENCE)
        .await
        .expect("a connection")
}

#[tokio::test]
async fn a_question_of_tomorrow_is_refused_and_the_stream_goes_on() {
    let (member, _visitors) = FakeMember::new(1);
    let member = Arc::new(member);
    let ground = Ground::in_memory(Arc::clone(&member) as Arc<dyn Peer>);
    let (requests, sending) = mpsc::channel(1);
    let first = pb::ForwardRequest {
        hello: Some(hello()),
        calls: vec![pb::Call { id: 41, ask: None }],
    };
    requests.send(first).await.expect("room");
    let mut client = channel(&ground).await.client();
    let responses = client.forward(ReceiverStream::new(sending)).await;
    let mut responses = responses.expect("a stream").into_inner();
    let mut answer = async || {
        let response = soon(responses.message()).await.expect("a stream");
        let told = response.expect("an answer").outcomes.remove(0);
        (told.id, outcome_from_wire(told.outcome))
    };
    assert_eq!(answer().await, (41, Err(RequestError::NotCapable)));
    assert_eq!(member.asked(), []);
    let known = pb::Call {
        id: 42,
        ask: Some(ask_to_wire(Ask::Leases).expect("it can travel")),
    };
    let second = pb::ForwardRequest {
        hello: None,
        calls: vec![known],
    };
    requests.send(second).await.expect("room");
    assert_eq!(answer().await, (42, Ok(Told::Done)));
}

#[tokio::test]
async fn protocols_that_have_nothing_in_common_are_strangers() {
    let (member, _visitors) = FakeMember::new(1);
    let ground = Ground::in_memory(Arc::new(member));
    let hello = pb::Hello {
        protocol: PROTOCOL + 7,
        oldest_protocol: PROTOCOL + 3,
        ..hello()
    };
    let request = pb::DescribeRequest { hello: Some(hello) };
    let refused = channel(&ground).await.client().describe(request).await;
    let error = from_status(&refused.expect_err("a refusal"));
    assert!(matches!(error, PeerError::Stranger(_)), "{error}");
}

#[tokio::test]
async fn a_follower_that_does_not_say_where_it_stands_is_not_understood() {
    let (member, mut visitors) = FakeMember::new(1);
    let ground = Ground::in_memory(Arc::new(member));
    let request = pb::FollowRequest {
        hello: Some(hello()),
        progress: None,
    };
    let requests = tokio_stream::once(request);
    let refused = channel(&ground).await.client().follow(requests).await;
    let error = from_status(&refused.expect_err("a refusal"));
    assert!(matches!(error, PeerError::NotUnderstood(_)), "{error}");
    assert!(visitors.followers.try_recv().is_err());
}
