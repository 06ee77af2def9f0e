//! The network between the nodes of a cluster: each room has a device whose packets come to this process, which
//! passes them on late, passes some on not at all, or none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use tun_rs::{DeviceBuilder, SyncDevice};

use super::Room;

/// The name of the device in each room.
const DEVICE: &str = "peers";
/// Bytes of a packet at most.
const MTU: u16 = 1400;

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Nothing passes.
    pub cut: bool,
    /// What passes takes this long.
    pub latency: Duration,
    /// Of a thousand packets, how many are lost.
    pub lost: u32,
}

/// The network between some rooms. It lasts as long as the rooms do.
#[derive(Debug)]
pub struct Network {
    /// From each to each.
    links: Arc<RwLock<Vec<Vec<Link>>>>,
}

/// A packet on its way, by the moment at which it arrives.
type Travelling = Reverse<(Instant, u64, usize, Vec<u8>)>;

impl Network {
    /// The address of a node in this network.
    #[must_use]
    pub fn address(node: usize) -> Ipv4Addr {
        let last = u8::try_from(node + 1).expect("few nodes");
        Ipv4Addr::new(10, 111, 0, last)
    }

    /// Joins rooms. What is lost is chosen by the seed.
    ///
    /// # Errors
    ///
    /// If the system has no such devices.
    pub fn join(rooms: &[Arc<Room>], seed: u64) -> Result<Self> {
        let links = Arc::new(RwLock::new(vec![vec![Link::default(); rooms.len()]; rooms.len()]));
        let (sender, packets) = channel();
        let mut devices = Vec::new();
        for (node, room) in rooms.iter().enumerate() {
            let device = Arc::new(device(node, room)?);
            devices.push(Arc::clone(&device));
            let (links, sender) = (Arc::clone(&links), sender.clone());
            let rng = Rng::with_seed(seed.wrapping_add(node as u64));
            std::thread::Builder::new()
                .name("network".to_owned())
                .spawn(move || receive(node, &device, &links, rng, &sender))?;
        }
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || deliver(&devices, &packets))?;
        Ok(Self { links })
    }

    /// Changes the links: from, to, and what the link is.
    ///
    /// # Panics
    ///
    /// Never, as no thread panics with the lock held.
    pub fn set(&self, link: impl Fn(usize, usize) -> Link) {
        let mut links = self.links.write().expect("nobody panics while holding it");
        for (from, row) in links.iter_mut().enumerate() {
            for (to, old) in row.iter_mut().enumerate() {
                *old = link(from, to);
            }
        }
    }
}

/// Makes the room's device and gives it its address.
fn device(node: usize, room: &Room) -> Result<SyncDevice> {
    let device = room.inside(|| {
        DeviceBuilder::new()
            .name(DEVICE)
            .mtu(MTU)
            .build_sync()
            .context("cannot make a network device: is there /dev/net/tun?")
    })?;
    let address = format!("{}/24", Network::address(node));
    room.run(&["ip", "address", "add", &address, "dev", DEVICE])?;
    room.run(&["ip", "link", "set", DEVICE, "up"])?;
    Ok(device)
}

/// Reads what a node sends, until its room is gone.
fn receive(
    node: usize,
    device: &SyncDevice,
    links: &RwLock<Vec<Vec<Link>>>,
    mut rng: Rng,
    sender: &Sender<(Instant, usize, Vec<u8>)>,
) {
    let mut buffer = [0; 1 << 16];
    while let Ok(length) = device.recv(&mut buffer) {
        let packet = &buffer[..length];
        let Some(to) = destination(packet) else { continue };
        let links = links.read().expect("nobody panics while holding it");
        let Some(link) = links[node].get(to).copied() else {
            continue;
        };
        drop(links);
        if link.cut || rng.u32(..1000) < link.lost {
            continue;
        }
        if sender
            .send((Instant::now() + link.latency, to, packet.to_vec()))
            .is_err()
        {
            return;
        }
    }
}

/// The node that an IPv4 packet goes to.
fn destination(packet: &[u8]) -> Option<usize> {
    let version = packet.first()? >> 4;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let [a, b, c, last] = address;
    (version == 4 && [a, b, c] == Network::address(0).octets()[..3])
        .then(|| usize::from(last).checked_sub(1))
        .flatten()
}

/// Hands packets over when they are due, those of one moment in the order in which they were sent.
fn deliver(devices: &[Arc<SyncDevice>], packets: &Receiver<(Instant, usize, Vec<u8>)>) {
    let mut travelling: BinaryHeap<Travelling> = BinaryHeap::new();
    for number in 0.. {
        let due = travelling.peek().map(|Reverse((due, ..))| *due);
        let wait = due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        match packets.recv_timeout(wait.min(Duration::from_secs(3600))) {
            Ok((due, to, packet)) => travelling.push(Reverse((due, number, to, packet))),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        while travelling.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            if let Some(Reverse((_, _, to, packet))) = travelling.pop() {
                // A node whose room is gone hears nothing; a full device drops, as networks do.
                drop(devices[to].send(&packet));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_tell_where_they_go() {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&Network::address(2).octets());
        assert_eq!(destination(&packet), Some(2));
        packet[16] = 11;
        assert_eq!(destination(&packet), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet[..12]), None);
    }
}
