//! Directories, and small files, that survive a loss of power.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes a directory and those above it, where they are missing, for their owner only: a log holds secrets. What is
/// in a directory survives a loss of power only if the directory's own name does, so that is made durable, too.
///
/// # Errors
///
/// If the operating system refuses.
pub fn make_directory(path: &Path) -> io::Result<()> {
    let above = parent(path);
    if path.is_dir() {
        // A run that was killed may have left the name unsynced. A directory that others made may lie where this
        // process cannot look, and is theirs to make durable.
        return match sync_directory(above) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        };
    }
    if !above.is_dir() {
        make_directory(above)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_directory(above)
}

/// Gives a file this content: it is there whole, old or new, and when this returns it is the new one, whenever the power
/// goes.
///
/// # Errors
///
/// If the operating system refuses.
pub fn replace_file(path: &Path, content: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_directory(parent(path))
}

/// The directory that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes the names in a directory durable.
///
/// # Errors
///
/// If the operating system refuses.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_with_all_above_it_and_again_without_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        for _ in 0..2 {
            make_directory(&path).unwrap();
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(make_directory(&folder.path().join("file/below")).is_err());
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promise");
        for content in ["first", "second"] {
            replace_file(&path, content).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}
