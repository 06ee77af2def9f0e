//! The servers that can be started, and how.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Bytes that a server may store: more than any row writes.
const QUOTA: &str = "17179869184";

/// 64 MiB for values, where a server can be told so.
const SMALL_BUDGET: &str = "--value-cache-bytes=67108864";

/// A server to be started.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Its program.
    pub(crate) binary: PathBuf,
    cluster: bool,
    /// The flag that leaves so much memory for values: [`SMALL_BUDGET`].
    pub(crate) small_budget: Option<&'static str>,
}

impl Contender {
    /// Taffrail as it is built in the repository, unless a program is given.
    pub(crate) fn taffrail(binary: Option<&Path>, root: &Path) -> Result<Self> {
        let binary = binary.map_or_else(|| root.join("target/release/taffrail"), Path::to_owned);
        existing(Self {
            name: "taffrail",
            binary,
            cluster: false,
            small_budget: Some(SMALL_BUDGET),
        })
    }

    /// The newest etcd that has been built in the repository, unless a program is given.
    pub(crate) fn etcd(binary: Option<&Path>, root: &Path) -> Result<Self> {
        let binary = etcd_binary(binary, root)?;
        existing(Self {
            name: "etcd",
            binary,
            cluster: true,
            small_budget: None,
        })
    }

    /// What one alone is started with: its data directory, its client port and, where it wants one, its peer port.
    pub(crate) fn arguments(&self, data: &Path, [client_port, peer_port]: [u16; 2]) -> Vec<String> {
        let client = format!("http://127.0.0.1:{client_port}");
        let mut arguments = vec![
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--quota-backend-bytes={QUOTA}"),
            "--log-level=warn".to_owned(),
        ];
        if self.cluster {
            let peer = format!("http://127.0.0.1:{peer_port}");
            arguments.extend([
                "--name=loadtest".to_owned(),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=loadtest={peer}"),
            ]);
        }
        arguments
    }
}

/// The newest etcd that has been built in the repository, unless a program is given.
pub(crate) fn etcd_binary(binary: Option<&Path>, root: &Path) -> Result<PathBuf> {
    let peers = root.join(".cache/peers");
    match binary {
        Some(binary) => Ok(binary.to_owned()),
        None => newest(&names_in(&peers))
            .map(|name| peers.join(name).join("etcd"))
            .with_context(|| format!("no etcd in {}: build it or name one", peers.display())),
    }
}

/// The program by its absolute path, since it is started in a folder of its own.
fn existing(contender: Contender) -> Result<Contender> {
    let Contender { name, binary, .. } = &contender;
    anyhow::ensure!(
        binary.is_file(),
        "{name} is not there: {} is no file",
        binary.display()
    );
    Ok(Contender {
        binary: fs::canonicalize(binary)?,
        ..contender
    })
}

/// The repository around the current folder, or the current folder itself.
pub(crate) fn repository() -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    let is_root = |folder: &&Path| folder.join("loadtest").is_dir() && folder.join("Cargo.toml").is_file();
    here.ancestors().find(is_root).unwrap_or(&here).to_owned()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The name `etcd-VERSION` with the highest version.
fn newest(names: &[String]) -> Option<&String> {
    let version = |name: &String| {
        let numbers = name
            .strip_prefix("etcd-")?
            .trim_start_matches('v')
            .split(['.', '-']);
        Some(
            numbers
                .map_while(|number| number.parse().ok())
                .collect::<Vec<u64>>(),
        )
    };
    names
        .iter()
        .filter(|name| version(name).is_some())
        .max_by_key(|name| version(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let names = ["etcd-3.7.9", "etcd-3.7.10", "etcd-3.6.99", "k8s-dqlite-9"].map(str::to_owned);
        assert_eq!(newest(&names), Some(&names[1]));
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn a_program_is_known_by_its_absolute_path() {
        let peer = Contender::taffrail(Some(Path::new("src/main.rs")), Path::new("/")).expect("a file");
        assert!(peer.binary.is_absolute() && peer.binary.ends_with("src/main.rs"));
        assert!(Contender::taffrail(Some(Path::new("src")), Path::new("/")).is_err());
    }

    #[test]
    fn only_etcd_gets_a_peer_port() {
        let peer = |cluster| Contender {
            name: "it",
            binary: PathBuf::new(),
            cluster,
            small_budget: None,
        };
        let mentions = |cluster| {
            peer(cluster)
                .arguments(Path::new("/d"), [1, 65_000])
                .join(" ")
                .contains("65000")
        };
        assert!(mentions(true) && !mentions(false));
    }
}
