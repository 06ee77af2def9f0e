//! Builds libdqlite from its sources, or finds a system's: what the README of this folder says in full.

mod archive;
mod edit;
mod mends;
mod observer;
mod source;
mod system;

use std::env;
use std::path::PathBuf;

/// The oldest release that is safe to embed, as `major * 10000 + minor * 100 + release`.
const LEAST: (u32, &str) = (11806, "1.18.6");

/// Why there is no library, in words for whoever runs the build.
type Result<T> = std::result::Result<T, String>;

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=mends");
    println!("cargo::rerun-if-env-changed=DQLITE_SYSTEM");
    println!("cargo::rustc-check-cfg=cfg(dqlite_static)");
    mends::declare();
    let built = if wants_system() { system::link() } else { build() };
    if let Err(reason) = built {
        println!("cargo::error={}", reason.replace('\n', " "));
        std::process::exit(1);
    }
}

fn wants_system() -> bool {
    env::var_os("CARGO_FEATURE_SYSTEM").is_some()
        || env::var("DQLITE_SYSTEM").is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

fn build() -> Result<()> {
    let found = source::find()?;
    let copy = out_dir().join("source");
    found.copy_to(&copy)?;
    mends::apply(&copy)?;
    observer::add(&copy)?;
    archive::compile(&copy)?;
    tell_headers(&[copy.join("include"), sqlite_headers()?]);
    println!("cargo::rustc-cfg=dqlite_static");
    // To the build scripts of who depends on this, as DEP_DQLITE_STATIC.
    println!("cargo::metadata=static=1");
    Ok(())
}

/// Tells the tests where the headers are that the library was built with.
fn tell_headers(folders: &[PathBuf]) {
    let folders: Vec<_> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    println!("cargo::rustc-env=DQLITE_HEADERS={}", folders.join(":"));
}

/// Where the header of the SQLite is that rusqlite bundles.
fn sqlite_headers() -> Result<PathBuf> {
    let folder = env::var_os("DEP_SQLITE3_INCLUDE").map(PathBuf::from);
    folder.ok_or_else(|| "libsqlite3-sys does not say where its headers are; it must be `bundled`".to_owned())
}

/// Where this build may write.
fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"))
}
