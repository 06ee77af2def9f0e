//! A cluster of nodes that can be hurt: started, killed, paused, cut off, and brought back.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Buf;
use http::Uri;
use prost::Message;
use proto::etcdserverpb::{RangeRequest, RangeResponse, StatusRequest, StatusResponse};
use rustix::process::{Pid, Signal, kill_process};

use super::places::places;
use super::program::Place;
use super::{Link, Network, Program, Room};
use crate::chaos::power::{Disk, Loss, Power};
use crate::chaos::traffic::Member;
use crate::client::Dialer;
use crate::client::wire::{decode, frame};

/// How long a cluster may take to answer again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a cluster that is waited for is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// What the nodes are given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comfort {
    /// Nodes: 1 or more.
    pub nodes: usize,
    /// Each has a network of its own, and there is a [`Network`] between them. Needs root.
    pub rooms: bool,
    /// MiB of a disk of its own for each, which implies rooms; 0 for none.
    pub disk: u32,
    /// Each has a disk that can lose its power, which implies rooms.
    pub power: Option<Power>,
    /// Start of the random choices.
    pub seed: u64,
}

impl Comfort {
    /// Whether nodes have networks and mounts of their own.
    pub(super) fn has_rooms(self) -> bool {
        self.rooms || self.disk > 0 || self.power.is_some()
    }
}

/// One node.
struct Node {
    place: Place,
    member: Member,
    child: Option<Child>,
    /// What it keeps its data on, if that can lose its power.
    disk: Option<Disk>,
}

impl Node {
    /// A node that is not running, with its folder and its room.
    fn new(number: u32, place: Place, comfort: Comfort, dialer: &Dialer) -> Result<Self> {
        let disk = place.folder.join("disk");
        fs::create_dir_all(&disk)?;
        let small = (comfort.disk > 0).then_some((&*disk, comfort.disk));
        let room = comfort.has_rooms().then(|| Room::open(small)).transpose()?;
        let room = room.map(Arc::new);
        let endpoint: Uri = place.client_url.parse()?;
        let frail = match (comfort.power, &room) {
            (Some(power), Some(room)) => {
                let seed = comfort.seed.wrapping_add(u64::from(number));
                Some(Disk::mount(room, &disk, power, seed)?)
            }
            _ => None,
        };
        let member = Member {
            number,
            endpoint,
            dialer: dialer.clone(),
            room,
        };
        Ok(Self {
            place,
            member,
            child: None,
            disk: frail,
        })
    }

    /// Ends its process (-9), if it runs.
    fn kill(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            child.kill()?;
        }
        Ok(())
    }

    /// Waits for the end of its process.
    fn bury(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }

    /// Its disk, which can lose its power.
    fn frail_disk(&mut self) -> Result<&mut Disk> {
        let disk = self.disk.as_mut();
        disk.context("these nodes have no disks that lose their power")
    }
}

/// A cluster. Dropping it kills its nodes; their folder stays, with what was on disks of their own.
pub struct Cluster {
    program: Program,
    nodes: Vec<Node>,
    network: Option<Network>,
    losses: Vec<Loss>,
}

impl Cluster {
    /// Starts a cluster with empty data directories in an empty folder, and waits until every node answers.
    ///
    /// # Errors
    ///
    /// If a node does not start; its log is told.
    pub fn start(program: &Program, folder: &Path, comfort: Comfort) -> Result<Self> {
        anyhow::ensure!(
            comfort.disk == 0 || comfort.power.is_none(),
            "a disk that loses its power is never full: one or the other"
        );
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = fs::canonicalize(folder)?;
        let places = places(&folder, comfort, program.scheme)?;
        let addresses = places
            .iter()
            .map(|place| format!("{}={}", place.name, place.peer_url));
        let addresses = addresses.collect::<Vec<_>>().join(",");
        let mut nodes = Vec::new();
        for (number, place) in (0..).zip(places) {
            let cluster = addresses.clone();
            nodes.push(Node::new(
                number,
                Place { cluster, ..place },
                comfort,
                &program.dialer,
            )?);
        }
        let rooms: Vec<_> = nodes.iter().filter_map(|node| node.member.room.clone()).collect();
        let network = (rooms.len() > 1).then(|| Network::join(&rooms, comfort.seed));
        let mut cluster = Self {
            program: program.clone(),
            nodes,
            network: network.transpose()?,
            losses: Vec::new(),
        };
        for node in 0..cluster.nodes.len() {
            cluster.launch(node)?;
        }
        cluster.wait_until_well()?;
        Ok(cluster)
    }

    /// The nodes as clients reach them.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.nodes.iter().map(|node| node.member.clone()).collect()
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Where a node keeps its log, its data directory and what its clock is set by.
    #[must_use]
    pub fn folder(&self, node: usize) -> &Path {
        &self.nodes[node].place.folder
    }

    /// The process of a node, if it is running.
    #[must_use]
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.nodes[node].child.as_ref().map(Child::id)
    }

    /// Starts a node that is not running.
    ///
    /// # Errors
    ///
    /// If the program cannot be run.
    pub fn launch(&mut self, node: usize) -> Result<()> {
        let program = &self.program;
        let Node {
            place, member, child, ..
        } = &mut self.nodes[node];
        let log = File::options()
            .create(true)
            .append(true)
            .open(place.folder.join("log"))?;
        let mut command = match &member.room {
            Some(room) => room.command(&program.binary),
            None => leashed(&program.binary),
        };
        let environment = program.environment.iter();
        let started = command
            .args(program.arguments.iter().map(|argument| place.fill(argument)))
            .envs(environment.map(|(name, value)| (name, place.fill(value))))
            .current_dir(&place.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        *child = Some(started.with_context(|| format!("cannot start {}", program.binary.display()))?);
        Ok(())
    }

    /// Kills a node (-9) and waits for its end.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        self.nodes[node].kill()?;
        self.nodes[node].bury()
    }

    /// Cuts the power of some nodes together: their processes end, and their disks keep what was synced and any part of
    /// the rest. They can be launched again. Tells what each lost.
    ///
    /// # Errors
    ///
    /// If the cluster was not given such disks, or the system refuses.
    pub fn cut_power(&mut self, nodes: &[usize]) -> Result<Vec<Loss>> {
        for node in nodes {
            self.nodes[*node].frail_disk()?.cut();
        }
        for node in nodes {
            self.nodes[*node].kill()?;
        }
        let losses: Vec<_> = nodes
            .iter()
            .map(|node| self.unplug(*node))
            .collect::<Result<_>>()?;
        self.losses.extend(&losses);
        Ok(losses)
    }

    /// What the losses of power took, in order.
    #[must_use]
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// A process ends only when the disk that it waits for does, so the disk goes first.
    fn unplug(&mut self, node: usize) -> Result<Loss> {
        let node = &mut self.nodes[node];
        let loss = node.frail_disk()?.unplug()?;
        node.bury()?;
        node.frail_disk()?.plug()?;
        Ok(loss)
    }

    /// Asks a node to end and waits until it has.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn terminate(&mut self, node: usize) -> Result<()> {
        self.signal(node, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended(node)? {
            anyhow::ensure!(Instant::now() < deadline, "node {node} does not end");
            std::thread::sleep(GLANCE);
        }
        self.nodes[node].child = None;
        Ok(())
    }

    /// Stops a node where it stands.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn pause(&self, node: usize) -> Result<()> {
        self.signal(node, Signal::STOP)
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn resume(&self, node: usize) -> Result<()> {
        self.signal(node, Signal::CONT)
    }

    fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        let child = self.nodes[node].child.as_ref();
        let child = child.with_context(|| format!("node {node} does not run"))?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// Whether a node has ended by itself or otherwise.
    ///
    /// # Errors
    ///
    /// If the system refuses to tell.
    pub fn has_ended(&mut self, node: usize) -> Result<bool> {
        match &mut self.nodes[node].child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// Changes the links between nodes: from, to, and what the link is.
    ///
    /// # Errors
    ///
    /// If the cluster was not given rooms.
    pub fn links(&self, link: impl Fn(usize, usize) -> Link) -> Result<()> {
        let network = self.network.as_ref();
        network
            .context("these nodes have no network of their own")?
            .set(link);
        Ok(())
    }

    /// Leaves no space on a node's disk, or gives it back.
    ///
    /// # Errors
    ///
    /// If the cluster was not given disks.
    pub fn fill_disk(&self, node: usize, full: bool) -> Result<()> {
        let room = self.nodes[node].member.room.as_ref();
        let room = room.context("these nodes have no disks of their own")?;
        if full { room.fill_disk() } else { room.free_disk() }
    }

    /// The node that leads, as some node sees it.
    ///
    /// # Errors
    ///
    /// If no node answers within a minute that it leads.
    pub fn leader(&self) -> Result<usize> {
        let runtime = runtime()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            for (number, node) in self.nodes.iter().enumerate() {
                let status = frame(&StatusRequest {});
                let method = "/etcdserverpb.Maintenance/Status";
                let answer = runtime.block_on(ask::<StatusResponse>(&node.member, method, status));
                let leads = answer.is_ok_and(|status| {
                    status
                        .header
                        .is_some_and(|header| header.member_id == status.leader)
                });
                if leads {
                    return Ok(number);
                }
            }
            anyhow::ensure!(Instant::now() < deadline, "nobody leads");
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits until every node answers a linearizable read.
    ///
    /// # Errors
    ///
    /// If one does not, or has ended; the end of its log is told.
    pub fn wait_until_well(&mut self) -> Result<()> {
        let runtime = runtime()?;
        for node in 0..self.nodes.len() {
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = runtime.block_on(read(&self.nodes[node].member)) {
                if Instant::now() > deadline || self.has_ended(node)? {
                    return Err(error.context(self.last_words(node)));
                }
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }

    /// The end of a node's log.
    fn last_words(&self, node: usize) -> String {
        let log = fs::read(self.folder(node).join("log")).unwrap_or_default();
        let end = String::from_utf8_lossy(&log[log.len().saturating_sub(3000)..]).into_owned();
        format!("node {node} is not well; its log ends with\n{end}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // It may have ended by itself.
            drop(node.kill().and_then(|()| node.bury()));
            // Mounts are in the room only, and the room goes; whoever wants to know what was on them looks here.
            if let Some(disk) = node.disk.take() {
                drop(disk.save(&node.place.folder.join("disk")));
            }
            if let Some(room) = &node.member.room {
                drop(room.save_disk());
            }
        }
    }
}

/// A command that ends when this process does, where the system can arrange that.
fn leashed(program: &Path) -> Command {
    let probe = Command::new("setpriv")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
}

async fn read(member: &Member) -> Result<RangeResponse> {
    let read = frame(&RangeRequest {
        key: "ready".into(),
        ..Default::default()
    });
    ask(member, "/etcdserverpb.KV/Range", read).await
}

async fn ask<R: Message + Default>(
    member: &Member,
    method: &'static str,
    request: bytes::Bytes,
) -> Result<R> {
    let answer = async {
        let connection = member.connect(LIMIT).await?;
        let mut answer = connection.route(method)?.call(request).await?;
        anyhow::Ok(decode(answer.copy_to_bytes(answer.remaining()))?)
    };
    tokio::time::timeout(LIMIT, answer)
        .await
        .context("no answer in time")?
}
