//! A room: network and mount namespaces of their own, in which a node keeps its addresses and its disk whatever
//! happens to its process. A room lasts as long as its keeper, a process that ends with this one.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// What the keeper does: brings up the loopback device, puts a small disk where it is told to, if it is, says that it
/// is ready, and waits for the end of its input.
const KEEPER: &str = r#"
ip link set lo up && { [ -z "$1" ] || mount -t tmpfs -o "size=$2" taffrail-chaos "$1"; } && echo ready && exec cat
"#;

/// An address to connect to, and who waits for the socket.
type Dial = (String, oneshot::Sender<Result<std::net::TcpStream>>);

/// A room that is being kept.
#[derive(Debug)]
pub struct Room {
    keeper: Mutex<Child>,
    pid: u32,
    /// Where the small disk is, if there is one.
    disk: Option<PathBuf>,
    dial: Sender<Dial>,
}

impl Room {
    /// Opens a room, with a disk of so many MiB at a path if one is wanted. Needs root.
    ///
    /// # Errors
    ///
    /// If the system refuses namespaces, or a command is missing.
    pub fn open(disk: Option<(&Path, u32)>) -> Result<Self> {
        let path = disk.map_or(String::new(), |(path, _)| path.display().to_string());
        let size = disk.map_or(String::new(), |(_, mebibytes)| format!("{mebibytes}m"));
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", KEEPER, "keeper", &path, &size])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run unshare")?;
        let output = keeper.stdout.take().context("the keeper's output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        anyhow::ensure!(
            line == "ready\n",
            "no namespaces: they need root, and the commands unshare, ip and mount"
        );
        let pid = keeper.id();
        let dial = dialer(pid)?;
        Ok(Self {
            keeper: Mutex::new(keeper),
            pid,
            disk: disk.map(|(path, _)| path.to_owned()),
            dial,
        })
    }

    /// A command that runs in this room, as the same process. It ends when the thread that starts it ends.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--net", "--mount", "--"])
            .args(["setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program);
        command
    }

    /// Runs a command in this room and waits for it.
    pub(crate) fn run(&self, words: &[&str]) -> Result<()> {
        let status = self.command(Path::new(words[0])).args(&words[1..]).status()?;
        anyhow::ensure!(status.success(), "{words:?} ended with {status}");
        Ok(())
    }

    /// The same with an input.
    pub(crate) fn run_with_input(&self, words: &[&str], input: File) -> Result<()> {
        let mut command = self.command(Path::new(words[0]));
        let status = command.args(&words[1..]).stdin(input).status()?;
        anyhow::ensure!(status.success(), "{words:?} ended with {status}");
        Ok(())
    }

    /// A path in this room as a path of this process: what is mounted in a room is not seen elsewhere.
    pub(crate) fn seen_from_outside(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").unwrap_or(path);
        Path::new(&format!("/proc/{}/root", self.pid)).join(inside)
    }

    /// Runs something on a thread that is in this room's network.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(self.pid)?;
                work()
            });
            inside.join().ok().context("a thread panicked")?
        })
    }

    /// Connects to an address in this room.
    pub(crate) async fn connect(&self, address: String) -> Result<TcpStream> {
        let (sender, answer) = oneshot::channel();
        self.dial
            .send((address, sender))
            .context("the dialer has ended")?;
        let socket = answer.await.context("the dialer has ended")??;
        socket.set_nonblocking(true)?;
        Ok(TcpStream::from_std(socket)?)
    }

    /// Leaves no space on the room's disk.
    pub(crate) fn fill_disk(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast()?)?;
        let block = vec![b'x'; 1 << 16];
        loop {
            match ballast.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the space back.
    pub(crate) fn free_disk(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast()?)?)
    }

    /// Copies what is on the room's disk, if it has one, to the folder that it hides: the mount is in the room only, and
    /// goes with it.
    pub(super) fn save_disk(&self) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        // It is there only if the run ended with a disk that was full.
        drop(self.free_disk());
        let everything = self.seen_from_outside(disk).join(".");
        let status = Command::new("cp").arg("-a").args([&everything, disk]).status()?;
        anyhow::ensure!(
            status.success(),
            "{} cannot be copied: {status}",
            everything.display()
        );
        Ok(())
    }

    fn ballast(&self) -> Result<PathBuf> {
        let disk = self.disk.as_deref().context("this room has no disk of its own")?;
        Ok(self.seen_from_outside(disk).join("ballast"))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        // Its input ends, and so does it.
        drop(keeper.stdin.take());
        drop(keeper.wait());
    }
}

fn enter(pid: u32) -> Result<()> {
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    Ok(move_into_link_name_space(
        namespace.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

/// A thread that lives in the room's network and connects: a socket stays in the network it was made in.
fn dialer(pid: u32) -> Result<Sender<Dial>> {
    let (sender, calls) = channel::<Dial>();
    std::thread::Builder::new()
        .name("dialer".to_owned())
        .spawn(move || {
            let entered = enter(pid);
            for (address, answer) in calls {
                let socket = match &entered {
                    Ok(()) => std::net::TcpStream::connect(address).map_err(anyhow::Error::from),
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                };
                // Nobody waits any more if it took too long.
                drop(answer.send(socket));
            }
        })?;
    Ok(sender)
}
