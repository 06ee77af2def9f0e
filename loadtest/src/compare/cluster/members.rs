//! A cluster as it is started for one measurement.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::Uri;
use proto::etcdserverpb::{MemberListRequest, MemberListResponse};

use super::certificates::{AUTHORITY, CERTIFICATE, Certificates, KEY};
use crate::chaos::nodes::{Cluster, Comfort, Program};
use crate::client::Dialer;
use crate::client::wire::{decode, frame};
use crate::compare::server::Leash;
use crate::compare::store::Site;

/// Members of a cluster.
const MEMBERS: usize = 3;

/// How long it may take until all of them vote.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often they are looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// What every member is started with; both servers take etcd's flags.
const FLAGS: [&str; 11] = [
    "--name={name}",
    "--data-dir={data}",
    "--listen-client-urls={client_url}",
    "--advertise-client-urls={client_url}",
    "--listen-peer-urls={peer_url}",
    "--initial-advertise-peer-urls={peer_url}",
    "--initial-cluster={cluster}",
    "--initial-cluster-state=new",
    "--initial-cluster-token=loadtest",
    "--quota-backend-bytes=8589934592",
    "--log-level=warn",
];

/// A running cluster. Dropping it kills its members and removes their data.
pub(super) struct Members {
    /// The processes.
    pub(super) cluster: Cluster,
    /// What they are reached with.
    pub(super) dialer: Dialer,
    /// The number of the one that leads.
    pub(super) leader: usize,
    folder: PathBuf,
    leash: Arc<Leash>,
}

impl Members {
    /// Starts them on empty data directories, and waits until each answers and one leads.
    pub(super) fn start(site: &Site<'_>, certificates: &Certificates) -> Result<Self> {
        let name = site.contender.name;
        let folder = site.parent.join(format!("{name}-cluster-{}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        site.leash.hold_members(Vec::new(), &folder);
        certificates.write(&folder)?;
        let dialer = certificates.dialer()?;
        let program = Program::new(name, &site.contender.binary, FLAGS.to_vec())?
            .with_arguments(security(&folder))
            .with_tls(dialer.clone());
        let comfort = Comfort {
            nodes: MEMBERS,
            ..Comfort::default()
        };
        let started = Cluster::start(&program, &folder, comfort).and_then(|cluster| {
            wait_until_all_vote(&dialer, &cluster.members()[0].endpoint)?;
            let leader = cluster.leader()?;
            Ok((cluster, leader))
        });
        let (cluster, leader) = started.inspect_err(|_| site.leash.pull())?;
        let members = Self {
            cluster,
            dialer,
            leader,
            folder,
            leash: Arc::clone(site.leash),
        };
        site.leash.hold_members(members.pids(), &members.folder);
        Ok(members)
    }

    /// Kills the leader.
    pub(super) fn kill_leader(&mut self) -> Result<()> {
        let leader = self.cluster.pid(self.leader);
        let others = self.pids().into_iter().filter(|pid| Some(*pid) != leader);
        self.leash.hold_members(others.collect(), &self.folder);
        self.cluster.kill(self.leader)
    }

    /// One that does not lead.
    pub(super) fn follower(&self) -> usize {
        (self.leader + 1) % MEMBERS
    }

    /// Where a member is reached.
    pub(super) fn endpoint(&self, member: usize) -> Uri {
        self.cluster.members()[member].endpoint.clone()
    }

    /// The processes of those that run.
    pub(super) fn pids(&self) -> Vec<u32> {
        (0..self.cluster.len())
            .filter_map(|member| self.cluster.pid(member))
            .collect()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        // From here on they are waited for, and their numbers may become others'.
        self.leash.hold_members(Vec::new(), &self.folder);
        for member in 0..self.cluster.len() {
            // It may have ended by itself.
            drop(self.cluster.kill(member));
        }
        self.leash.pull();
    }
}

/// Waits until every member votes: before, a cluster is not what it will be, and need not outlive its leader.
fn wait_until_all_vote(dialer: &Dialer, endpoint: &Uri) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = runtime.block_on(member_list(dialer, endpoint));
        if list.as_ref().is_ok_and(|list| voters(list) == MEMBERS) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "not all members vote: {list:?}");
        thread::sleep(GLANCE);
    }
}

async fn member_list(dialer: &Dialer, endpoint: &Uri) -> Result<MemberListResponse> {
    let request = frame(&MemberListRequest { linearizable: true });
    let connection = dialer.open(endpoint).await?;
    let answer = connection
        .route("/etcdserverpb.Cluster/MemberList")?
        .call(request)
        .await?;
    Ok(decode(answer)?)
}

fn voters(list: &MemberListResponse) -> usize {
    list.members.iter().filter(|member| !member.is_learner).count()
}

/// TLS towards clients and between members, which all show certificates.
fn security(folder: &Path) -> Vec<String> {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let flag = |name: &str, file: &str| format!("--{name}={}", path(file).display());
    vec![
        flag("trusted-ca-file", AUTHORITY),
        flag("cert-file", CERTIFICATE),
        flag("key-file", KEY),
        flag("peer-trusted-ca-file", AUTHORITY),
        flag("peer-cert-file", CERTIFICATE),
        flag("peer-key-file", KEY),
        "--client-cert-auth=true".to_owned(),
        "--peer-client-cert-auth=true".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use proto::etcdserverpb::Member;

    use super::*;

    #[test]
    fn learners_do_not_vote() {
        let member = |is_learner| Member {
            is_learner,
            ..Default::default()
        };
        let list = MemberListResponse {
            members: vec![member(false), member(true), member(false)],
            ..Default::default()
        };
        assert_eq!(voters(&list), 2);
    }

    #[test]
    fn every_member_is_given_certificates_both_ways() {
        let flags = security(Path::new("/f"));
        for flag in [
            "--client-cert-auth=true",
            "--peer-trusted-ca-file=/f/ca.crt",
            "--key-file=/f/member.key",
        ] {
            assert!(flags.iter().any(|given| given == flag), "{flag}");
        }
    }
}
