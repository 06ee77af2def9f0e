//! Which etcd this server speaks like, and which Taffrail it is.

use crate::services::ETCD_VERSION;

/// Taffrail's own version.
pub(crate) const TAFFRAIL: &str = env!("CARGO_PKG_VERSION");

/// What `--version` prints: etcd's lines first, since there are programs that parse them.
pub(crate) fn describe() -> String {
    let (os, arch) = (std::env::consts::OS, go_arch(std::env::consts::ARCH));
    format!(
        "etcd Version: {ETCD_VERSION}\nGit SHA: Not provided (this is Taffrail)\nGo Version: none (Rust)\n\
         Go OS/Arch: {os}/{arch}\nTaffrail Version: {TAFFRAIL}\n"
    )
}

/// Go's name for an architecture.
fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
