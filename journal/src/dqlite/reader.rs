//! The shared log read: from the node that leads, or from the local replica.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dqlite::client::Error;
use model::{Effect, Position, Revision};
use parking_lot::Mutex;

use super::DqliteOptions;
use super::fault::Fault;
use super::image::Image;
use super::images::Images;
use super::select::refuse_behind;
use super::session::Session;
use crate::{History, Identity, ReadError, Reader, Size};

/// How long a replica may take to get where it is wanted: less than a client's call takes.
const REPLICA_PATIENCE: Duration = Duration::from_secs(4);
/// How long a replica that is behind is left alone before it is looked at again.
const REPLICA_AGAIN: Duration = Duration::from_millis(50);

/// The reading side of the shared log.
///
/// Rows are asked of the node that leads. When there is none, or it does not answer, or it has not come as
/// far as this process has, they are read from an image of the local replica instead, if that has.
pub(super) struct DqliteReader {
    options: DqliteOptions,
    idle: Mutex<Vec<Idle>>,
    images: Images,
    /// Zero until it is known.
    cluster_id: AtomicU64,
}

/// A connection that nobody uses at the moment.
struct Idle {
    address: String,
    session: Session,
}

impl DqliteReader {
    pub(super) fn new(options: DqliteOptions) -> Self {
        let images = Images::new(&options);
        Self {
            options,
            idle: Mutex::new(Vec::new()),
            images,
            cluster_id: AtomicU64::new(0),
        }
    }

    /// The replica's bytes.
    pub(super) fn dump(&self) -> Result<Bytes, ReadError> {
        self.images.dump().map_err(ReadError::from)
    }

    /// Takes note of whose log this is.
    pub(super) fn learn(&self, cluster_id: u64) {
        self.cluster_id.store(cluster_id, Ordering::Relaxed);
    }

    fn horizon(&self) -> Position {
        self.options.horizon.position()
    }

    /// Asks the leader, and if that does not help, the local replica, once that has this position.
    fn ask<T>(
        &self,
        wanted: Position,
        leader: impl FnMut(&mut Session) -> Result<T, Fault>,
        replica: impl FnOnce(&Image) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let fault = match self.ask_leader(leader) {
            Ok(answer) => {
                self.images.forget_old();
                return Ok(answer);
            }
            Err(Fault::Corrupt(what)) => return Err(ReadError::Corrupt(what)),
            Err(fault) => fault,
        };
        tracing::debug!(%fault, "the log is read from the local replica");
        let image = self.images.reaching(wanted);
        let image = image.map_err(|error| ReadError::Failed(format!("{error}; and the leader: {fault}")))?;
        self.learn(image.cluster_id());
        replica(&image)
    }

    /// Tries again while the local replica may be on its way.
    fn await_replica<T>(&self, mut attempt: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
        let begun = Instant::now();
        loop {
            match attempt() {
                Err(error) if begun.elapsed() < REPLICA_PATIENCE => {
                    tracing::debug!(%error, "waiting for the local replica");
                    std::thread::sleep(REPLICA_AGAIN);
                }
                outcome => return outcome,
            }
        }
    }

    /// A connection that was kept may have died since; a new one tells more.
    fn ask_leader<T>(&self, mut question: impl FnMut(&mut Session) -> Result<T, Fault>) -> Result<T, Fault> {
        let address = (self.options.leader)().ok_or(Fault::NoLeader)?;
        if let Some(mut session) = self.take_idle(&address) {
            match question(&mut session) {
                Err(Fault::Node(Error::Io(_) | Error::NotLeader(_) | Error::Unknown(_))) => {}
                answer => return self.keep(address, session, answer),
            }
        }
        let mut session = Session::open(&*self.options.connector, &address, self.options.timeout)?;
        let answer = question(&mut session);
        self.keep(address, session, answer)
    }

    fn take_idle(&self, address: &str) -> Option<Session> {
        let mut idle = self.idle.lock();
        // Connections to earlier leaders are of no more use.
        idle.retain(|idle| idle.address == address);
        idle.pop().map(|idle| idle.session)
    }

    /// Keeps a connection that has just served well.
    fn keep<T>(&self, address: String, session: Session, answer: Result<T, Fault>) -> Result<T, Fault> {
        let answer = answer?;
        let mut idle = self.idle.lock();
        if idle.len() < self.options.readers {
            idle.push(Idle { address, session });
        }
        Ok(answer)
    }
}

impl Reader for DqliteReader {
    /// From the local replica, always: rows that stream hold the leader's database up.
    fn replay(&self, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError> {
        let Some(image) = self.images.now_if_any()? else {
            return Ok(());
        };
        self.learn(image.cluster_id());
        image.replay(sink)
    }

    fn values(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let horizon = self.horizon();
        // Rows are never changed, so a replica that is behind has them as they are.
        let newest = positions.iter().max().copied().unwrap_or_default();
        self.ask(
            newest,
            |leader| leader.values(positions, horizon),
            |replica| replica.values(positions),
        )
    }

    fn events(&self, from: Revision, budget: usize) -> Result<History, ReadError> {
        let horizon = self.horizon();
        self.ask(
            horizon,
            |leader| leader.events(from, budget, horizon),
            |replica| replica.events(from, budget),
        )
    }

    /// The replica may be a moment behind what the leader has told this process already. Beyond `up_to` it may stay so:
    /// whoever reads page by page while others write would otherwise have it dumped again for every page.
    fn own_events(&self, from: Revision, up_to: Revision, budget: usize) -> Result<History, ReadError> {
        match self.await_replica(|| self.images.up_to_if_any(up_to))? {
            Some(image) => image.events(from, budget),
            None => self.events(from, budget),
        }
    }

    fn reached(&self, position: Position) {
        self.options.horizon.advance(position);
    }

    /// Without a leader the replica's, however far that is. Of a member that has just begun: nothing.
    fn size(&self) -> Result<Size, ReadError> {
        let measured = self.ask(Position::default(), Session::size, Image::size);
        measured.or_else(|error| match self.images.now_if_any() {
            Ok(None) => Ok(Size::default()),
            _ => Err(error),
        })
    }

    /// From the local replica, always, once that has everything that this process has shown.
    fn snapshot(&self, to: &Path) -> Result<(), ReadError> {
        let horizon = self.horizon();
        let image = self.await_replica(|| {
            let image = self.images.now()?;
            refuse_behind(image.newest(), horizon)?;
            Ok(image)
        });
        image?.save(to)
    }

    /// The cluster's part is zero until the log was claimed, replayed or read from a replica.
    fn identity(&self) -> Identity {
        Identity {
            cluster_id: self.cluster_id.load(Ordering::Relaxed),
            member_id: self.options.member_id,
        }
    }
}
