//! What the kernel knows of a member's connections.

use std::net::Ipv4Addr;

/// The state of a socket that listens, in the kernel's table. Its queue counts connections, not bytes.
const LISTENS: &str = "0A";

/// Bytes that came from clients and that a member has not read yet, for each connection, accepted or not.
pub(crate) fn unread(host: &str) -> Vec<usize> {
    let address: Ipv4Addr = host.parse().expect("an address");
    let own = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.octets()), 2379);
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let waiting = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, queues, ..] = fields[..] else {
            return None;
        };
        let (_, unread) = queues.split_once(':')?;
        let ours = local == own && state != LISTENS;
        ours.then(|| usize::from_str_radix(unread, 16).expect("a number"))
    };
    table.lines().filter_map(waiting).collect()
}
