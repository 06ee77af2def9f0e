//! What this crate binds, on nodes in this process: every function, the layouts, and the mends.
//!
//! To see a test of a mend fail, build without the mend: `DQLITE_WITHOUT_MEND=wal-index cargo test -p dqlite-sys`.

mod calls;
#[cfg(dqlite_static)]
mod followers;
#[cfg(dqlite_static)]
mod functions;
mod layout;
mod member;
#[cfg(dqlite_static)]
mod mends;
#[cfg(dqlite_static)]
mod observed;
#[cfg(dqlite_static)]
mod opened;
#[cfg(dqlite_static)]
mod pair;
#[cfg(dqlite_static)]
mod peer;
#[cfg(dqlite_static)]
mod sqlite;
#[cfg(dqlite_static)]
mod waits;
mod wire;
