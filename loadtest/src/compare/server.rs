//! One server process: started on free ports with an empty data directory, stopped and cleaned up after.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::Uri;
use proto::etcdserverpb::RangeRequest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::contender::Contender;
use crate::client::Dialer;
use crate::client::wire::frame;

/// How often a starting or stopping server is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// What runs and where, so that a signal ends and removes it too.
#[derive(Default)]
pub(crate) struct Leash(Mutex<Option<Held>>);

/// Processes and their folder.
struct Held {
    child: Option<Child>,
    /// Members of a cluster, which somebody else waits for.
    members: Vec<u32>,
    folder: PathBuf,
}

impl Leash {
    /// A leash that is pulled when this process is told to end.
    pub(crate) fn with_signals() -> Result<Arc<Self>> {
        let leash = Arc::new(Self::default());
        let runtime = runtime()?;
        let held = Arc::clone(&leash);
        thread::spawn(move || {
            runtime.block_on(told_to_end());
            held.pull();
            std::process::exit(130);
        });
        Ok(leash)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.lock().expect("nobody panics while holding the leash")
    }

    fn hold(&self, child: Option<Child>, members: Vec<u32>, folder: &Path) {
        *self.lock() = Some(Held {
            child,
            members,
            folder: folder.to_owned(),
        });
    }

    /// Holds members of a cluster, none of which has been waited for, and their folder.
    pub(crate) fn hold_members(&self, members: Vec<u32>, folder: &Path) {
        self.hold(None, members, folder);
    }

    /// Kills what is running and removes its folder.
    pub(crate) fn pull(&self) {
        let Some(held) = self.lock().take() else {
            return;
        };
        // It may have ended by itself; there is nothing to be done about anything else.
        if let Some(mut child) = held.child {
            drop(child.kill());
            drop(child.wait());
        }
        for pid in held.members.into_iter().filter_map(process_id) {
            kill_process(pid, Signal::KILL).ok();
        }
        drop(fs::remove_dir_all(held.folder));
    }
}

fn process_id(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

async fn told_to_end() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
}

/// A running server. Dropping it kills the process and removes its data.
pub(crate) struct Server {
    contender: Contender,
    leash: Arc<Leash>,
    folder: PathBuf,
    ports: [u16; 2],
    pid: u32,
    endpoint: Uri,
}

impl Server {
    /// Starts the server with an empty data directory, and with further flags, and waits until it answers a read.
    pub(crate) fn start(
        contender: &Contender,
        flags: &[&str],
        parent: &Path,
        leash: &Arc<Leash>,
    ) -> Result<Self> {
        let folder = parent.join(format!("{}-{}", contender.name, std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let ports = free_ports()?;
        let mut server = Self {
            contender: contender.clone(),
            leash: Arc::clone(leash),
            folder,
            ports,
            pid: 0,
            endpoint: format!("http://127.0.0.1:{}", ports[0]).parse()?,
        };
        server.launch(flags)?;
        Ok(server)
    }

    /// Starts it anew on the data that it has, and returns how long it took until it answered a read.
    pub(crate) fn restart(&mut self, flags: &[&str]) -> Result<Duration> {
        self.end()?;
        self.launch(flags)
    }

    fn launch(&mut self, flags: &[&str]) -> Result<Duration> {
        self.leash.hold(None, Vec::new(), &self.folder);
        let log = self.folder.join("log");
        let begun = Instant::now();
        let child = self.spawn(flags, File::create(&log)?);
        let child = child.with_context(|| format!("cannot start {}", self.contender.binary.display()))?;
        self.pid = child.id();
        self.leash.hold(Some(child), Vec::new(), &self.folder);
        self.wait_until_ready()
            .with_context(|| format!("it does not get ready; {}", self.last_words()))?;
        Ok(begun.elapsed())
    }

    fn spawn(&self, flags: &[&str], log: File) -> io::Result<Child> {
        Command::new(&self.contender.binary)
            .args(self.contender.arguments(&self.data(), self.ports))
            .args(flags)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let end = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned();
        format!("{}'s log ends with\n{end}", self.contender.name)
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it to end, waits until it has, and removes its data.
    pub(crate) fn stop(self) -> Result<()> {
        self.end()
    }

    fn end(&self) -> Result<()> {
        let pid = process_id(self.pid).context("a process id is a positive number")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended()? {
            anyhow::ensure!(
                Instant::now() < deadline,
                "process {} does not end within {PATIENCE:?}",
                self.pid
            );
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    fn has_ended(&self) -> io::Result<bool> {
        match self.leash.lock().as_mut() {
            Some(Held {
                child: Some(child), ..
            }) => Ok(child.try_wait()?.is_some()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let runtime = runtime()?;
        loop {
            match runtime.block_on(read(&self.endpoint)) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => anyhow::ensure!(!self.has_ended()?, "it has ended"),
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leash.pull();
    }
}

/// Ports that nobody listens on. Both are held until both are known, so that they differ.
fn free_ports() -> io::Result<[u16; 2]> {
    let held = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    Ok([held[0].local_addr()?.port(), held[1].local_addr()?.port()])
}

async fn read(endpoint: &Uri) -> Result<()> {
    let request = frame(&RangeRequest {
        key: "ready".into(),
        ..Default::default()
    });
    let answer = async {
        let connection = Dialer::default().open(endpoint).await?;
        connection
            .route("/etcdserverpb.KV/Range")?
            .call(request)
            .await
            .map_err(anyhow::Error::from)
    };
    tokio::time::timeout(Duration::from_secs(2), answer)
        .await
        .context("no answer within 2 s")??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_free_ports_differ() {
        let [one, other] = free_ports().expect("two ports");
        assert!(one != other && one > 0 && other > 0);
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_log_and_leaves_nothing() {
        let parent = std::env::temp_dir().join(format!("loadtest-test-{}", std::process::id()));
        let peer = Contender::etcd(Some(Path::new("/bin/ls")), Path::new("/")).expect("a program");
        let error = Server::start(&peer, &[], &parent, &Arc::default())
            .err()
            .expect("ls is no server");
        let text = format!("{error:#}");
        assert!(
            text.contains("it has ended") && text.contains("--data-dir"),
            "{text}"
        );
        assert_eq!(fs::read_dir(&parent).expect("the folder").count(), 0);
        fs::remove_dir(&parent).expect("an empty folder");
    }
}
