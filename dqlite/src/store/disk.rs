//! Files that are whole or not there, whenever the power goes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Readable by the owner only, as go-dqlite writes them.
const MODE: u32 = 0o600;

/// Writes a file beside the old one, makes it durable, and puts it in the old one's place.
pub(super) fn write(directory: &Path, name: &str, content: &str) -> io::Result<()> {
    let beside = directory.join(format!(".{name}.new"));
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(MODE)
        .open(&beside)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, directory.join(name))?;
    sync(directory)
}

/// Removes a file for good, if it is there.
pub(super) fn remove(directory: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(directory.join(name)) {
        Ok(()) => sync(directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a directory and those above it, where they are missing, for good: what is in it is only as durable as its name.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = directory.parent();
    let above = above
        .filter(|above| !above.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    make(above)?;
    fs::create_dir_all(directory)?;
    sync(above)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
