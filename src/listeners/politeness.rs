//! Which clients ping too often: the rules by which etcd's gRPC server judges.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::frames::{FLAG_ACK, FLAG_END_STREAM, Frame, kind};

/// A client without open streams may ping this seldom.
const WITHOUT_STREAMS: Duration = Duration::from_secs(2 * 60 * 60);
/// Bad pings that are forgiven.
const FORGIVEN: u32 = 2;

/// What has been seen of one connection.
#[derive(Debug)]
pub(super) struct Politeness {
    min_time: Duration,
    last_ping: Option<Instant>,
    bad_pings: u32,
    answered_since: bool,
    open: HashSet<u32>,
    last_stream: u32,
}

impl Politeness {
    /// A client that has done nothing yet and should leave `min_time` between its pings.
    pub(super) fn new(min_time: Duration) -> Self {
        Self {
            min_time,
            last_ping: None,
            bad_pings: 0,
            answered_since: false,
            open: HashSet::new(),
            last_stream: 0,
        }
    }

    /// The newest stream that the client opened.
    pub(super) fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// Takes a frame from the client, and says whether the client may stay.
    pub(super) fn received(&mut self, frame: Frame, now: impl FnOnce() -> Instant) -> bool {
        match frame.kind {
            kind::HEADERS if frame.stream > self.last_stream => {
                self.last_stream = frame.stream;
                self.open.insert(frame.stream);
            }
            kind::RST_STREAM => {
                self.open.remove(&frame.stream);
            }
            kind::PING if frame.flags & FLAG_ACK == 0 => return self.pinged(now()),
            _ => {}
        }
        true
    }

    /// Takes a frame to the client. Answers make up for earlier pings: a client may measure its bandwidth.
    pub(super) fn sent(&mut self, frame: Frame) {
        let content = matches!(frame.kind, kind::HEADERS | kind::DATA);
        self.answered_since |= content;
        if frame.kind == kind::RST_STREAM || content && frame.flags & FLAG_END_STREAM != 0 {
            self.open.remove(&frame.stream);
        }
    }

    fn pinged(&mut self, now: Instant) -> bool {
        let least = if self.open.is_empty() {
            WITHOUT_STREAMS
        } else {
            self.min_time
        };
        let too_early = self
            .last_ping
            .is_some_and(|last| now.saturating_duration_since(last) < least);
        self.last_ping = Some(now);
        if std::mem::take(&mut self.answered_since) {
            self.bad_pings = 0;
        } else if too_early {
            self.bad_pings += 1;
        }
        self.bad_pings <= FORGIVEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Frame = Frame {
        kind: kind::PING,
        flags: 0,
        stream: 0,
    };
    const OPEN: Frame = Frame {
        kind: kind::HEADERS,
        flags: 0,
        stream: 1,
    };
    const ANSWER: Frame = Frame {
        kind: kind::DATA,
        flags: 0,
        stream: 1,
    };
    const END: Frame = Frame {
        kind: kind::HEADERS,
        flags: FLAG_END_STREAM,
        stream: 1,
    };

    struct Connection {
        politeness: Politeness,
        now: Instant,
    }

    impl Connection {
        fn new() -> Self {
            Self {
                politeness: Politeness::new(Duration::from_secs(5)),
                now: Instant::now(),
            }
        }

        fn ping_after(&mut self, seconds: u64) -> bool {
            self.now += Duration::from_secs(seconds);
            let now = self.now;
            self.politeness.received(PING, || now)
        }
    }

    #[test]
    fn a_client_with_a_stream_may_ping_every_min_time() {
        let mut connection = Connection::new();
        connection.politeness.received(OPEN, Instant::now);
        assert!((0..100).all(|_| connection.ping_after(5)));
    }

    #[test]
    fn the_fourth_early_ping_is_one_too_many() {
        let mut connection = Connection::new();
        connection.politeness.received(OPEN, Instant::now);
        let stays: Vec<bool> = (0..4).map(|_| connection.ping_after(1)).collect();
        assert_eq!(stays, [true, true, true, false]);
    }

    #[test]
    fn answers_make_up_for_early_pings() {
        let mut connection = Connection::new();
        connection.politeness.received(OPEN, Instant::now);
        for _ in 0..100 {
            connection.politeness.sent(ANSWER);
            assert!(connection.ping_after(0));
        }
    }

    #[test]
    fn without_streams_pings_are_unwanted() {
        let mut connection = Connection::new();
        connection.politeness.received(OPEN, Instant::now);
        connection.politeness.sent(END);
        let stays: Vec<bool> = (0..4).map(|_| connection.ping_after(60)).collect();
        assert_eq!(stays, [true, true, true, false]);
    }

    #[test]
    fn answers_to_our_own_pings_do_not_count() {
        let mut connection = Connection::new();
        let answer = Frame {
            flags: FLAG_ACK,
            ..PING
        };
        assert!((0..100).all(|_| connection.politeness.received(answer, Instant::now)));
    }
}
