//! Compiles the copy of the sources, and links what it needs, statically.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, sqlite_headers};

/// Folders of the library's C files; tests and tools are elsewhere.
const FOLDERS: &[&str] = &["src", "src/lib", "src/raft", "src/client"];

/// Libraries from the system: the name and least version for pkg-config, and names of the static archive, the first
/// found is taken.
const NEEDED: &[(&str, &str, &[&str])] = &[("libuv", "1.34", &["uv_a", "uv"]), ("liblz4", "1.7.1", &["lz4"])];

/// Builds and links the archive. Asserts stay on: dqlite is tested with them, and what they guard is data. It is
/// optimised in every profile, and without strict aliasing, which the sources do not keep to.
pub fn compile(source: &Path) -> Result<()> {
    let mut build = cc::Build::new();
    build
        .std("gnu11")
        .opt_level(2)
        .flag("-fno-strict-aliasing")
        .flag("-fvisibility=hidden")
        // What a failed assert says should not be where it was built.
        .flag(format!("-ffile-prefix-map={}=dqlite", source.display()))
        .define("_GNU_SOURCE", None)
        .define("_FILE_OFFSET_BITS", "64")
        .define("HAVE_LINUX_AIO_ABI_H", "1")
        .define("LZ4_AVAILABLE", None)
        .define("LZ4_ENABLED", None)
        .define("RAFT_API", "")
        .define("DQLITE_VERSION_BUILD_TAG", "\"\"")
        .warnings(false)
        .include(sqlite_headers()?);
    for (name, version, _) in NEEDED {
        build.includes(headers(name, version)?);
    }
    for folder in FOLDERS {
        build.files(c_files(&source.join(folder))?);
    }
    build
        .try_compile("dqlite")
        .map_err(|error| format!("dqlite does not compile: {error}"))?;
    NEEDED
        .iter()
        .try_for_each(|(name, _, archives)| link_static(name, archives))
}

fn c_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    files.sort();
    Ok(files)
}

fn headers(name: &str, version: &str) -> Result<Vec<PathBuf>> {
    let library = pkg_config::Config::new()
        .atleast_version(version)
        .cargo_metadata(false)
        .probe(name)
        .map_err(|error| {
            format!("{name} >= {version} is missing: run `make deps`, which installs it ({error})")
        })?;
    Ok(library.include_paths)
}

fn link_static(name: &str, archives: &[&str]) -> Result<()> {
    let folder = pkg_config::get_variable(name, "libdir").map_err(|error| format!("{name}: {error}"))?;
    let archive = archives
        .iter()
        .find(|archive| Path::new(&folder).join(format!("lib{archive}.a")).is_file())
        .ok_or_else(|| {
            format!("{name} has no static library in {folder}: run `make deps`, which installs it")
        })?;
    println!("cargo::rustc-link-search=native={folder}");
    println!("cargo::rustc-link-lib=static={archive}");
    Ok(())
}
