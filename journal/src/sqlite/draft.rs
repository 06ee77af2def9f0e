//! A log that is being made: it gets its name when it is whole.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::schema::DATABASE_FILE;
use crate::OpenError;
use crate::directory::sync_directory;

/// What SQLite may leave beside a database, and the database itself.
const SUFFIXES: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// The file `taffrail.db.new` of a data directory; removed unless it is put in place.
pub(super) struct Draft {
    /// Where to write.
    pub(super) path: PathBuf,
    data_dir: PathBuf,
}

impl Draft {
    /// An empty file that only its owner may read, instead of what an earlier attempt left.
    pub(super) fn new(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join(format!("{DATABASE_FILE}.new"));
        let create = || {
            remove_all(&path)?;
            File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
        };
        create().map_err(|error| OpenError::io(&path, error))?;
        Ok(Self {
            path,
            data_dir: data_dir.to_owned(),
        })
    }

    /// Gives the finished file its name, durably.
    pub(super) fn put_in_place(self) -> Result<(), OpenError> {
        let rename = || {
            File::open(&self.path)?.sync_all()?;
            std::fs::rename(&self.path, self.data_dir.join(DATABASE_FILE))?;
            sync_directory(&self.data_dir)
        };
        rename().map_err(|error| OpenError::io(&self.path, error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished log stays behind");
        }
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    for suffix in SUFFIXES {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
