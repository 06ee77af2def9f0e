//! Nodes that the harness starts, and the rooms it keeps them in.

mod cluster;
mod network;
mod places;
mod program;
mod room;

pub use cluster::{Cluster, Comfort};
pub use network::{Link, Network};
pub use program::Program;
pub use room::Room;
