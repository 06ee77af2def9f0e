//! What lies between two members: a path in memory on which the weather changes, or loopback TCP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actors::Peer;
use journal::Identity;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::*;

/// The member that is called.
pub(super) const CALLED: Identity = Identity {
    cluster_id: 7,
    member_id: 1,
};
/// The member that calls.
pub(super) const CALLER: Identity = Identity {
    cluster_id: 7,
    member_id: 2,
};
/// What an in-memory pipe holds: less than the windows, so that those are what bounds.
const PIPE_BYTES: usize = 16 << 10;

/// Waits that a test can sit out.
pub(super) const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    pause: Duration::from_millis(1),
    answer: Duration::from_secs(5),
    silence: Duration::from_millis(100),
    pong: Duration::from_secs(2),
};

/// What becomes of bytes on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// They arrive.
    Fair,
    /// They wait, and nobody is told.
    Frozen,
    /// The connection breaks, and no new one can be made.
    Cut,
}

/// Two members and what lies between them.
pub(super) struct Ground {
    pub(super) member: Arc<dyn Peer>,
    pub(super) service: PeerService,
    pub(super) stopping: CancellationToken,
    weather: watch::Sender<Weather>,
    connector: Connector,
}

/// The kinds of grounds that every test of behaviour is run on.
pub(super) struct Grounds;

impl Grounds {
    /// One of each kind, before the same member.
    pub(super) async fn before(member: Arc<dyn Peer>) -> [Ground; 2] {
        let on_tcp = Ground::on_tcp(Arc::clone(&member)).await;
        [Ground::in_memory(member), on_tcp]
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "there is no way")
}

impl Ground {
    pub(super) fn in_memory(member: Arc<dyn Peer>) -> Self {
        Self::made_of(member, |service, weather| {
            Arc::new(move || {
                let (service, weather) = (service.clone(), weather.clone());
                Box::pin(async move {
                    if *weather.borrow() == Weather::Cut {
                        return Err(cut_off());
                    }
                    let (near, from_near) = tokio::io::duplex(PIPE_BYTES);
                    let (far, from_far) = tokio::io::duplex(PIPE_BYTES);
                    tokio::spawn(carry(from_near, from_far, weather));
                    tokio::spawn(async move { service.serve(far).await });
                    Ok(Box::new(near) as Box<dyn Wire>)
                })
            })
        })
    }

    pub(super) async fn on_tcp(member: Arc<dyn Peer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let ground = Self::made_of(member, |_, _| {
            Arc::new(move || {
                Box::pin(async move {
                    let stream = TcpStream::connect(address).await?;
                    tune(&stream)?;
                    Ok(Box::new(stream) as Box<dyn Wire>)
                })
            })
        });
        let (service, weather) = (ground.service.clone(), ground.weather.subscribe());
        tokio::spawn(accept(listener, service, weather));
        ground
    }

    fn made_of(
        member: Arc<dyn Peer>,
        way: impl FnOnce(PeerService, watch::Receiver<Weather>) -> Connector,
    ) -> Self {
        let stopping = CancellationToken::new();
        let service = PeerService::new(Arc::clone(&member), CALLED, PATIENCE, stopping.clone());
        let (weather, seen) = watch::channel(Weather::Fair);
        Self {
            member,
            connector: way(service.clone(), seen),
            service,
            stopping,
            weather,
        }
    }

    /// The member as the caller sees it.
    pub(super) fn peer(&self) -> RemotePeer {
        self.peer_of(Introduction {
            caller: CALLER,
            called: CALLED.member_id,
        })
    }

    pub(super) fn peer_of(&self, introduction: Introduction) -> RemotePeer {
        RemotePeer::new(Arc::clone(&self.connector), introduction, PATIENCE)
    }

    pub(super) fn connector(&self) -> Connector {
        Arc::clone(&self.connector)
    }

    pub(super) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(listener: TcpListener, service: PeerService, weather: watch::Receiver<Weather>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (service, mut weather) = (service.clone(), weather.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = weather.wait_for(|weather| *weather == Weather::Cut) => {}
                _ = service.serve(stream) => {}
            }
        });
    }
}

/// Carries bytes both ways until an end closes or the connection is cut.
async fn carry<N, F>(near: N, far: F, mut weather: watch::Receiver<Weather>)
where
    N: AsyncRead + AsyncWrite,
    F: AsyncRead + AsyncWrite,
{
    let (near_out, near_in) = tokio::io::split(near);
    let (far_out, far_in) = tokio::io::split(far);
    let (there, back) = (weather.clone(), weather.clone());
    tokio::select! {
        () = one_way(near_out, far_in, there) => {}
        () = one_way(far_out, near_in, back) => {}
        _ = weather.wait_for(|weather| *weather == Weather::Cut) => {}
    }
}

/// In frozen weather not even the end arrives.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut bytes = vec![0; PIPE_BYTES];
    loop {
        let read = from.read(&mut bytes).await;
        let fair = weather
            .wait_for(|weather| *weather == Weather::Fair)
            .await
            .is_ok();
        match read {
            Ok(count @ 1..) if fair => {
                if to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
