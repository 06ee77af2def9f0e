//! A change of the build's own copy of a source: exact text that must be there, once, and what becomes of it.

use std::fs;
use std::path::Path;

use crate::Result;

/// One change of one file.
pub struct Edit {
    pub file: &'static str,
    /// What stands there once.
    pub expected: &'static str,
    pub change: Change,
}

/// Text that is put into a source.
pub enum Change {
    Before(&'static str),
    Instead(&'static str),
}

impl Edit {
    /// Reads the file.
    pub fn read(&self, source: &Path) -> Result<String> {
        let path = source.join(self.file);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Changes the file, or refuses it.
    pub fn apply(&self, source: &Path) -> Result<()> {
        let (path, text) = (source.join(self.file), self.read(source)?);
        let found = text.matches(self.expected).count();
        if found != 1 {
            return Err(format!(
                "{} of this release of dqlite has this text {found} times, not once; see what became of it, and \
                 adapt the build: {:?}",
                self.file, self.expected
            ));
        }
        let text = match self.change {
            Change::Before(added) => text.replacen(self.expected, &[added, self.expected].concat(), 1),
            Change::Instead(instead) => text.replacen(self.expected, instead, 1),
        };
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
