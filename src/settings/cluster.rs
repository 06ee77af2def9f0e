//! What makes the server one member of several: who they are, how they reach each other, how they trust each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SettingsError;
use super::flags::{ClusterFlags, RestoreFlags};
use super::values::{ListenAddress, ListenUrl};

/// The file by which a data directory is known to belong to a member of a cluster.
const MEMBER_FILE: &str = "info.yaml";

/// Where the log is kept.
#[derive(Debug)]
pub(crate) enum Backend {
    /// On SQLite, by this server alone.
    Sqlite,
    /// On Dqlite, by this server and others.
    Dqlite(Box<ClusterSettings>),
}

/// What a member must know of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterSettings {
    /// Where other members are awaited.
    pub(crate) listen: Vec<ListenUrl>,
    /// Where other members reach this one, `host:port`.
    pub(crate) address: String,
    /// The members of a new cluster, this one among them; empty when it joins.
    pub(crate) initial: Vec<InitialMember>,
    /// What makes the identity of a new cluster its own.
    pub(crate) token: String,
    /// Whether the cluster is there already.
    pub(crate) existing: bool,
    /// Members of a cluster to join, `host:port`.
    pub(crate) join: Vec<String>,
    /// How members prove who they are; none if they need not.
    pub(crate) tls: Option<PeerTls>,
    /// After how long without a leader an election begins, at the earliest.
    pub(crate) election_timeout: Duration,
    /// Members that vote.
    pub(crate) voters: u32,
    /// Members that stand by with a replica of their own.
    pub(crate) standbys: u32,
    /// Learners that may be waited for at a time.
    pub(crate) max_learners: usize,
    /// What this member fails together with; votes are spread over these.
    pub(crate) failure_domain: u64,
    /// Whether this member plays one of the next release, which knows a newer schema version.
    pub(crate) next_release: bool,
}

/// A member of `--initial-cluster`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InitialMember {
    /// Its name.
    pub(crate) name: String,
    /// Where it is reached, `host:port`.
    pub(crate) address: String,
}

/// The files by which members trust each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerTls {
    /// This member's certificate with its chain, for both directions.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Who must have signed the others' certificates.
    pub(crate) authority: PathBuf,
}

/// What the flags say of the cluster.
pub(super) fn backend(flags: ClusterFlags, name: &str, data_dir: &Path) -> Result<Backend, SettingsError> {
    let several = names(&flags.initial_cluster).len() > 1 || !flags.join.is_empty();
    let found = data_dir.join(MEMBER_FILE).exists();
    let dqlite = match flags.backend.as_deref() {
        None => several || found,
        Some("dqlite") => true,
        Some("sqlite") if several => {
            return Err(SettingsError::bad(
                "--backend sqlite is for one member: --initial-cluster names more, or --join is given",
            ));
        }
        Some("sqlite") => false,
        Some(other) => {
            return Err(SettingsError::bad(format!(
                "--backend {other:?}: expected sqlite or dqlite"
            )));
        }
    };
    if dqlite {
        let settings = cluster_settings(flags, name, found)?;
        Ok(Backend::Dqlite(Box::new(settings)))
    } else {
        Ok(Backend::Sqlite)
    }
}

/// The member that a restored data directory is for, with which a new cluster begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirstMember {
    /// Where other members reach it, `host:port`.
    pub(crate) address: String,
    /// The members of the new cluster, itself among them.
    pub(crate) initial: Vec<InitialMember>,
    /// What makes the identity of the new cluster its own.
    pub(crate) token: String,
}

/// Whom a data directory is to be restored for; none: for a server that is alone, on SQLite.
pub(crate) fn first_member(flags: &RestoreFlags) -> Result<Option<FirstMember>, SettingsError> {
    match flags.backend.as_deref() {
        None if names(&flags.initial_cluster).len() > 1 => {}
        Some("dqlite") => {}
        None | Some("sqlite") => return Ok(None),
        Some(other) => {
            return Err(SettingsError::bad(format!(
                "--backend {other:?}: expected sqlite or dqlite"
            )));
        }
    }
    let listed = initial_members(&flags.initial_cluster)?;
    let own = listed.iter().find(|member| member.name == flags.name);
    let address = match (&flags.initial_advertise_peer_urls, own) {
        (Some(url), _) => peer_address(url)?,
        (None, Some(own)) => own.address.clone(),
        (None, None) => {
            return Err(SettingsError::bad(
                "a member is restored for a place: give --initial-cluster with --name, or --initial-advertise-peer-urls",
            ));
        }
    };
    let alone = InitialMember {
        name: flags.name.clone(),
        address: address.clone(),
    };
    let initial = if listed.is_empty() { vec![alone] } else { listed };
    check_own_entry(&initial, &flags.name, &address)?;
    check_is_first(&initial, &flags.name)?;
    Ok(Some(FirstMember {
        address,
        initial,
        token: flags.initial_cluster_token.clone(),
    }))
}

/// etcd restores every member; here one is enough, and it must be the one that begins the cluster.
fn check_is_first(initial: &[InitialMember], name: &str) -> Result<(), SettingsError> {
    match initial.first() {
        Some(first) if first.name != name => Err(SettingsError::bad(format!(
            "only {}, the first in the order of names, is restored: start {name} with an empty data directory, \
             and it takes everything from there",
            first.name
        ))),
        _ => Ok(()),
    }
}

fn cluster_settings(flags: ClusterFlags, name: &str, found: bool) -> Result<ClusterSettings, SettingsError> {
    let initial = initial_members(&flags.initial_cluster)?;
    let [advertised] = flags.initial_advertise_peer_urls.as_slice() else {
        return Err(SettingsError::bad(
            "--initial-advertise-peer-urls: a member of a cluster is reached at exactly one URL",
        ));
    };
    let address = peer_address(advertised)?;
    let initial = if initial.is_empty() && flags.join.is_empty() {
        vec![InitialMember {
            name: name.to_owned(),
            address: address.clone(),
        }]
    } else {
        initial
    };
    if !found && !initial.is_empty() {
        check_own_entry(&initial, name, &address)?;
    }
    let tls = peer_tls(&flags)?;
    check_schemes(&flags, advertised, tls.is_some())?;
    Ok(ClusterSettings {
        address,
        existing: existing(&flags.initial_cluster_state)?,
        join: flags
            .join
            .iter()
            .map(|member| peer_address(member))
            .collect::<Result<_, _>>()?,
        initial,
        token: flags.initial_cluster_token,
        tls,
        election_timeout: Duration::from_millis(flags.election_timeout.max(1)),
        voters: voters(flags.voters)?,
        standbys: flags.standbys,
        max_learners: flags.max_learners,
        failure_domain: flags.failure_domain,
        next_release: flags.rehearse_next_release,
        listen: flags.listen_peer_urls,
    })
}

/// The names in `--initial-cluster`. A member that is alone may have any URLs, as nobody uses them.
fn names(entries: &[String]) -> BTreeSet<&str> {
    entries
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, _)| name)
        .collect()
}

/// Reads `name=url,name=url`. Names with several URLs are refused: a member has one place in the cluster.
fn initial_members(entries: &[String]) -> Result<Vec<InitialMember>, SettingsError> {
    let mut members = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_empty()) {
        let (name, url) = entry
            .split_once('=')
            .ok_or_else(|| SettingsError::bad(format!("--initial-cluster {entry:?}: expected name=URL")))?;
        members.push(InitialMember {
            name: name.to_owned(),
            address: peer_address(url)?,
        });
    }
    members.sort();
    let twice = |left: &InitialMember, right: &InitialMember| {
        left.name == right.name || left.address == right.address
    };
    for (index, member) in members.iter().enumerate() {
        if members[index + 1..].iter().any(|other| twice(member, other)) {
            return Err(SettingsError::bad(format!(
                "--initial-cluster names {} or {} twice",
                member.name, member.address
            )));
        }
    }
    Ok(members)
}

/// etcd's check: the member must find itself in the list, where it says that it is reached.
fn check_own_entry(initial: &[InitialMember], name: &str, address: &str) -> Result<(), SettingsError> {
    let own = initial.iter().find(|member| member.name == name).ok_or_else(|| {
        SettingsError::bad(format!(
            "couldn't find local name \"{name}\" in the initial cluster configuration"
        ))
    })?;
    if own.address != address {
        return Err(SettingsError::bad(format!(
            "--initial-cluster has {name} at {}, --initial-advertise-peer-urls at {address}",
            own.address
        )));
    }
    Ok(())
}

/// The `host:port` of a peer URL; k8s-dqlite's addresses without a scheme are taken as they are.
fn peer_address(url: &str) -> Result<String, SettingsError> {
    let rest = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest.trim_end_matches('/'),
        Some((scheme, _)) => {
            return Err(SettingsError::bad(format!(
                "peer URL {url:?}: {scheme} is not http or https"
            )));
        }
        None => url,
    };
    let wrong = || SettingsError::bad(format!("peer URL {url:?}: expected a host and a port"));
    let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || port.parse::<u16>().is_err() || rest.contains('/') {
        return Err(wrong());
    }
    Ok(rest.to_owned())
}

fn existing(state: &str) -> Result<bool, SettingsError> {
    match state {
        "new" => Ok(false),
        "existing" => Ok(true),
        other => Err(SettingsError::bad(format!(
            "--initial-cluster-state {other:?}: expected new or existing"
        ))),
    }
}

fn voters(voters: u32) -> Result<u32, SettingsError> {
    if voters >= 3 && voters % 2 == 1 {
        Ok(voters)
    } else {
        Err(SettingsError::bad("--voters must be odd, and three at least"))
    }
}

/// Members that trust each other by certificate do it in both directions: whoever reaches the port of a peer
/// may read and write everything.
fn peer_tls(flags: &ClusterFlags) -> Result<Option<PeerTls>, SettingsError> {
    if flags.peer_auto_tls {
        return Err(SettingsError::bad(
            "--peer-auto-tls is not supported: give --peer-cert-file, --peer-key-file and --peer-trusted-ca-file",
        ));
    }
    match (
        &flags.peer_cert_file,
        &flags.peer_key_file,
        &flags.peer_trusted_ca_file,
    ) {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), Some(authority)) => Ok(Some(PeerTls {
            certificate: certificate.clone(),
            key: key.clone(),
            authority: authority.clone(),
        })),
        _ => Err(SettingsError::bad(
            "--peer-cert-file, --peer-key-file and --peer-trusted-ca-file go together",
        )),
    }
}

/// Peers without TLS are for networks that nobody else is on; a URL must say what is spoken there.
fn check_schemes(flags: &ClusterFlags, advertised: &str, secure: bool) -> Result<(), SettingsError> {
    if let Some(other) = flags
        .listen_peer_urls
        .iter()
        .find(|url| !matches!(url.address, ListenAddress::Tcp(_)))
    {
        return Err(SettingsError::bad(format!(
            "--listen-peer-urls {other}: members reach each other over TCP"
        )));
    }
    let listens_otherwise = flags.listen_peer_urls.iter().any(|url| url.secure != secure);
    if listens_otherwise || advertised.starts_with("https://") != secure {
        return Err(SettingsError::bad(if secure {
            "peer URLs must be https, as peer certificates are given"
        } else {
            "https peer URLs need --peer-cert-file, --peer-key-file and --peer-trusted-ca-file"
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> ClusterFlags {
        ClusterFlags {
            backend: None,
            listen_peer_urls: vec!["http://127.0.0.1:2380".parse().unwrap()],
            initial_advertise_peer_urls: vec!["http://127.0.0.1:2380".into()],
            initial_cluster: Vec::new(),
            initial_cluster_state: "new".into(),
            initial_cluster_token: "etcd-cluster".into(),
            join: Vec::new(),
            peer_cert_file: None,
            peer_key_file: None,
            peer_trusted_ca_file: None,
            peer_client_cert_auth: false,
            peer_auto_tls: false,
            heartbeat_interval: 100,
            election_timeout: 1000,
            voters: 3,
            rehearse_next_release: false,
            standbys: 0,
            max_learners: 1,
            failure_domain: 0,
        }
    }

    fn three() -> Vec<String> {
        [
            "b=http://127.0.0.1:2",
            "a=http://127.0.0.1:2380",
            "c=http://127.0.0.1:3",
        ]
        .map(Into::into)
        .into()
    }

    fn settings(flags: ClusterFlags, name: &str) -> Result<Option<ClusterSettings>, String> {
        match backend(flags, name, Path::new("/nonexistent")) {
            Ok(Backend::Sqlite) => Ok(None),
            Ok(Backend::Dqlite(settings)) => Ok(Some(*settings)),
            Err(SettingsError::Bad(what)) => Err(what),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_member_is_alone_unless_it_says_otherwise() {
        assert_eq!(settings(flags(), "a"), Ok(None));
        let alone = ClusterFlags {
            initial_cluster: vec!["a=http://127.0.0.1:2380".into()],
            ..flags()
        };
        assert_eq!(settings(alone, "a"), Ok(None));
        let dqlite = ClusterFlags {
            backend: Some("dqlite".into()),
            ..flags()
        };
        let settings = settings(dqlite, "a").unwrap().expect("a cluster of one");
        assert_eq!(settings.initial.len(), 1);
    }

    #[test]
    fn every_member_reads_the_same_list() {
        let given = ClusterFlags {
            initial_cluster: three(),
            ..flags()
        };
        let settings = settings(given, "a").unwrap().expect("a cluster");
        let names: Vec<&str> = settings
            .initial
            .iter()
            .map(|member| member.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(settings.address, "127.0.0.1:2380");
    }

    #[test]
    fn a_member_that_is_not_in_the_list_is_refused() {
        let given = || ClusterFlags {
            initial_cluster: three(),
            ..flags()
        };
        let missing = settings(given(), "x").unwrap_err();
        assert!(missing.contains("couldn't find local name \"x\""), "{missing}");
        let elsewhere = settings(given(), "b").unwrap_err();
        assert!(elsewhere.contains("127.0.0.1:2"), "{elsewhere}");
    }

    #[test]
    fn trust_is_all_or_nothing() {
        let certificate = || ClusterFlags {
            initial_cluster: three(),
            peer_cert_file: Some("c".into()),
            ..flags()
        };
        assert!(settings(certificate(), "a").unwrap_err().contains("go together"));
        let whole = ClusterFlags {
            peer_key_file: Some("k".into()),
            peer_trusted_ca_file: Some("ca".into()),
            ..certificate()
        };
        assert!(settings(whole, "a").unwrap_err().contains("must be https"));
    }

    #[test]
    fn addresses_are_read_with_and_without_scheme() {
        for (url, address) in [
            ("http://a:1", "a:1"),
            ("https://[::1]:2/", "[::1]:2"),
            ("10.0.0.1:9000", "10.0.0.1:9000"),
        ] {
            assert_eq!(peer_address(url).unwrap(), address);
        }
        for url in ["http://a", "unix://a:1", "http://:1", "a", "http://a:1/b"] {
            assert!(peer_address(url).is_err(), "{url}");
        }
    }
}
