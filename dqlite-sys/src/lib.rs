//! Bindings to the node of libdqlite: SQLite replicated by Raft, embedded in this process.
//!
//! Written by hand after `dqlite.h`. Everything here is as unsafe as C; crate `dqlite` is what to use.

// The SQLite that libdqlite is linked against comes with this crate, though nothing here names it.
use libsqlite3_sys as _;

mod mends;
mod node;
#[cfg(dqlite_static)]
mod raft;

pub use mends::{Mend, mended};
pub use node::*;
#[cfg(dqlite_static)]
pub use raft::*;
