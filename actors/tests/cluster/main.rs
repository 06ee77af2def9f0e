//! Three members in one process: what each of them shows while leaders change and links break.

mod client;
mod cluster;
mod compaction;
mod followers;
mod leader_changes;
mod leases;
mod log;
mod members;
mod network;
mod picture;
mod reads;
mod stale_leader;
mod watcher;
mod writes;
