//! What this member promised to leaders: to confirm none of an earlier epoch any more.
//!
//! A leader serves nothing before a majority of the voters has promised itself to its epoch, and confirms a
//! read by asking a majority whether the promise still stands. Two majorities share a member, so a leader
//! that was overtaken without noticing is refused by somebody: it cannot answer from an old state. A promise
//! is given for good, so it is on disk before it is told.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use journal::replace_file;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::messages::{Claim, Epoch, Promised};

/// The first line of the file.
const HEADING: &str = "taffrail promised epoch 1";

/// The highest epoch that this member has promised itself to.
#[derive(Debug)]
pub struct Promises {
    path: Option<PathBuf>,
    highest: Mutex<Epoch>,
    published: watch::Sender<Epoch>,
}

impl Promises {
    /// Promises that end with the process, for tests.
    #[must_use]
    pub fn forgetful() -> Self {
        Self::beginning_at(None, Epoch::default())
    }

    /// The promises kept in this file, which is made with the first one.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not what it should be: a forgotten promise would be broken.
    pub fn load(path: &Path) -> io::Result<Self> {
        let highest = match fs::read_to_string(path) {
            Ok(text) => parse(&text).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} holds no promised epoch", path.display()),
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Epoch::default(),
            Err(error) => return Err(error),
        };
        Ok(Self::beginning_at(Some(path.to_owned()), highest))
    }

    fn beginning_at(path: Option<PathBuf>, highest: Epoch) -> Self {
        Self {
            path,
            highest: Mutex::new(highest),
            published: watch::channel(highest).0,
        }
    }

    /// The highest epoch promised so far.
    #[must_use]
    pub fn highest(&self) -> Epoch {
        *self.highest.lock()
    }

    /// Is told of every higher epoch.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Epoch> {
        self.published.subscribe()
    }

    /// Answers a claim. Blocks on the disk if a new promise is given.
    ///
    /// # Errors
    /// A promise that cannot be kept on disk is not given.
    pub fn consider(&self, claim: Claim) -> io::Result<Promised> {
        let mut highest = self.highest.lock();
        if claim.epoch == *highest {
            return Ok(Promised::Granted);
        }
        if claim.epoch < *highest {
            return Ok(Promised::Refused { highest: *highest });
        }
        if let Some(path) = &self.path {
            store(path, claim.epoch)?;
        }
        *highest = claim.epoch;
        self.published.send_replace(claim.epoch);
        Ok(Promised::Granted)
    }
}

fn parse(text: &str) -> Option<Epoch> {
    let (heading, rest) = text.split_once('\n')?;
    let epoch = rest.trim_end().parse().ok().filter(|epoch| *epoch >= 0)?;
    (heading == HEADING).then_some(Epoch(epoch))
}

fn store(path: &Path, epoch: Epoch) -> io::Result<()> {
    replace_file(path, &format!("{HEADING}\n{}\n", epoch.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(epoch: i64, confirm: bool) -> Claim {
        Claim {
            epoch: Epoch(epoch),
            leader: 1,
            confirm,
        }
    }

    #[test]
    fn a_promise_outlives_the_process_and_is_never_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promise");
        let promises = Promises::load(&path).unwrap();
        assert_eq!(promises.consider(claim(3, false)).unwrap(), Promised::Granted);
        assert_eq!(promises.consider(claim(3, true)).unwrap(), Promised::Granted);
        let again = Promises::load(&path).unwrap();
        let refused = Promised::Refused { highest: Epoch(3) };
        assert_eq!(again.consider(claim(2, false)).unwrap(), refused);
        assert_eq!(again.consider(claim(2, true)).unwrap(), refused);
        assert_eq!(
            again.consider(claim(4, true)).unwrap(),
            Promised::Granted,
            "a member that was not asked before promises itself now"
        );
        assert_eq!(
            again.consider(claim(3, true)).unwrap(),
            Promised::Refused { highest: Epoch(4) }
        );
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_no_promise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promise");
        for text in [
            "",
            "taffrail promised epoch 1\n-4\n",
            "other\n4\n",
            "taffrail promised epoch 1\n",
        ] {
            fs::write(&path, text).unwrap();
            assert!(Promises::load(&path).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_promise_that_cannot_be_kept_is_not_given() {
        let promises = Promises::load(Path::new("/nonexistent/promise")).unwrap();
        assert!(promises.consider(claim(1, false)).is_err());
        assert_eq!(promises.highest(), Epoch(0));
    }
}
