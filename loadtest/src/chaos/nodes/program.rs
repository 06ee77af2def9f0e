//! The program under test, and the command that starts one node of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::client::Dialer;

/// How to start a node. In arguments and environment, `{name}`, `{data}`, `{folder}`, `{client_url}`, `{peer_url}`
/// and `{cluster}` (names and peer URLs of all members, as `--initial-cluster` takes them) stand for the node's own.
#[derive(Clone, Debug)]
pub struct Program {
    /// What reports call it.
    pub name: String,
    /// The program.
    pub binary: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, besides this process's own.
    pub environment: Vec<(String, String)>,
    /// How its nodes are reached.
    pub dialer: Dialer,
    /// `http`, or `https` if its nodes have certificates.
    pub scheme: &'static str,
}

/// What the placeholders of one node stand for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) client_url: String,
    pub(super) peer_url: String,
    pub(super) cluster: String,
}

impl Place {
    /// Where the node keeps its data.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("disk").join("data")
    }

    pub(super) fn fill(&self, template: &str) -> String {
        template
            .replace("{name}", &self.name)
            .replace("{data}", &self.data().display().to_string())
            .replace("{folder}", &self.folder.display().to_string())
            .replace("{client_url}", &self.client_url)
            .replace("{peer_url}", &self.peer_url)
            .replace("{cluster}", &self.cluster)
    }
}

/// What etcd and everything that is started like it understands.
const COMMON: [&str; 7] = [
    "--name={name}",
    "--data-dir={data}",
    "--listen-client-urls={client_url}",
    "--advertise-client-urls={client_url}",
    "--initial-advertise-peer-urls={peer_url}",
    "--watch-progress-notify-interval=100ms",
    "--log-level=warn",
];

/// What members of a cluster need besides.
const CLUSTER: [&str; 4] = [
    "--listen-peer-urls={peer_url}",
    "--initial-cluster={cluster}",
    "--initial-cluster-state=new",
    "--initial-cluster-token=chaos",
];

impl Program {
    /// etcd, or a cluster that takes etcd's flags.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn etcd(binary: &Path) -> Result<Self> {
        Self::new("etcd", binary, [&COMMON[..], &CLUSTER[..]].concat())
    }

    /// Taffrail: on one node without peers, on several with etcd's flags.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn taffrail(binary: &Path, nodes: usize) -> Result<Self> {
        let arguments = match nodes {
            1 => COMMON.to_vec(),
            _ => [&COMMON[..], &CLUSTER[..]].concat(),
        };
        Self::new("taffrail", binary, arguments)
    }

    /// A program that is given these arguments, which may have placeholders, and no others.
    pub(crate) fn new(name: &str, binary: &Path, arguments: Vec<&str>) -> Result<Self> {
        let binary = std::fs::canonicalize(binary).with_context(|| format!("no {}", binary.display()))?;
        Ok(Self {
            name: name.to_owned(),
            binary,
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            environment: Vec::new(),
            dialer: Dialer::default(),
            scheme: "http",
        })
    }

    /// The same with nodes that have certificates, which its arguments name, and that are reached so.
    #[must_use]
    pub(crate) fn with_tls(self, dialer: Dialer) -> Self {
        Self {
            dialer,
            scheme: "https",
            ..self
        }
    }

    /// The same with more arguments, which may have placeholders.
    #[must_use]
    pub fn with_arguments(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// The same with another variable in the environment, which may have placeholders.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let place = Place {
            name: "n1".to_owned(),
            folder: "/f".into(),
            client_url: "http://c".to_owned(),
            peer_url: "http://p".to_owned(),
            cluster: "n1=http://p".to_owned(),
        };
        assert_eq!(
            place.fill("--initial-cluster={cluster}"),
            "--initial-cluster=n1=http://p"
        );
        assert_eq!(
            place.fill("{name} {data} {folder} {client_url} {peer_url}"),
            "n1 /f/disk/data /f http://c http://p"
        );
    }
}
