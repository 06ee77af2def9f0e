//! Finds the sources of dqlite, and makes the copy that is built.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{LEAST, Result};

/// What of the sources is built.
const PARTS: &[&str] = &["include", "src"];

/// A folder with sources of a release that is new enough.
pub struct Source {
    folder: PathBuf,
}

/// The folder that `DQLITE_SOURCE` names, or what `make deps` fetched.
pub fn find() -> Result<Source> {
    println!("cargo::rerun-if-env-changed=DQLITE_SOURCE");
    let folder = env::var_os("DQLITE_SOURCE").map_or_else(fetched, PathBuf::from);
    println!("cargo::rerun-if-changed={}", folder.display());
    let header = folder.join("include/dqlite.h");
    let text = fs::read_to_string(&header).map_err(|error| {
        format!(
            "the source of dqlite is missing: run `make deps`, which fetches it, or set DQLITE_SOURCE \
             ({}: {error})",
            header.display()
        )
    })?;
    let version = version(&text).ok_or_else(|| format!("{} says no version", header.display()))?;
    if version < LEAST.0 {
        return Err(format!(
            "dqlite {version} in {} is too old, {} is needed: run `make deps`",
            folder.display(),
            LEAST.1
        ));
    }
    Ok(Source { folder })
}

/// Where `deploy/fetch-dqlite.sh` leaves what it fetched.
fn fetched() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    Path::new(&package).join("../.cache/dqlite/source")
}

/// The version that dqlite.h says, as the library's `dqlite_version_number` gives it.
fn version(header: &str) -> Option<u32> {
    let part = |name: &str| {
        let line = header
            .lines()
            .find(|line| line.split_whitespace().nth(1) == Some(name))?;
        line.split_whitespace().nth(2)?.parse::<u32>().ok()
    };
    let (major, minor) = (part("DQLITE_VERSION_MAJOR")?, part("DQLITE_VERSION_MINOR")?);
    Some(major * 10_000 + minor * 100 + part("DQLITE_VERSION_RELEASE")?)
}

impl Source {
    /// Copies what is built to an empty `target`.
    pub fn copy_to(&self, target: &Path) -> Result<()> {
        if target.exists() {
            fs::remove_dir_all(target).map_err(|error| format!("{}: {error}", target.display()))?;
        }
        for part in PARTS {
            copy(&self.folder.join(part), &target.join(part))?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| format!("copying {}: {error}", from.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(failed)?;
        }
    }
    Ok(())
}
