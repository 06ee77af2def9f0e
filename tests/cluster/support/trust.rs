//! Certificates with which members trust each other.

use std::path::{Path, PathBuf};

use super::certificates::{Authority, Files, Identity};

/// The files of one member.
pub(crate) struct PeerFiles(Files);

impl PeerFiles {
    /// Writes a certificate into a directory of its own, beside the certificate of an authority.
    pub(crate) fn write(home: &Path, name: &str, authority: &Authority, identity: &Identity) -> Self {
        let directory: PathBuf = home.join(format!("{name}.pki"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let files = Files::in_directory(&directory);
        files.write(authority, identity);
        Self(files)
    }

    /// The flags that name them.
    pub(crate) fn flags(&self) -> Vec<String> {
        let files = [
            ("--peer-cert-file", &self.0.certificate),
            ("--peer-key-file", &self.0.key),
            ("--peer-trusted-ca-file", &self.0.authority),
        ];
        let flags = files.map(|(flag, path)| format!("{flag}={}", path.display()));
        flags.into()
    }
}

/// Runs one of the program's commands on a path, and returns what it said.
pub(crate) fn run(command: &[&str], path: &Path) -> String {
    let output = std::process::Command::new(super::node::BINARY)
        .args(command)
        .arg(path)
        .output();
    let output = output.expect("it can be run");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}
