//! How long members wait for each other.

use std::time::Duration;

/// How long a member waits for another one. A member that is gone is noticed after `silence` and `pong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, its handshakes included.
    pub connect: Duration,
    /// From a connection that could not be made to the next try; who asks in between hears the same.
    pub pause: Duration,
    /// For the answer to a claim or a question, and for the first word on a stream.
    pub answer: Duration,
    /// While nothing arrives on a connection, before the other end is asked whether it is there.
    pub silence: Duration,
    /// For the answer to that; then the connection counts as lost.
    pub pong: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            pause: Duration::from_millis(50),
            answer: Duration::from_secs(1),
            silence: Duration::from_millis(500),
            pong: Duration::from_secs(1),
        }
    }
}
