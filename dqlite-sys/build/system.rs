//! Links a libdqlite of the system, if it is new enough.

use crate::{LEAST, Result, sqlite_headers, tell_headers};

/// Finds the library through pkg-config, and refuses an older one by name.
pub fn link() -> Result<()> {
    let any = pkg_config::Config::new().cargo_metadata(false).probe("dqlite");
    let found = any.map_err(|error| format!("the system has no libdqlite: {error}"))?;
    pkg_config::Config::new()
        .atleast_version(LEAST.1)
        .probe("dqlite")
        .map_err(|_| {
            format!(
                "the system's libdqlite {} is too old, {} is needed; build without DQLITE_SYSTEM and the \
                 feature `system` to use the sources that `make deps` fetches",
                found.version, LEAST.1
            )
        })?;
    tell_headers(&[found.include_paths, vec![sqlite_headers()?]].concat());
    Ok(())
}
