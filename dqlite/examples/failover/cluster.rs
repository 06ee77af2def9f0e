//! The processes, and the client that writes to them.

use std::fmt;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dqlite::client::leader::{Finder, Led, Patience};
use dqlite::client::{Client, Options};
use dqlite::dial::Dialer;
use dqlite::wire::{Member, Role};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{Outcome, node};

/// What the kernel counts processor time in (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Three nodes.
pub(crate) struct Cluster {
    folder: TempDir,
    latency: u64,
    members: Vec<Member>,
    children: Vec<Child>,
    dialer: Dialer,
    options: Options,
    finder: Finder,
}

/// What happened while nobody was killed.
pub(crate) struct Calm {
    writes: u32,
    failures: u32,
    leaders: u32,
    slowest: Duration,
    /// Processor time of all nodes together.
    used: Duration,
}

impl fmt::Display for Calm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            writes,
            failures,
            leaders,
            slowest,
            used,
        } = self;
        let used = *used / (*writes).max(1);
        write!(
            out,
            "{writes} writes, {failures} failed, {leaders} changes of the leader, slowest {slowest:?}, \
             {used:?} of processor time each"
        )
    }
}

impl Cluster {
    pub(crate) async fn start(latency: u64) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let members = (1..=3).map(member).collect::<Outcome<Vec<_>>>()?;
        let params = CertificateParams::new(Vec::new())?;
        let authority = CertifiedIssuer::self_signed(authority(params), KeyPair::generate()?)?;
        for member in &members {
            certify(&folder.path().join(member.id.to_string()), &authority)?;
        }
        let dialer = node::dialer(node::tls(&folder.path().join("1"))?.as_ref());
        let options = Options {
            timeout: Duration::from_secs(2),
            ..Options::default()
        };
        let mut cluster = Self {
            folder,
            latency,
            members,
            children: Vec::new(),
            finder: Finder::new(Arc::new(dialer.clone()), options, hasty()),
            dialer,
            options,
        };
        for at in 0..3 {
            let child = cluster.spawn(at, at > 0)?;
            cluster.children.push(child);
        }
        cluster.until_three_vote().await?;
        Ok(cluster)
    }

    fn spawn(&self, at: usize, joins: bool) -> Outcome<Child> {
        let folder = self.folder.path().join(self.members[at].id.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("node")
            .arg(self.latency.to_string())
            .arg(folder)
            .arg(&self.members[at].address);
        if joins {
            command.arg(&self.members[0].address);
        }
        Ok(command.spawn()?)
    }

    /// Waits until three members vote, and all of them have the newest entry of the log.
    async fn until_three_vote(&mut self) -> Outcome<()> {
        loop {
            if let Ok(mut led) = self.finder.find(&self.members, Duration::from_secs(60)).await {
                let members = led.client.cluster().await.unwrap_or_default();
                if members.iter().filter(|member| member.role == Role::Voter).count() == 3 {
                    return Ok(());
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn find(&mut self) -> Outcome<Led> {
        let mut led = self.finder.find(&self.members, Duration::from_secs(60)).await?;
        led.client.open("db").await?;
        let create = "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, v BLOB)";
        led.client.execute_sql(create, &[]).await?;
        Ok(led)
    }

    async fn write_once(&mut self) -> Outcome<()> {
        let mut led = self.find().await?;
        write(&mut led).await
    }

    /// Waits until a node that came back hears the leader: before, the next must not die.
    async fn until_follows(&self, at: usize) -> Outcome<()> {
        loop {
            let address = &self.members[at].address;
            if let Ok(mut client) = Client::connect(&self.dialer, address, self.options).await
                && let Ok(Some(_)) = client.leader().await
            {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits, and tells how much of a processor each node used meanwhile.
    pub(crate) async fn rest(&self, time: Duration) -> Outcome<f64> {
        let before = self.used()?;
        sleep(time).await;
        let used = self.used()?.saturating_sub(before);
        Ok(used as f64 / TICKS_PER_SECOND / time.as_secs_f64() / self.children.len() as f64)
    }

    /// Ticks that the nodes have used, in user and in kernel mode.
    fn used(&self) -> Outcome<u64> {
        let mut used = 0;
        for child in &self.children {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
            let behind_the_name = stat.rsplit(')').next().unwrap_or_default();
            let fields: Vec<_> = behind_the_name.split_whitespace().collect();
            used += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        }
        Ok(used)
    }

    /// Writes for a while, and counts what goes wrong.
    pub(crate) async fn watch_calm(&mut self, time: Duration) -> Outcome<Calm> {
        let mut calm = Calm {
            writes: 0,
            failures: 0,
            leaders: 0,
            slowest: Duration::ZERO,
            used: Duration::ZERO,
        };
        let before = self.used()?;
        let mut led = self.find().await?;
        let end = Instant::now() + time;
        while Instant::now() < end {
            let begun = Instant::now();
            let written = write(&mut led).await;
            calm.slowest = calm.slowest.max(begun.elapsed());
            match written {
                Ok(()) => calm.writes += 1,
                Err(error) => {
                    println!("a write failed: {error}");
                    calm.failures += 1;
                    let before = led.leader.id;
                    led = self.find().await?;
                    calm.leaders += u32::from(led.leader.id != before);
                }
            }
        }
        let ticks = self.used()?.saturating_sub(before);
        calm.used = Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND);
        Ok(calm)
    }

    /// Kills the leader, tells how long it took until a write succeeded, and brings the dead one back.
    pub(crate) async fn kill_leader(&mut self) -> Outcome<Duration> {
        let leader = self.find().await?.leader.address;
        let at = self.members.iter().position(|member| member.address == leader);
        let at = at.ok_or("the leader is not one of ours")?;
        self.children[at].kill()?;
        let begun = Instant::now();
        while self.write_once().await.is_err() {
            sleep(Duration::from_millis(2)).await;
        }
        let time = begun.elapsed();
        self.children[at].wait()?;
        self.children[at] = self.spawn(at, false)?;
        self.until_follows(at).await?;
        Ok(time)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _gone_already = child.kill();
            let _status = child.wait();
        }
    }
}

async fn write(led: &mut Led) -> Outcome<()> {
    led.client
        .execute_sql("INSERT INTO t (v) VALUES (randomblob(1024))", &[])
        .await?;
    Ok(())
}

fn hasty() -> Patience {
    Patience {
        node: Duration::from_millis(500),
        round: Duration::from_secs(1),
        least_rest: Duration::from_millis(2),
        most_rest: Duration::from_millis(2),
    }
}

fn member(id: u64) -> Outcome<Member> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    Ok(Member {
        id,
        address,
        role: Role::Voter,
    })
}

fn authority(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn certify(folder: &Path, authority: &CertifiedIssuer<'_, KeyPair>) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, authority)?;
    fs::write(folder.join("node.crt"), certificate.pem())?;
    fs::write(folder.join("node.key"), key.serialize_pem())?;
    fs::write(folder.join("ca.crt"), authority.pem())?;
    Ok(())
}
