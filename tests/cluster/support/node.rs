//! One member as a process that is started, ended, paused, and started again on the same data.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::calls::PATIENCE;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_taffrail");

/// A member, running or not.
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// The address that is its own, for clients and members.
    pub(crate) host: String,
    /// Where its data is.
    pub(crate) data_dir: PathBuf,
    /// Where it logs.
    pub(crate) log: PathBuf,
    /// The program that starts it, with its arguments; none: it is started directly.
    pub(crate) launcher: Vec<String>,
    /// What its environment has beside ours.
    pub(crate) environment: Vec<(String, String)>,
    /// The program itself.
    pub(crate) binary: PathBuf,
    /// How it is started, beside its name and addresses.
    pub(crate) flags: Vec<String>,
    /// Where it listens for members, if not where they are told to reach it.
    pub(crate) listen_peer: Option<String>,
    /// `http` or `https`, between members.
    pub(crate) scheme: &'static str,
    process: Option<Child>,
}

impl Node {
    /// A member that has not been started.
    pub(crate) fn new(name: &str, host: &str, home: &Path, scheme: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            data_dir: home.join(name),
            log: home.join(format!("{name}.log")),
            launcher: Vec::new(),
            environment: Vec::new(),
            binary: BINARY.into(),
            flags: Vec::new(),
            listen_peer: None,
            scheme,
            process: None,
        }
    }

    /// Where clients reach it.
    pub(crate) fn client_url(&self) -> String {
        format!("http://{}:2379", self.host)
    }

    /// Where members reach it.
    pub(crate) fn peer_url(&self) -> String {
        format!("{}://{}:2380", self.scheme, self.host)
    }

    /// Starts the process, with these flags as well.
    pub(crate) fn start(&mut self, more: &[&str]) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log);
        let mut command = match self.launcher.split_first() {
            None => Command::new(&self.binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        command
            .args(["--name", &self.name, "--log-format", "json"])
            .args(["--listen-client-urls", &self.client_url()])
            .args(["--advertise-client-urls", &self.client_url()])
            .arg("--listen-peer-urls")
            .arg(self.listen_peer.clone().unwrap_or_else(|| self.peer_url()))
            .args(["--initial-advertise-peer-urls", &self.peer_url()])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(&self.flags)
            .args(more)
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"));
        let child = command.spawn();
        self.process = Some(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
    }

    /// Whether it has been started and not ended since, by anybody.
    pub(crate) fn runs(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|child| child.try_wait().expect("a child can be asked").is_none())
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it was started").id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it was started");
        kill_process(Pid::from_child(process), signal).expect("it runs");
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it was started");
        process.kill().expect("it runs");
        process.wait().expect("a child can be waited for");
    }

    /// Waits until it has ended by itself or on request.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        let process = self.process.as_mut().expect("it was started");
        loop {
            if let Some(status) = process.try_wait().expect("a child can be asked") {
                self.process = None;
                return status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{} did not end:\n{}",
                self.name,
                self.last_words()
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Empties its data directory.
    pub(crate) fn wipe(&self) {
        fs::remove_dir_all(&self.data_dir).expect("it had data");
    }

    /// Everything that it has logged.
    pub(crate) fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of that.
    pub(crate) fn last_words(&self) -> String {
        let log = self.logged();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _already_gone = process.kill();
            let _already_waited = process.wait();
        }
    }
}
