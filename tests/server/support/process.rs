//! A Taffrail process: started, waited for by its log, ended.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_taffrail");
/// Machines that run tests are busy; a server that takes longer than this is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How to start a server.
pub(crate) struct Start {
    command: Command,
    listen: String,
}

impl Start {
    /// A server on a port that the kernel chooses, on this data directory.
    pub(crate) fn new(data_dir: &Path) -> Self {
        let mut command = Command::new(BINARY);
        command
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--log-format", "json"]);
        Self {
            command,
            listen: "http://127.0.0.1:0".to_owned(),
        }
    }

    /// A server that another program starts: `prefix` runs `taffrail` with the arguments that follow.
    pub(crate) fn through(prefix: &[&str], data_dir: &Path) -> Self {
        let mut command = Command::new(prefix[0]);
        command
            .args(&prefix[1..])
            .arg(BINARY)
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--log-format", "json"]);
        Self {
            command,
            listen: "http://127.0.0.1:0".to_owned(),
        }
    }

    /// With these flags as well.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.command.args(flags);
        self
    }

    /// Listening at these URLs.
    pub(crate) fn listen(mut self, urls: &str) -> Self {
        urls.clone_into(&mut self.listen);
        self
    }

    /// With this variable in the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts the process and waits until it says that it is ready.
    pub(crate) fn run(self) -> Server {
        match self.try_run() {
            Ok(server) => server,
            Err((status, log)) => panic!("the server ended with {status}:\n{log}"),
        }
    }

    /// The same; a server that ends instead is returned as its status and everything it said.
    pub(crate) fn try_run(mut self) -> Result<Server, (ExitStatus, String)> {
        self.command
            .args(["--listen-client-urls", &self.listen])
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let lines = read_lines(&mut child);
        let (mut log, mut addresses) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let message: Value = serde_json::from_str(&line).unwrap_or_default();
                    if let Some(address) = message["address"].as_str() {
                        addresses.push(address.to_owned());
                    }
                    log.push(line);
                    if message["msg"] == "ready to serve client requests" {
                        return Ok(Server {
                            child,
                            addresses,
                            lines,
                            log,
                        });
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err((child.wait().expect("a child can be waited for"), log.join("\n")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let _gone = child.kill();
                    panic!("the server was not ready in {PATIENCE:?}:\n{}", log.join("\n"));
                }
            }
        }
    }
}

fn read_lines(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let stderr = child.stderr.take().expect("stderr is piped");
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// A running server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    addresses: Vec<String>,
    lines: Receiver<String>,
    log: Vec<String>,
}

impl Server {
    /// A server on a data directory that goes with the returned guard.
    pub(crate) fn fresh(flags: &[&str]) -> (Self, TempDir) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        (Start::new(&data_dir(&directory)).flags(flags).run(), directory)
    }

    /// Where the first listener is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].parse().expect("the first listener is TCP")
    }

    /// Where every listener is, in the order of the flags.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The first listener as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything the server has said so far.
    pub(crate) fn log(&mut self) -> String {
        self.log.extend(self.lines.try_iter());
        self.log.join("\n")
    }

    /// Resident memory, bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a process with memory");
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .expect("a number")
            * 1024
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("the server runs");
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return (status, self.log());
            }
            assert!(
                Instant::now() < deadline,
                "the server did not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

/// The data directory inside a temporary one: the server makes it itself.
pub(crate) fn data_dir(directory: &TempDir) -> PathBuf {
    directory.path().join("data")
}
