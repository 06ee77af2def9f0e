//! Dqlite from Rust.
//!
//! [`wire`] is the protocol as values, without input or output. [`client`] speaks it: to one node, and
//! to whichever node leads.

pub mod client;
pub mod dial;
pub mod membership;
pub mod node;
pub mod proxy;
pub mod store;
pub mod tls;
pub mod wire;
