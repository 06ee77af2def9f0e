//! The lease clock: milliseconds that a restart does not set back and a step of the wall clock does not move.
//!
//! While the process runs it counts monotonic time. Between runs it goes on by what the operating
//! system says has passed: exactly, by the time since boot, if the machine was not rebooted; by the
//! wall clock otherwise. The readings that belong together lie in a small file, the anchor.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::replace_file;
use parking_lot::Mutex;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// How often the anchor is compared with the clocks.
const ANCHOR_CHECK: Duration = Duration::from_secs(10);
/// How far the clocks may drift apart before the anchor is written again, milliseconds.
const DRIFT_MAX_MS: u64 = 250;
/// How old an anchor may become, milliseconds: after a reboot with a lost wall clock the lease clock
/// goes on from the anchor.
const ANCHOR_AGE_MAX_MS: u64 = 600_000;
/// The first line of the file.
const HEADING: &str = "taffrail lease clock 1";

/// The clock that leases run on. Clones show the same time.
#[derive(Clone, Debug)]
pub struct LeaseClock {
    origin: Instant,
    /// What the clock showed at `origin`.
    origin_ms: Arc<AtomicI64>,
    /// Whether this is the time that the members of a cluster have in common.
    shared: Arc<AtomicBool>,
    anchor: Option<Arc<AnchorFile>>,
}

impl LeaseClock {
    /// A clock that begins at the wall clock's time and is not remembered.
    #[must_use]
    pub fn fresh() -> Self {
        Self {
            origin: Instant::now(),
            origin_ms: Arc::new(AtomicI64::new(Reading::now().wall_ms)),
            shared: Arc::default(),
            anchor: None,
        }
    }

    /// The clock whose anchor lies at `path`, going on where it was. If there is no anchor yet, or none
    /// that can be read, it begins at the wall clock's time. Blocks on the disk for a moment.
    #[must_use]
    pub fn resume(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let previous = read_anchor(&path);
        let reading = Reading::now();
        let origin_ms = previous
            .as_ref()
            .map_or(reading.wall_ms, |anchor| anchor.resumed_at(&reading));
        let clock = Self {
            origin: Instant::now(),
            origin_ms: Arc::new(AtomicI64::new(origin_ms)),
            shared: Arc::new(AtomicBool::new(
                previous.as_ref().is_some_and(|anchor| anchor.shared),
            )),
            anchor: Some(Arc::new(AnchorFile {
                path,
                newest: Mutex::new(None),
            })),
        };
        clock.check_anchor();
        clock
    }

    /// A clock that begins at this time, as if the wall clock had been set to it.
    #[cfg(test)]
    pub(crate) fn beginning_at(origin_ms: i64) -> Self {
        Self {
            origin: Instant::now(),
            origin_ms: Arc::new(AtomicI64::new(origin_ms)),
            shared: Arc::default(),
            anchor: None,
        }
    }

    /// The milliseconds that the clock shows.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.origin_ms
            .load(Relaxed)
            .saturating_add(millis(self.origin.elapsed()))
    }

    /// Sets the clock, and all its clones, to what the leader's clock shows: the members of a cluster have one
    /// lease clock, whatever their wall clocks say. Only a member that runs no leases may do this.
    pub(crate) fn align(&self, now_ms: i64) {
        let origin_ms = now_ms.saturating_sub(millis(self.origin.elapsed()));
        self.origin_ms.store(origin_ms, Relaxed);
        self.leads();
    }

    /// Goes on as the cluster's clock, of a member that is about to run leases. `stored_ms` is what the clock showed
    /// when leases were last stored; zero if none ever were.
    ///
    /// A member that never heard a leader has its own wall clock's time, which may be hours off either way. It goes on
    /// from what is stored: then no lease ends early, and none has more left than when it was stored.
    pub(crate) fn lead_from(&self, stored_ms: i64) {
        let now_ms = self.now_ms();
        if stored_ms > 0 && (stored_ms > now_ms || !self.shared.load(Relaxed)) {
            self.align(stored_ms);
        }
    }

    /// From now on the cluster goes by this clock, if it did not before. That is written at once: a run that did not
    /// know it would go back to when leases were last stored.
    pub(crate) fn leads(&self) {
        if !self.shared.swap(true, Relaxed) {
            self.check_anchor();
        }
    }

    /// Keeps the anchor true for as long as it is polled.
    pub(crate) async fn keep_anchored(self) {
        while self.anchor.is_some() {
            tokio::time::sleep(ANCHOR_CHECK).await;
            let clock = self.clone();
            let _panicked = tokio::task::spawn_blocking(move || clock.check_anchor()).await;
        }
    }

    /// Writes the anchor again if the next run would read a wrong time from it: the wall clock was
    /// stepped, or the machine slept, which the monotonic clock does not count and the time since boot does.
    fn check_anchor(&self) {
        let Some(file) = &self.anchor else { return };
        let current = Anchor {
            lease_ms: self.now_ms(),
            reading: Reading::now(),
            shared: self.shared.load(Relaxed),
        };
        let mut newest = file.newest.lock();
        if newest.as_ref().is_some_and(|anchor| anchor.is_true_for(&current)) {
            return;
        }
        match replace_file(&file.path, &current.to_text()) {
            Ok(()) => *newest = Some(current),
            Err(error) => {
                tracing::warn!(%error, path = %file.path.display(), "the lease clock was not saved")
            }
        }
    }
}

#[derive(Debug)]
struct AnchorFile {
    path: PathBuf,
    /// What this run wrote last.
    newest: Mutex<Option<Anchor>>,
}

/// What the operating system's clocks show at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    /// Since 1970, milliseconds; the only clock that goes on while the machine is off.
    wall_ms: i64,
    /// Unknown where the system does not tell.
    boot: Option<Boot>,
}

/// Time since the machine was booted. It counts sleep and nobody can set it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Boot {
    /// Another one after each boot.
    id: String,
    uptime_ms: i64,
}

impl Reading {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            wall_ms: millis(wall),
            boot: Boot::now(),
        }
    }
}

impl Boot {
    fn now() -> Option<Self> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        Some(Self {
            id: id.trim().to_owned(),
            uptime_ms: uptime_ms(&uptime)?,
        })
    }

    /// Milliseconds from then to this moment, if both are of one boot. A container that is shown an
    /// uptime of its own can make it go back; such a reading says nothing.
    fn since(&self, then: &Self) -> Option<i64> {
        let passed = self.uptime_ms.checked_sub(then.uptime_ms)?;
        (self.id == then.id && passed >= 0).then_some(passed)
    }
}

/// The first number of `/proc/uptime`: seconds with two decimals.
fn uptime_ms(text: &str) -> Option<i64> {
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    if hundredths.len() != 2 {
        return None;
    }
    let (seconds, hundredths): (i64, i64) = (seconds.parse().ok()?, hundredths.parse().ok()?);
    seconds.checked_mul(1000)?.checked_add(hundredths * 10)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The lease clock and the system's clocks at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Anchor {
    lease_ms: i64,
    reading: Reading,
    /// Whether that was the time of a cluster.
    shared: bool,
}

impl Anchor {
    /// What the lease clock shows when the system's clocks show this. It never goes back.
    fn resumed_at(&self, now: &Reading) -> i64 {
        let since_boot = now
            .boot
            .as_ref()
            .zip(self.reading.boot.as_ref())
            .and_then(|(now, then)| now.since(then));
        let by_wall = || now.wall_ms.saturating_sub(self.reading.wall_ms).max(0);
        self.lease_ms.saturating_add(since_boot.unwrap_or_else(by_wall))
    }

    /// Whether a run that began now would resume at the time that the clock shows, rebooted or not.
    fn is_true_for(&self, current: &Self) -> bool {
        let off_boot = Reading {
            boot: None,
            ..current.reading.clone()
        };
        let close = |resumed: i64| resumed.abs_diff(current.lease_ms) <= DRIFT_MAX_MS;
        self.shared == current.shared
            && close(self.resumed_at(&current.reading))
            && close(self.resumed_at(&off_boot))
            && self.lease_ms.abs_diff(current.lease_ms) <= ANCHOR_AGE_MAX_MS
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "{HEADING}\nlease_ms {}\nwall_ms {}\n",
            self.lease_ms, self.reading.wall_ms
        );
        if self.shared {
            text += "shared yes\n";
        }
        if let Some(boot) = &self.reading.boot {
            text += &format!("boot_id {}\nuptime_ms {}\n", boot.id, boot.uptime_ms);
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let fields = text.strip_prefix(HEADING)?;
        let field = |name| {
            fields
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        };
        let number = |name| field(name)?.parse().ok();
        let boot = || {
            Some(Boot {
                id: field("boot_id")?.to_owned(),
                uptime_ms: number("uptime_ms")?,
            })
        };
        Some(Self {
            lease_ms: number("lease_ms")?,
            reading: Reading {
                wall_ms: number("wall_ms")?,
                boot: boot(),
            },
            shared: field("shared") == Some("yes"),
        })
    }
}

fn read_anchor(path: &Path) -> Option<Anchor> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the lease clock goes on by the wall clock");
            return None;
        }
    };
    let anchor = Anchor::from_text(&text);
    if anchor.is_none() {
        tracing::warn!(path = %path.display(), "not an anchor of the lease clock: it goes on by the wall clock");
    }
    anchor
}
