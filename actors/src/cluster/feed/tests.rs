use std::time::Duration;

use model::{Effect, LeaseId, Tally};

use super::super::messages::Epoch;
use super::*;

fn batch(sequence: u64, effects: usize) -> Followed {
    Followed::Batch {
        sequence,
        effects: Arc::new(vec![Effect::LeaseRevoked(LeaseId(1)); effects]),
        lease_clock_ms: 0,
        tally: Tally::default(),
    }
}

fn at(sequence: u64) -> Progress {
    Progress {
        epoch: Epoch(1),
        sequence,
        ..Progress::default()
    }
}

/// What this future comes to, if it does so without help.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("nothing happened")
}

#[tokio::test]
async fn a_feed_keeps_its_order_and_says_how_it_ended() {
    let (feeder, mut following) = Following::channel(Progress::default(), 1 << 20);
    feeder.send(batch(1, 1)).await.expect("room");
    feeder.try_send(batch(2, 1)).expect("room");
    let reason = PeerError::NotReady("stopping".into());
    feeder.end(reason.clone());
    assert_eq!(following.next().await, Ok(batch(1, 1)));
    assert_eq!(following.next_now(), Some(Ok(batch(2, 1))));
    assert_eq!(following.next().await, Err(reason.clone()));
    assert_eq!(following.next().await, Err(reason.clone()));
    assert_eq!(following.next_now(), Some(Err(reason)));
}

#[tokio::test]
async fn a_feeder_that_goes_without_a_word_is_a_lost_connection() {
    let (feeder, mut following) = Following::channel(Progress::default(), 1 << 20);
    assert_eq!(following.next_now(), None);
    drop(feeder);
    assert!(matches!(following.next().await, Err(PeerError::Lost(_))));
}

#[tokio::test]
async fn a_full_feed_takes_nothing_until_something_is_taken() {
    let budget = 2 * batch(0, 10).size();
    let (feeder, mut following) = Following::channel(Progress::default(), budget);
    feeder.try_send(batch(1, 10)).expect("room");
    feeder.try_send(batch(2, 10)).expect("room");
    assert_eq!(feeder.try_send(batch(3, 1)), Err(NotFed::Full(batch(3, 1))));
    let waiting = tokio::spawn(async move {
        feeder.send(batch(3, 10)).await.expect("a follower");
        feeder
    });
    assert_eq!(following.next().await, Ok(batch(1, 10)));
    let feeder = soon(waiting).await.expect("no panic");
    assert_eq!(feeder.try_send(batch(4, 10)), Err(NotFed::Full(batch(4, 10))));
    assert_eq!(following.next().await, Ok(batch(2, 10)));
    assert_eq!(following.next().await, Ok(batch(3, 10)));
}

#[tokio::test]
async fn what_is_larger_than_the_budget_fits_into_an_empty_feed() {
    let (feeder, mut following) = Following::channel(Progress::default(), 100);
    feeder.try_send(batch(1, 1000)).expect("an empty feed");
    assert!(feeder.try_send(batch(2, 0)).is_err());
    assert_eq!(following.next().await, Ok(batch(1, 1000)));
    feeder.try_send(batch(2, 0)).expect("an empty feed");
}

#[tokio::test]
async fn a_follower_that_is_gone_is_noticed_however_full_its_feed() {
    let (feeder, following) = Following::channel(Progress::default(), 1);
    feeder.try_send(batch(1, 1)).expect("room");
    assert!(!feeder.is_closed());
    let feeder = Arc::new(feeder);
    let waiting = tokio::spawn({
        let feeder = Arc::clone(&feeder);
        async move { feeder.send(batch(2, 1)).await }
    });
    drop(following);
    assert_eq!(soon(waiting).await.expect("no panic"), Err(NotFed::Gone));
    soon(feeder.closed()).await;
    assert_eq!(feeder.try_send(batch(3, 1)), Err(NotFed::Gone));
}

#[tokio::test]
async fn only_the_newest_acknowledgement_is_told() {
    let (mut feeder, following) = Following::channel(at(5), 100);
    assert_eq!(feeder.acknowledged(), at(5));
    following.acknowledge(at(6));
    following.acknowledge(at(7));
    assert_eq!(soon(feeder.next_acknowledged()).await, Some(at(7)));
    assert_eq!(feeder.acknowledged(), at(7));
    following.acknowledge(at(7));
    drop(following);
    assert_eq!(soon(feeder.next_acknowledged()).await, None);
}
