//! Replicas on their way.

use std::sync::Arc;

use actors::{Ask, ImageWriter, Peer, PeerError, Told};
use bytes::Bytes;

use super::fake_member::Visitors;
use super::*;

/// Bytes of which no part is like the part beside it. Made of few pieces: a test that computes for a second
/// keeps its connections from saying that they are alive.
fn replica(size: usize) -> Bytes {
    const PERIOD: usize = 65_521;
    let piece: Vec<u8> = (0..PERIOD.min(size))
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as u8)
        .collect();
    let mut bytes = piece.repeat(size / PERIOD + 1);
    bytes.truncate(size);
    Bytes::from(bytes)
}

async fn wanted(visitors: &mut Visitors) -> ImageWriter {
    soon(visitors.writers.recv())
        .await
        .expect("somebody wants a replica")
}

async fn before() -> ([Ground; 2], Visitors) {
    let (member, visitors) = FakeMember::new(1);
    (Grounds::before(Arc::new(member)).await, visitors)
}

#[tokio::test]
async fn a_replica_arrives_whole_whatever_its_parts() {
    let (grounds, mut visitors) = before().await;
    for ground in grounds {
        let cases: [&[usize]; 5] = [
            &[],
            &[1],
            &[PACK_BYTES],
            &[PACK_BYTES + 1, 0, 5, PACK_BYTES - 1],
            &[12 << 20, 3, 1 << 20],
        ];
        for sizes in cases {
            let image = ground.peer().image();
            let writer = wanted(&mut visitors).await;
            let parts: Vec<_> = sizes.iter().map(|size| replica(*size)).collect();
            let whole = parts.concat();
            let writing = tokio::spawn(async move {
                for part in parts {
                    assert!(writer.send(part).await);
                }
                writer.finish().await;
            });
            let read = soon(image.collect()).await.expect("a replica").concat();
            assert!(read == whole, "{} bytes of {} arrived", read.len(), whole.len());
            soon(writing).await.expect("no panic");
        }
    }
}

#[tokio::test]
async fn a_replica_that_ends_early_is_never_taken_for_whole() {
    let (grounds, mut visitors) = before().await;
    for ground in grounds {
        let image = ground.peer().image();
        let writer = wanted(&mut visitors).await;
        assert!(writer.send(replica(5)).await);
        drop(writer);
        assert!(matches!(soon(image.collect()).await, Err(PeerError::Lost(_))));

        let image = ground.peer().image();
        let reason = PeerError::NotReady("no replica yet".into());
        wanted(&mut visitors).await.fail(reason.clone()).await;
        assert_eq!(soon(image.collect()).await, Err(reason));

        let image = ground.peer().image();
        let writer = wanted(&mut visitors).await;
        assert!(writer.send(replica(5)).await);
        ground.set(Weather::Cut);
        assert!(matches!(soon(image.collect()).await, Err(PeerError::Lost(_))));
        soon(writer.closed()).await;
        ground.set(Weather::Fair);
    }
}

#[tokio::test]
async fn a_reader_that_goes_ends_the_transfer() {
    let (grounds, mut visitors) = before().await;
    for ground in grounds {
        let mut image = ground.peer().image();
        let writer = wanted(&mut visitors).await;
        assert!(writer.send(replica(5)).await);
        assert_eq!(soon(image.next()).await, Ok(Some(replica(5))));
        drop(image);
        soon(writer.closed()).await;
    }
}

/// A replica that nobody reads fills its own connection and no other.
#[tokio::test]
async fn a_replica_stops_nobody() {
    let (grounds, mut visitors) = before().await;
    for ground in grounds {
        let peer = ground.peer();
        let _unread = peer.image();
        let writer = wanted(&mut visitors).await;
        tokio::spawn(async move { while writer.send(replica(1 << 20)).await {} });
        for _ in 0..10 {
            assert_eq!(soon(peer.ask(Ask::Leases)).await, Ok(Told::Done));
        }
    }
}
