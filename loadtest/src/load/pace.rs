//! When operations are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// An open loop goes on this long after its window to serve what was due in it.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The pacer sleeps at least this long: shorter naps would take the CPU from the server.
const SHORTEST_NAP: Duration = Duration::from_micros(100);

/// And no longer than this, to see whether there are clients still.
const LONGEST_NAP: Duration = Duration::from_millis(100);

/// The time that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// First moment.
    pub(crate) start: Instant,
    /// First moment behind.
    pub(crate) end: Instant,
    /// Operations are due by a schedule, whether or not the server keeps up.
    pub(crate) open_loop: bool,
}

impl Window {
    /// Whether the moment counts.
    pub(crate) fn contains(&self, moment: Instant) -> bool {
        self.start <= moment && moment < self.end
    }
}

/// Decides for all clients when the next operation is due.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// At once, until the window ends.
    Closed {
        /// End of the window.
        end: Instant,
    },
    /// By a schedule.
    Open(Arc<Schedule>),
}

impl Pace {
    /// Waits for the next operation to be due and returns when that was; `None` when there are no more.
    pub(crate) async fn next(&self) -> Option<Instant> {
        match self {
            Self::Closed { end } => Some(Instant::now()).filter(|now| now < end),
            Self::Open(schedule) => schedule.next().await,
        }
    }
}

/// Operations due at even intervals. A thread of its own says when, because the timers of the clients' runtime are
/// only good to a millisecond.
#[derive(Debug)]
pub(crate) struct Schedule {
    origin: Instant,
    end: Instant,
    rate: f64,
    due: Semaphore,
    taken: AtomicU64,
}

impl Schedule {
    /// `rate` operations a second from `origin` to `end`.
    pub(crate) fn start(origin: Instant, end: Instant, rate: f64) -> Arc<Self> {
        let schedule = Arc::new(Self {
            origin,
            end,
            rate,
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
        });
        let pacer = Arc::clone(&schedule);
        thread::spawn(move || pacer.release());
        schedule
    }

    async fn next(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        let slot = self.taken.fetch_add(1, Ordering::Relaxed);
        Some(self.moment(slot)).filter(|_| Instant::now() < self.end + GRACE)
    }

    fn moment(&self, slot: u64) -> Instant {
        self.origin + Duration::from_secs_f64(slot as f64 / self.rate)
    }

    /// Number of slots whose moment is not after `now`.
    fn due_at(&self, now: Instant) -> u64 {
        match now.min(self.end).checked_duration_since(self.origin) {
            Some(passed) => (passed.as_secs_f64() * self.rate) as u64 + 1,
            None => 0,
        }
    }

    fn release(self: Arc<Self>) {
        let mut released = 0;
        loop {
            let now = Instant::now();
            let due = self.due_at(now);
            self.due
                .add_permits(usize::try_from(due - released).unwrap_or(usize::MAX));
            released = due;
            if now >= self.end {
                break;
            }
            // All clients had done what there was to do, before the end.
            if Arc::strong_count(&self) == 1 {
                return;
            }
            let nap = self.moment(due).saturating_duration_since(now);
            thread::sleep(nap.clamp(SHORTEST_NAP, LONGEST_NAP));
        }
        self.finish(released);
    }

    /// Waits until all slots are taken or the grace is over, then sends everybody home. Slots are counted as they are
    /// taken: a client that was given a permit loses it if the semaphore is closed before it runs.
    fn finish(&self, released: u64) {
        while self.taken.load(Ordering::Relaxed) < released && Instant::now() < self.end + GRACE {
            thread::sleep(Duration::from_millis(5));
        }
        self.due.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: f64, length: Duration) -> Schedule {
        let origin = Instant::now();
        Schedule {
            origin,
            end: origin + length,
            rate,
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
        }
    }

    #[test]
    fn slots_are_due_at_even_intervals_and_none_after_the_end() {
        let schedule = schedule(1000.0, Duration::from_secs(1));
        assert_eq!(schedule.due_at(schedule.origin - Duration::from_secs(1)), 0);
        assert_eq!(schedule.due_at(schedule.origin), 1);
        assert_eq!(schedule.due_at(schedule.origin + Duration::from_micros(2500)), 3);
        assert_eq!(
            schedule.due_at(schedule.end + Duration::from_secs(9)),
            schedule.due_at(schedule.end)
        );
        assert_eq!(schedule.moment(250), schedule.origin + Duration::from_millis(250));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_late_client_gets_the_moment_at_which_it_should_have_sent() {
        let origin = Instant::now();
        let pace = Pace::Open(Schedule::start(origin, origin + Duration::from_millis(50), 100.0));
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut moments = Vec::new();
        while let Some(moment) = pace.next().await {
            moments.push(moment.duration_since(origin).as_millis());
        }
        assert_eq!(moments, [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn a_schedule_ends_with_its_last_client() {
        let origin = Instant::now();
        let schedule = Schedule::start(origin, origin + Duration::from_secs(3600), 10.0);
        let pacer = Arc::downgrade(&schedule);
        drop(schedule);
        while pacer.strong_count() > 0 {
            assert!(
                origin.elapsed() < Duration::from_secs(60),
                "the pacer goes on alone"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_closed_loop_ends_with_its_window() {
        let pace = Pace::Closed {
            end: Instant::now() + Duration::from_millis(20),
        };
        assert!(pace.next().await.is_some());
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert!(pace.next().await.is_none());
    }
}
