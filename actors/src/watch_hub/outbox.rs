//! The bounded queue between the hub and one stream.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::report::HubMeter;
use crate::watch::WatchResponse;

/// Responses that a stream may leave unread before its watchers stop following live, one more for each
/// watch. A burst of group commits fits (etcd has room for 128, one commit each); what does not fit is
/// cheaper to make up from shared memory than to queue.
pub(super) const OUTBOX_RESPONSES: usize = 1024;

/// Bytes that a stream may leave unread before its watchers stop following live. A response that finds
/// room is taken whole, so a stream holds at most this and one response more; 1,000 clients that do not
/// read cost a gigabyte at worst, of which what they have in common is held once.
pub(super) const OUTBOX_BYTES: usize = 1 << 20;

/// Responses for which an empty queue keeps its memory, so that a steady trickle does not allocate.
const KEPT_RESPONSES: usize = 32;

/// Requests of one stream that may be on their way to the hub; etcd reads 16 ahead.
const REQUESTS_IN_FLIGHT: usize = 64;

/// A response and the bytes it holds.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) response: WatchResponse,
    pub(super) bytes: usize,
}

impl Parcel {
    /// A response without events.
    pub(super) fn control(response: WatchResponse) -> Self {
        Self {
            response,
            bytes: size_of::<Self>(),
        }
    }

    /// How many events it carries.
    pub(super) fn events(&self) -> usize {
        match &self.response {
            WatchResponse::Events { events, .. } => events.len(),
            _ => 0,
        }
    }
}

/// How much lies in a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) responses: usize,
    pub(super) bytes: usize,
}

impl Load {
    /// Whether a stream with that many watches takes no more events.
    pub(super) fn is_full(self, watches: usize) -> bool {
        self.responses >= OUTBOX_RESPONSES + watches || self.bytes >= OUTBOX_BYTES
    }

    /// Whether so much was read that catching up is worth while.
    fn is_low(self) -> bool {
        self.responses <= OUTBOX_RESPONSES / 2 && self.bytes <= OUTBOX_BYTES / 2
    }
}

#[derive(Debug, Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    /// The hub wants to be told when the queue is low.
    drain_wanted: bool,
    closed: bool,
    /// Requests sent and not handled yet.
    requests: usize,
}

impl Queue {
    fn load(&self) -> Load {
        Load {
            responses: self.parcels.len(),
            bytes: self.bytes,
        }
    }

    fn has_room(&self) -> bool {
        self.closed || (self.requests < REQUESTS_IN_FLIGHT && self.parcels.len() < OUTBOX_RESPONSES)
    }
}

/// What reading a queue came to.
#[derive(Debug)]
pub(super) enum Taken {
    /// The next response, and whether the hub waits to hear that the queue is low now.
    Response(WatchResponse, bool),
    /// Nothing is there yet.
    Empty,
    /// Nothing will come any more.
    Closed,
}

/// First in, first out: an answer stands behind the events it vouches for.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    room: Notify,
    /// Whose reports the queue counts in, once the hub has it.
    meter: OnceLock<Arc<HubMeter>>,
}

impl Outbox {
    /// Names the meter that counts what lies in the queue.
    pub(super) fn count_in(&self, meter: &Arc<HubMeter>) {
        self.meter.get_or_init(|| Arc::clone(meter));
    }

    /// How much lies unread.
    pub(super) fn load(&self) -> Load {
        self.queue.lock().load()
    }

    /// Moves all of `parcels` into the queue. With `wait_for_drain` the hub wants to be told when the
    /// queue is low; returns true if it is so already, and then nobody will tell it.
    pub(super) fn push_all(&self, parcels: &mut Vec<Parcel>, wait_for_drain: bool) -> bool {
        if !parcels.is_empty() {
            self.count(parcels);
        }
        let mut queue = self.queue.lock();
        queue.bytes += parcels.iter().map(|parcel| parcel.bytes).sum::<usize>();
        let filled = !parcels.is_empty();
        queue.parcels.extend(parcels.drain(..));
        let low = wait_for_drain && queue.load().is_low();
        queue.drain_wanted = wait_for_drain && !low;
        drop(queue);
        if filled {
            self.filled.notify_one();
        }
        low
    }

    fn count(&self, parcels: &[Parcel]) {
        let Some(meter) = self.meter.get() else { return };
        let events: usize = parcels.iter().map(Parcel::events).sum();
        let bytes: usize = parcels.iter().map(|parcel| parcel.bytes).sum();
        meter.events_sent.fetch_add(events as u64, Relaxed);
        meter.responses_sent.fetch_add(parcels.len() as u64, Relaxed);
        meter.pending_events.fetch_add(events, Relaxed);
        meter.pending_bytes.fetch_add(bytes, Relaxed);
    }

    fn uncount(&self, parcel: &Parcel) {
        if let Some(meter) = self.meter.get() {
            meter.pending_events.fetch_sub(parcel.events(), Relaxed);
            meter.pending_bytes.fetch_sub(parcel.bytes, Relaxed);
        }
    }

    /// Takes the oldest response out.
    pub(super) fn take(&self) -> Taken {
        let mut queue = self.queue.lock();
        let Some(parcel) = queue.parcels.pop_front() else {
            queue.parcels.shrink_to(KEPT_RESPONSES);
            return if queue.closed { Taken::Closed } else { Taken::Empty };
        };
        queue.bytes -= parcel.bytes;
        let low = queue.drain_wanted && queue.load().is_low();
        queue.drain_wanted &= !low;
        let room = queue.parcels.len() + 1 == OUTBOX_RESPONSES;
        drop(queue);
        if room {
            self.room.notify_one();
        }
        self.uncount(&parcel);
        Taken::Response(parcel.response, low)
    }

    /// Waits until the queue is filled or closed; may return early.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Notes that a request is on its way to the hub.
    pub(super) fn asked(&self) {
        self.queue.lock().requests += 1;
    }

    /// Notes that the hub has handled a request.
    pub(super) fn answered(&self) {
        let mut queue = self.queue.lock();
        queue.requests -= 1;
        let room = queue.requests + 1 == REQUESTS_IN_FLIGHT;
        drop(queue);
        if room {
            self.room.notify_one();
        }
    }

    /// Waits until the stream may ask for more: few requests are on their way and the answers are read.
    pub(super) async fn room(&self) {
        while !self.queue.lock().has_room() {
            self.room.notified().await;
        }
    }

    /// Says that nothing will be pushed any more; what lies in the queue can still be taken.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.filled.notify_one();
        self.room.notify_one();
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Outbox")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let parcels = std::mem::take(&mut self.queue.get_mut().parcels);
        parcels.iter().for_each(|parcel| self.uncount(parcel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Revision;

    fn progress(number: i64) -> Parcel {
        Parcel::control(WatchResponse::Progress {
            watch_id: -1,
            revision: Revision(number),
        })
    }

    fn outbox_with(parcels: usize, wait_for_drain: bool) -> Outbox {
        let outbox = Outbox::default();
        let mut parcels: Vec<Parcel> = (0..).take(parcels).map(progress).collect();
        assert!(!outbox.push_all(&mut parcels, wait_for_drain));
        outbox
    }

    #[test]
    fn responses_leave_in_order_and_the_drain_is_told_once() {
        let outbox = outbox_with(OUTBOX_RESPONSES, true);
        let mut lows = 0;
        for number in 0..OUTBOX_RESPONSES {
            let Taken::Response(response, low) = outbox.take() else {
                panic!("{number} is missing")
            };
            let revision = Revision(number as i64);
            assert_eq!(
                response,
                WatchResponse::Progress {
                    watch_id: -1,
                    revision
                }
            );
            lows += usize::from(low);
        }
        assert_eq!(lows, 1);
        assert!(matches!(outbox.take(), Taken::Empty));
    }

    #[test]
    fn a_drain_that_has_happened_is_told_at_once() {
        let outbox = outbox_with(3, false);
        assert!(outbox.push_all(&mut vec![progress(3)], true));
    }

    #[test]
    fn what_was_queued_can_be_read_after_the_end() {
        let outbox = outbox_with(1, false);
        outbox.close();
        assert!(matches!(outbox.take(), Taken::Response(_, false)));
        assert!(matches!(outbox.take(), Taken::Closed));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answers_has_to_wait_with_its_requests() {
        let outbox = Arc::new(outbox_with(OUTBOX_RESPONSES, false));
        let waiting = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        outbox.take();
        waiting.await.expect("the wait ends");
        (0..REQUESTS_IN_FLIGHT).for_each(|_| outbox.asked());
        let waiting = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        outbox.answered();
        waiting.await.expect("the wait ends");
    }

    #[test]
    fn a_dropped_queue_takes_its_share_out_of_the_report() {
        let meter: Arc<HubMeter> = Arc::default();
        let outbox = Outbox::default();
        outbox.count_in(&meter);
        outbox.push_all(&mut vec![progress(1), progress(2)], false);
        assert!(meter.pending_bytes.load(Relaxed) > 0);
        drop(outbox);
        assert_eq!(
            (
                meter.pending_bytes.load(Relaxed),
                meter.responses_sent.load(Relaxed)
            ),
            (0, 2)
        );
    }
}
