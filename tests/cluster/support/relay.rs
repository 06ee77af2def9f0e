//! A slow network between members: a relay before each that delivers everything late, and some of it later still,
//! as TCP delivers what was lost and sent again. What comes later waits for it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How slow it is.
#[derive(Clone, Copy)]
pub(crate) struct Slowness {
    /// How long everything takes, one way.
    pub(crate) delay: Duration,
    /// Of a hundred pieces, how many are lost at first.
    pub(crate) lost_percent: u64,
    /// How much later those arrive.
    pub(crate) again_after: Duration,
}

/// Passes on what comes to one address to another, for as long as the runtime lives.
pub(crate) async fn relay(from: String, to: String, slowness: Slowness) {
    let listener = TcpListener::bind(&from).await.expect("an address of our own");
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                if let Ok(far) = TcpStream::connect(to).await {
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    tokio::join!(pass(near_in, far_out, slowness), pass(far_in, near_out, slowness));
                }
            });
        }
    });
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, slowness: Slowness) {
    let (sender, mut underway) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let take = async move {
        let mut dice = 1_u64;
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let lost = (dice >> 33) % 100 < slowness.lost_percent;
            let late = if lost {
                slowness.again_after
            } else {
                Duration::ZERO
            };
            let due = Instant::now() + slowness.delay + late;
            if sender.send((due, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let deliver = async move {
        while let Some((due, bytes)) = underway.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _closed_already = to.shutdown().await;
    };
    tokio::join!(take, deliver);
}
