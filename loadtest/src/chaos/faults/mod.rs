//! Faults: what can happen to nodes, planned from a seed, and done to a cluster.

mod plan;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::history::Recorder;
use super::nodes::{Cluster, Link};

pub use plan::{Planned, plan};

/// A kind of fault, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Nodes are killed (-9) and started again: one, or so many that the others cannot go on.
    Kill,
    /// Nodes lose their power (one, a majority, or all) and with it what their disks had not synced.
    Power,
    /// A node is asked to end, and started again.
    Terminate,
    /// A node is stopped (SIGSTOP) and goes on later.
    Pause,
    /// The network between nodes is cut: around one node, or between two, one way or both.
    Partition,
    /// The network between nodes is slow and loses packets.
    Slow,
    /// A node's disk is full.
    Disk,
    /// A node's clock jumps.
    Clock,
}

/// Which node is meant. Who leads is found out when the fault is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The leader.
    Leader,
    /// A node that does not lead: the one so many behind the leader.
    Follower(usize),
}

/// Something that happens for a while, and is then put right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A node is killed, and started again in the end.
    Kill(Victim),
    /// The leader and as many others as leave no majority are killed together.
    KillMajority,
    /// A node loses its power, and has it again in the end.
    PowerLoss(Victim),
    /// The leader and as many others as leave no majority lose their power together.
    PowerLossOfMajority,
    /// All nodes lose their power together.
    PowerLossOfAll,
    /// A node is asked to end, and started again in the end.
    Terminate(Victim),
    /// A node is stopped, and goes on in the end.
    Pause(Victim),
    /// A node hears and is heard by no other.
    Isolate(Victim),
    /// A node is cut off from the leader only.
    CutFromLeader(Victim),
    /// A node is heard by no other, but hears them.
    Mute(Victim),
    /// All packets are late, and of a thousand so many are lost.
    Slow {
        /// How late.
        latency: Duration,
        /// How many of a thousand are lost.
        lost: u32,
    },
    /// A node's disk is full.
    FullDisk(Victim),
    /// A node's wall clock is this many seconds off.
    Clock(Victim, i64),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

impl Victim {
    fn find(self, cluster: &Cluster) -> Result<usize> {
        let leader = if cluster.len() == 1 { 0 } else { cluster.leader()? };
        Ok(match self {
            Self::Leader => leader,
            Self::Follower(behind) => (leader + behind) % cluster.len(),
        })
    }
}

/// A fault under way, and the nodes it hurts.
struct Hurt {
    fault: Fault,
    nodes: Vec<usize>,
}

/// Does what is planned until the end, one after the other, and waits after each until all nodes answer again. The
/// first `least` come even if that takes longer, on a machine that is busy.
///
/// # Errors
///
/// If a fault cannot be done, or nodes do not come back.
pub fn run(
    cluster: &mut Cluster,
    plan: &[Planned],
    recorder: &Recorder,
    end: Instant,
    least: usize,
) -> Result<Vec<Fault>> {
    let mut done = Vec::new();
    for planned in plan {
        let begin = Instant::now() + planned.after;
        if begin + planned.hold > end && done.len() >= least {
            break;
        }
        sleep_until(begin);
        let hurt = begin_fault(cluster, planned.fault, recorder)?;
        recorder.note(format!("{} at nodes {:?}", hurt.fault, hurt.nodes));
        std::thread::sleep(planned.hold);
        end_fault(cluster, &hurt)?;
        recorder.note(format!("{} is over", hurt.fault));
        let again = cluster.wait_until_well();
        again.with_context(|| format!("after {}", hurt.fault))?;
        recorder.note("all nodes answer".to_owned());
        done.push(planned.fault);
    }
    sleep_until(end);
    Ok(done)
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// The nodes that a fault is to hurt, the first one first.
fn hurt_by(cluster: &Cluster, fault: Fault) -> Result<Vec<usize>> {
    Ok(match fault {
        Fault::KillMajority | Fault::PowerLossOfMajority => {
            let leader = Victim::Leader.find(cluster)?;
            let most = cluster.len() / 2 + 1;
            (0..most)
                .map(|behind| (leader + behind) % cluster.len())
                .collect()
        }
        Fault::Slow { .. } | Fault::PowerLossOfAll => (0..cluster.len()).collect(),
        Fault::Kill(victim)
        | Fault::PowerLoss(victim)
        | Fault::Terminate(victim)
        | Fault::Pause(victim)
        | Fault::Isolate(victim)
        | Fault::CutFromLeader(victim)
        | Fault::Mute(victim)
        | Fault::FullDisk(victim)
        | Fault::Clock(victim, _) => vec![victim.find(cluster)?],
    })
}

fn begin_fault(cluster: &mut Cluster, fault: Fault, recorder: &Recorder) -> Result<Hurt> {
    let nodes = hurt_by(cluster, fault)?;
    let hurt = Hurt { fault, nodes };
    let first = hurt.nodes[0];
    match fault {
        Fault::Kill(_) | Fault::KillMajority => hurt.nodes.iter().try_for_each(|node| cluster.kill(*node))?,
        Fault::PowerLoss(_) | Fault::PowerLossOfMajority | Fault::PowerLossOfAll => {
            for loss in cluster.cut_power(&hurt.nodes)? {
                recorder.note(loss.to_string());
            }
        }
        Fault::Terminate(_) => cluster.terminate(first)?,
        Fault::Pause(_) => cluster.pause(first)?,
        Fault::FullDisk(_) => cluster.fill_disk(first, true)?,
        Fault::Clock(_, seconds) => set_clock(cluster, first, seconds)?,
        Fault::Isolate(_) => cluster.links(|from, to| cut_if(from == first || to == first))?,
        Fault::Mute(_) => cluster.links(|from, _| cut_if(from == first))?,
        Fault::CutFromLeader(_) => {
            let leader = Victim::Leader.find(cluster)?;
            let pair = [first, leader];
            cluster.links(|from, to| cut_if(pair.contains(&from) && pair.contains(&to)))?;
        }
        Fault::Slow { latency, lost } => cluster.links(|_, _| Link {
            cut: false,
            latency,
            lost,
        })?,
    }
    Ok(hurt)
}

fn cut_if(cut: bool) -> Link {
    Link {
        cut,
        ..Link::default()
    }
}

fn end_fault(cluster: &mut Cluster, hurt: &Hurt) -> Result<()> {
    let first = hurt.nodes[0];
    match hurt.fault {
        Fault::Kill(_)
        | Fault::KillMajority
        | Fault::PowerLoss(_)
        | Fault::PowerLossOfMajority
        | Fault::PowerLossOfAll
        | Fault::Terminate(_) => hurt.nodes.iter().try_for_each(|node| cluster.launch(*node)),
        Fault::Pause(_) => cluster.resume(first),
        Fault::Clock(..) => set_clock(cluster, first, 0),
        Fault::FullDisk(_) => {
            cluster.fill_disk(first, false)?;
            // A node may prefer to end when it cannot write.
            if cluster.has_ended(first)? {
                cluster.launch(first)?;
            }
            Ok(())
        }
        Fault::Isolate(_) | Fault::CutFromLeader(_) | Fault::Mute(_) | Fault::Slow { .. } => {
            cluster.links(|_, _| Link::default())
        }
    }
}

/// The file that sets a node's clock, in its folder: what libfaketime reads.
pub(super) const CLOCK: &str = "clock";

/// Sets how far a node's wall clock is off.
pub(super) fn set_clock(cluster: &Cluster, node: usize, seconds: i64) -> Result<()> {
    let file = cluster.folder(node).join(CLOCK);
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}s\n"))?;
    Ok(std::fs::rename(new, file)?)
}
