//! Takes down what many clients see, on one clock.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::{Call, Fate, Hash, History, Moment, Note, Renewal, Stream};
use crate::chaos::leases;
use crate::chaos::report::Amount;

/// A history that is being recorded. Clones record into the same one.
#[derive(Clone, Debug)]
pub struct Recorder {
    begun: Instant,
    history: Arc<Mutex<History>>,
}

impl Default for Recorder {
    /// A recording that begins now.
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            history: Arc::default(),
        }
    }
}

impl Recorder {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Moment {
        u64::try_from(self.begun.elapsed().as_nanos()).expect("five centuries have not passed")
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("nobody panics while recording")
    }

    /// Takes down something for people.
    pub fn note(&self, text: String) {
        let at = self.now();
        self.history().notes.push(Note { at, text });
    }

    /// Takes down a call.
    pub fn call(&self, call: Call) {
        self.history().calls.push(call);
    }

    /// Takes down a keep-alive.
    pub fn renewal(&self, renewal: Renewal) {
        self.history().renewals.push(renewal);
    }

    /// Takes down what became of a lease.
    pub fn fate(&self, fate: Fate) {
        self.history().fates.push(fate);
    }

    /// Leases that may be there and must not stay, with their seconds to live.
    #[must_use]
    pub fn short_leases(&self) -> Vec<(i64, i64)> {
        leases::short(&self.history())
    }

    /// Takes down a watch stream that has ended.
    pub fn stream(&self, stream: Stream) {
        self.history().streams.push(stream);
    }

    /// Takes down a member's hash.
    pub fn member_hash(&self, hash: Hash) {
        self.history().hashes.push(hash);
    }

    /// How much was recorded so far; of watch streams, those that have ended.
    #[must_use]
    pub fn amount(&self) -> Amount {
        Amount::of(&self.history())
    }

    /// What was recorded so far, taken away from the recorder.
    #[must_use]
    pub fn take(&self) -> History {
        std::mem::take(&mut self.history())
    }
}
